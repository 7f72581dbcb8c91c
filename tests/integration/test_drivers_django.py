"""Django through `consentry serve`: migrated by a trusted app, then the same as with the twin (drivers/world.py) directly."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.gateways import environment
from tests.integration.drivers.world import RULES, Pair

pytest_plugins = ["tests.integration.drivers.fixtures"]

ROOT = Path(__file__).parents[2]
OPEN = "django_content_type auth_group auth_permission auth_group_permissions auth_user auth_user_groups auth_user_user_permissions"
OPEN += " django_admin_log django_migrations shop_tag shop_person_tags"
# What the app sales sees, in its twin.
MASKED = """
ALTER TABLE shop_person DROP COLUMN internal;
UPDATE shop_person SET card_no = repeat('*', 12) || right(card_no, 4), email = CASE WHEN id = 1 THEN email END;
DELETE FROM shop_purchase WHERE placed < '2021-01-01';
"""


def rules() -> str:
    """Those of the other drivers, and Django's tables."""
    content: dict[str, Any] = yaml.safe_load(RULES)
    content["attributes"]["d_card"] = {"label": "Card", "group": "sensitive"}
    content["tables"] |= {f"public.{name}": "open" for name in OPEN.split()}
    columns = dict.fromkeys("id name born seen token profile words valid".split(), "open")
    content["tables"]["public.shop_person"] = {
        "subject": "id",
        "columns": columns | {"card_no": "d_card", "internal": "secret", "email": "email"},
    }
    content["tables"]["public.shop_purchase"] = {
        "subject": "person_id",
        "columns": {"id": "open", "person_id": "open", "total": "orders", "placed": "orders"},
    }
    mask = {"name": "cards", "attributes": ["d_card"], "action": "mask", "mask": "last4", "write": "allow"}
    rows = {"where": "placed >= '2021-01-01'"}
    hidden = {"name": "lately", "apps": ["sales"], "tables": ["public.shop_purchase"], "rows": rows}
    written = {"email of those who agreed": {"write": "allow"}}
    policies = [policy | written.get(policy["name"], {}) for policy in content["policies"]]
    content["policies"] = [policies[0], mask, *policies[1:], hidden]
    return yaml.safe_dump(content, sort_keys=False)


def run(step: str, dsn: str, *flags: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.integration.drivers.django_session", step, dsn, *flags],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment() | {"PYTHONWARNINGS": "ignore"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module", autouse=True)
def migrated(pairs: dict[str, Pair]) -> None:
    """Migrations as the trusted app through the gateway, as its owner in the twins; then rules for what they made."""
    gateway = next(iter(pairs.values())).gateway
    for app, pair in pairs.items():
        twin, _ = pair.databases
        through = run("migrate", gateway.dsn("drv_owner", app))
        assert through == run("migrate", pair.server.dsn(twin, "drv_owner"))
        assert "Applying auth.0012_alter_user_first_name_max_length... OK" in through[0]
        if app == "sales":
            pair.server.run(twin, MASKED)
    assert gateway.reload(rules()), gateway.log


@pytest.mark.parametrize("step", ["reads", "writes"])
def test_a_session(pair: Pair, step: str) -> None:
    assert len(pair.same(lambda dsn: run(step, dsn))) > 15


@pytest.mark.parametrize("step", ["reads", "writes"])
def test_a_session_with_parameters_bound_by_the_server(sales: Pair, step: str) -> None:
    sales.same(lambda dsn: run(step, dsn, "server-side"))


def test_introspection(sales: Pair) -> None:
    found = sales.same(lambda dsn: run("introspection", dsn))
    assert "class ShopPerson(models.Model):" in found
    assert not any("internal" in line for line in found)
