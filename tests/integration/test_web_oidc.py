"""Customers log in by a real OpenID Connect provider, and nothing that is not its word opens the pages."""

from __future__ import annotations

import base64
import hmac
import json
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from proxy.config import OidcSettings
from proxy.web.oidc import OidcError, Provider
from tests.integration.test_web_pages import RULES, SCHEMA
from tests.servers import PgServer
from tests.websites import Website, prepare, website

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import oidc_provider_mock

HERE = "http://consentry.test"


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    with oidc_provider_mock.run_server_in_thread() as server:
        yield f"http://localhost:{server.server_port}"


@pytest.fixture(scope="module")
def folder(pg_server: PgServer, tmp_path_factory: pytest.TempPathFactory, issuer: str) -> Path:
    folder = tmp_path_factory.mktemp("oidc")
    (folder / "client.secret").write_text("s3cret\n")
    oidc = {"issuer": issuer, "client_id": "consentry", "client_secret_file": "client.secret"}
    settings = {"web": {"login": {"secret_file": "web.key", "oidc": oidc}}}
    prepare(pg_server, folder, "web_oidc", SCHEMA, RULES, ["pages_crm", "pages_mailco", "pages_ads"], settings)
    return folder


@pytest.fixture
async def web(folder: Path, pg_server: PgServer) -> AsyncIterator[Website]:
    async with website(folder, pg_server.dsn("web_oidc")) as running:
        yield running


async def at_provider(address: str, **form: str) -> str:
    """What a person does at the provider's page; the address that it sends the browser to."""
    async with httpx.AsyncClient() as browser:
        answer = await browser.post(address, data=form)
        assert answer.status_code in (302, 303), answer.text
        return answer.headers["location"]


@asynccontextmanager
async def leaving(web: Website) -> AsyncIterator[tuple[httpx.AsyncClient, str]]:
    """A browser that was sent to the provider, and the address there."""
    async with web.client() as client:
        first = await client.get("/me")
        assert (first.status_code, first.headers["location"]) == (303, "/me/login")
        second = await client.get("/me/login")
        assert second.status_code == 303
        yield client, second.headers["location"]


async def test_a_customer_logs_in(web: Website) -> None:
    async with leaving(web) as (client, address):
        asked = dict(parse_qsl(urlsplit(address).query))
        assert asked["redirect_uri"] == f"{HERE}/me/back"
        assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
        back = await at_provider(address, sub="7")
        entered = await client.get(back)
        assert (entered.status_code, entered.headers["location"]) == (303, "/me")
        page = await client.get("/me")
        assert page.status_code == 200
        assert (await client.get("/api/subjects/7/access")).status_code == 200
        assert (await client.get("/api/subjects/8/access")).status_code == 403
        # The way back is open once: the code is used up, and the cookie gone.
        assert (await client.get(back)).status_code == 401


async def test_who_says_no_at_the_provider_is_told_so(web: Website) -> None:
    async with leaving(web) as (client, address):
        back = await at_provider(address, action="deny")
        page = await client.get(back)
        assert page.status_code == 401
        assert "You are not logged in" in page.text
        assert 'href="/me/login"' in page.text
        assert (await client.get("/me")).status_code == 303


async def test_another_ones_way_back_opens_nothing(web: Website) -> None:
    """A link that logs a victim in as the attacker, or the attacker as the victim."""
    async with leaving(web) as (_, address):
        back = await at_provider(address, sub="7")
    async with web.client() as nobody:
        assert (await nobody.get(back)).status_code == 401
    async with leaving(web) as (other, _):
        assert (await other.get(back)).status_code == 401  # the state is of another login
        assert (await other.get("/me")).status_code == 303
    async with leaving(web) as (client, address):
        own = dict(parse_qsl(urlsplit(await at_provider(address, sub="7")).query))
        stolen = dict(parse_qsl(urlsplit(back).query))
        mixed = f"/me/back?{urlencode({**own, 'code': stolen['code']})}"
        assert (await client.get(mixed)).status_code == 401
        assert (await client.get("/me/back")).status_code == 401


