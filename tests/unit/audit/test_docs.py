"""docs/reference/audit.md names what there is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from proxy.audit.diagnosis import Kind
from proxy.config import AuditSettings, RotateSettings

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "reference" / "audit.md").read_text()


def test_every_event_is_in_the_page() -> None:
    code = "".join(path.read_text() for path in (ROOT / "proxy").rglob("*.py"))
    events = set(re.findall(r'\.(?:begin|event|record|body)\(\s*"(\w+)"', code))
    assert {"open", "checkpoint", "statement", "started", "expire", "torn", "lost", "key", "connect"} <= events
    assert [event for event in sorted(events) if f"`{event}`" not in PAGE] == []


@pytest.mark.parametrize("kind", get_args(Kind))
def test_every_finding_of_verify_is_in_the_page(kind: str) -> None:
    assert f"| `{kind}` |" in PAGE


def test_every_setting_is_in_the_page() -> None:
    names = [f"audit.{name}" for name in AuditSettings.model_fields if name != "rotate"]
    names += [f"audit.rotate.{name}" for name in RotateSettings.model_fields]
    assert [name for name in names if f"`{name}`" not in PAGE] == []
