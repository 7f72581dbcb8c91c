"""The trace of a statement is taken from comments alone."""

from __future__ import annotations

import json

import pytest

from proxy.audit.trace import session_trace, trace_fragment

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"traceparent='00-{TRACE}-{SPAN}-01'"


@pytest.mark.parametrize(
    "text",
    [
        f"SELECT 1 /*{PARENT}*/",
        f"SELECT 1 /*action='%2Fx',framework='django',{PARENT},tracestate='a%3D1'*/;\n",
        f"/* {PARENT} */ SELECT 1",
        f"\n  /*traceparent=00-{TRACE}-{SPAN}-01*/ SELECT '*/'",
        f"SELECT $1 -- /*{PARENT}*/",
    ],
)
def test_it_is_found(text: str) -> None:
    assert json.loads(f"{{{trace_fragment(text.encode())[:-1]}}}") == {"trace_id": TRACE, "span_id": SPAN}


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1",
        f"SELECT '{PARENT}'",
        f"SELECT '/*{PARENT.replace(chr(39), '')}*/'",
        f"SELECT '/*{PARENT.replace(chr(39), '')}*/' FROM t",
        f"SELECT $$ /*{PARENT}*/ $$",
        f"SELECT 1 /*{PARENT}*/ + 1",
        "SELECT 1 /*traceparent='00-xyz-b7ad6b7169203331-01'*/",
        f"SELECT 1 /*traceparent='00-{TRACE[:-1]}-{SPAN}-01'*/",
        f"SELECT 1 /*{PARENT}" + "x" * 5000 + "*/",
        f"SELECT 1 /*{PARENT}*/ */",
    ],
)
def test_constants_are_no_comments(text: str) -> None:
    assert trace_fragment(text.encode()) == ""


@pytest.mark.parametrize("name", [f"00-{TRACE}-{SPAN}-01", f"web traceparent=00-{TRACE}-{SPAN}-00"])
def test_a_sessions_trace_is_in_its_name(name: str) -> None:
    assert session_trace(name) == TRACE


@pytest.mark.parametrize("name", ["", "psql", TRACE, f"00-{TRACE}-{SPAN}-01f", f"00-{TRACE[1:]}-{SPAN}-01"])
def test_other_names_have_none(name: str) -> None:
    assert session_trace(name) is None
