"""The API, asked all that its own OpenAPI description allows and much that it does not: no fault, and nothing undescribed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import hypothesis
import pytest
import schemathesis
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import positive_data_acceptance

from proxy.web import api as api_module
from proxy.web.app import API
from tests.gateways import GatewayProcess, consentry
from tests.integration.test_web_pages import RULES, SCHEMA
from tests.servers import PgServer
from tests.websites import prepare

EXAMPLES = 500 if os.environ.get("CONSENTRY_NIGHTLY") else 25


@dataclass(frozen=True)
class Api:
    base: str
    tokens: dict[str, str]  # by scope

    def headers(self, scope: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens[scope]}"}


@pytest.fixture(scope="module")
def api(pg_server: PgServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    folder: Path = tmp_path_factory.mktemp("fuzz")
    web = {"web": {"listen": "127.0.0.1:0", "login": {"secret_file": "web.key"}}}
    profile = f"{RULES}\nprofile: {{subject: public.customers.id}}\n"
    prepare(pg_server, folder, "web_fuzz", SCHEMA, profile, ["pages_crm", "pages_mailco", "pages_ads"], web)
    scopes = ("read", "write", "audit", "rights")
    made = consentry(folder, "token", "add", "fuzz", *(word for scope in scopes for word in ("--scope", scope)))
    of_app = consentry(folder, "token", "add", "app", "--login", "pages_mailco")
    tokens = dict.fromkeys(scopes, made.split()[-1]) | {"profile": of_app.split()[-1]}
    gateway = GatewayProcess(folder)
    try:
        yield Api(f"http://127.0.0.1:{gateway.web_port()}", tokens)
    finally:
        gateway.stop()


APPS = st.sampled_from(["crm", "mailco", "ads"])
ATTRIBUTES = st.sampled_from(["full_name", "email", "card", "group:basic", "all"])
OPERATIONS = [(one.method, f"{API}{one.path}") for one in api_module.OPERATIONS]
SCOPES = {(one.method, f"{API}{one.path}"): one.scope for one in api_module.OPERATIONS}
# Of a path alone, any text is of the right shape.
ASKED = [
    (one.method, f"{API}{one.path}", mode)
    for one in api_module.OPERATIONS
    for mode in GenerationMode
    if mode.is_positive or one.query or one.takes or one.files
]


@pytest.mark.parametrize(("method", "path"), OPERATIONS, ids=[f"{m} {p}" for m, p in OPERATIONS])
def test_nobody_without_a_token_that_is_in_force(api: Api, method: str, path: str) -> None:
    address = api.base + path.format(subject="1", app="mailco", attribute="email", request="1")
    # Not each wrong one at each call: 30 a minute are all that one address has.
    wrong = ("Basic Og==", f"Bearer {api.tokens['read'][:-1]}")[len(path) % 2]
    for headers in ({}, {"Authorization": wrong}):
        answer = httpx.request(method, address, headers=headers)
        assert answer.status_code == 401, answer.text
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(("method", "path", "mode"), ASKED, ids=[f"{m} {p} {mode.value}" for m, p, mode in ASKED])
def test_no_fault_and_nothing_undescribed(api: Api, method: str, path: str, mode: GenerationMode) -> None:
    # Wrong tokens are asked above: here they would soon be too many for one address, and all that follows refused.
    raw = httpx.get(f"{api.base}/openapi.json").json()
    del raw["security"], raw["components"]["securitySchemes"]
    described = schemathesis.openapi.from_dict(raw)

    # Half of the requests are for a customer who can be there, and for what the rules know.
    known = st.fixed_dictionaries({"subject": st.integers(1, 99).map(str), "app": APPS, "attribute": ATTRIBUTES})

    @hypothesis.settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(hypothesis.HealthCheck))
    @hypothesis.given(case=described[path][method].as_strategy(generation_mode=mode), real=st.none() | known)
    def ask(case: schemathesis.Case, real: dict[str, str] | None) -> None:
        if real is not None:
            case.path_parameters = {name: real.get(name, value) for name, value in (case.path_parameters or {}).items()}
        # That a subject must be of the key's type, and an app one of the rules, no schema says.
        answer = case.call_and_validate(
            base_url=api.base,
            headers=api.headers(SCOPES[method, path]),
            excluded_checks=[positive_data_acceptance],
            timeout=20,
        )
        assert answer.status_code not in (401, 429)

    ask()