ISSUER, CLIENT = "https://login.example", "consentry"
KEY = RSAKey.generate_key(2048, parameters={"kid": "1"})
STRANGER = RSAKey.generate_key(2048, parameters={"kid": "1"})
GOOD = {"iss": ISSUER, "aud": CLIENT, "sub": "7", "nonce": "n", "iat": 1_790_000_000, "exp": 4_000_000_000}


def signed(claims: dict[str, Any], algorithm: str = "RS256", key: Any = KEY) -> str:
    return jwt.encode({"alg": algorithm, "kid": "1"}, claims, key, algorithms=[algorithm])


async def said(token: str, claim: str = "sub") -> str:
    """What is made of a provider's token; the provider's own pages are answered here."""

    class Answered(Provider):
        async def _fetch(self, address: str) -> dict[str, Any]:
            if address.endswith("/keys"):
                return {"keys": [KEY.as_dict(private=False)]}
            pages = dict.fromkeys(("authorization_endpoint", "token_endpoint"), f"{ISSUER}/x")
            return {"issuer": ISSUER, "jwks_uri": f"{ISSUER}/keys", **pages}

    provider = Answered(OidcSettings(issuer=ISSUER, client_id=CLIENT, subject_claim=claim), "secret")
    return await provider.subject_of({"id_token": token}, "n")


async def test_a_right_token() -> None:
    assert await said(signed(GOOD)) == "7"
    assert await said(signed({**GOOD, "customer": 42}), "customer") == "42"
    assert await said(signed({**GOOD, "aud": [CLIENT, "other"], "azp": CLIENT})) == "7"


def signed_with_the_public_key() -> str:
    """What a library that lets the token choose would take: an HMAC whose secret everybody knows."""
    text = ".".join(
        base64.urlsafe_b64encode(json.dumps(one).encode()).rstrip(b"=").decode() for one in ({"alg": "HS256"}, GOOD)
    )
    made = hmac.new(KEY.as_pem(private=False), text.encode(), "sha256").digest()
    return f"{text}.{base64.urlsafe_b64encode(made).rstrip(b'=').decode()}"


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(signed(GOOD, key=STRANGER), id="another key"),
        pytest.param(signed(GOOD, "HS256", OctKey.import_key("secret" * 8)), id="a shared secret"),
        pytest.param(signed_with_the_public_key(), id="the public key as a secret"),
        pytest.param("eyJhbGciOiJub25lIn0.eyJzdWIiOiI3In0.", id="no signature"),
        pytest.param("", id="none"),
        pytest.param(signed(GOOD)[:-4] + "AAAA", id="changed"),
        pytest.param(signed({**GOOD, "iss": "https://other.example"}), id="another issuer"),
        pytest.param(signed({**GOOD, "aud": "other"}), id="another party"),
        pytest.param(signed({**GOOD, "aud": [CLIENT, "other"]}), id="several parties"),
        pytest.param(signed({**GOOD, "azp": "other"}), id="made for another"),
        pytest.param(signed({**GOOD, "nonce": "m"}), id="another login"),
        pytest.param(signed({k: v for k, v in GOOD.items() if k != "nonce"}), id="no nonce"),
        pytest.param(signed({**GOOD, "exp": 1_790_000_001}), id="over"),
        pytest.param(signed({k: v for k, v in GOOD.items() if k != "exp"}), id="without end"),
        pytest.param(signed({k: v for k, v in GOOD.items() if k != "sub"}), id="nobody"),
        pytest.param(signed({**GOOD, "sub": True}), id="no text"),
        pytest.param(signed({**GOOD, "sub": ""}), id="empty"),
    ],
)
async def test_a_wrong_token(token: str) -> None:
    with pytest.raises(OidcError):
        await said(token)


async def test_a_provider_that_is_not_there(pg_server: PgServer, folder: Path, web: Website) -> None:
    settings = OidcSettings(issuer="http://localhost:1", client_id="x")
    web.site.provider = Provider(settings, None)
    with pytest.raises(OidcError) as raised:
        await web.site.provider.begin("x")
    assert raised.value.temporary
