"""No constant of an app's statement is in what a refusal of the gateway's own says: each in turn becomes a marker."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import pytest

from proxy.audit.record import error_tail
from proxy.catalog.model import SearchPath
from proxy.errors import PgError
from proxy.rewrite.catalog_forms import system_catalog
from proxy.rewrite.lex import Tokens
from proxy.rewrite.plan import Planner
from proxy.rewrite.verify import Verifier
from proxy.wire.scrub import of_known_names
from tests.sql.test_pairs import PAIRS, Pair, planners, rules, snapshot
from tests.unit.audit.test_no_secrets import STRINGS

__all__ = ["planners", "rules", "snapshot"]  # fixtures

MARKER = "marker7391"
SETTINGS = ("{}", "search_path", "client_encoding", "standard_conforming_strings", "role", "consentry.{}", "DateStyle")
VALUES = ("{}", "pg_temp_{}", "pg_toast_{}", "public, pg_temp_{}", "{}, pg_catalog")
# What the gateway itself takes a constant for: a setting and its value, an encoding, a sequence, a relation, a channel.
TAKEN = [
    *(f"SELECT set_config('{name}', '{value}', true)" for name, value in product(SETTINGS, VALUES)),
    *(f"SET {name.format('x')} = '{value}'" for name, value in product(SETTINGS, VALUES)),
    "SET NAMES '{}'",
    "SET ROLE '{}'",
    "SET SESSION AUTHORIZATION '{}'",
    "SET TIME ZONE '{}'",
    "SET search_path TO public, 'pg_temp_{}'",
    *(f"SELECT {call}" for call in ("nextval('{}')", "setval('{}', 1)", "currval('a.{}')", "lastval('{}')")),
    "SELECT nextval('{}'::regclass), nextval(pg_get_serial_sequence('{}', 'id'))",
    "SET search_path = public; SELECT nextval('{}')",
    "CREATE TEMP TABLE own (id int); SELECT '{}'::regclass, nextval('{}')",
    "SELECT '{}'::regclass, '{}.y'::regproc, '{}'::regtype, '{}'::regrole, to_regclass('{}')",
    "SELECT pg_notify('consentry_{}', '{}')",
    "SELECT pg_read_file('{}'), dblink('{}', '{}'), lo_import('{}')",
    "COPY customers TO '{}'",
    "COPY customers TO PROGRAM '{}'",
    "COPY customers TO STDOUT (FORMAT '{}')",
    "COPY customers TO STDOUT (ENCODING '{}')",
    "EXPLAIN (FORMAT '{}') SELECT 1",
    "DO '{}'",
    "LOAD '{}'",
    "COMMENT ON TABLE customers IS '{}'",
    "SECURITY LABEL FOR '{}' ON TABLE customers IS '{}'",
    "PREPARE TRANSACTION '{}'",
    "ROLLBACK PREPARED '{}'",
    "CREATE EXTENSION hstore VERSION '{}'",
    "CREATE USER other PASSWORD '{}'",
    "SELECT * FROM xmltable('{}' PASSING '<a/>'::xml COLUMNS x int PATH '{}' DEFAULT '{}')",
    "SELECT query_to_xml('{}', true, true, ''), ts_stat('{}')",
]
STATEMENTS = [Pair("", 0, "", "partner", (), ("public",), text.replace("{}", MARKER), "", "") for text in TAKEN]


def marked(text: str) -> Iterator[str]:
    """The text with the marker for each string in turn."""
    raw = text.encode()
    try:
        found = [token for token in Tokens(text) if token.kind in STRINGS]
    except PgError:
        return
    for token in found:
        yield (raw[: token.start] + f"'{MARKER}'".encode() + raw[token.end :]).decode()


def refusals(planner: Planner, text: str, path: SearchPath, parameters: tuple[int, ...]) -> Iterator[PgError]:
    """The rewriter's, and that of the verifier, had it the text as it was sent."""
    refusal = planner.plan(text.encode(), path, parameters).refusal
    if refusal is not None:
        yield refusal
    verifier = Verifier(planner.app, planner.snapshot, system_catalog(planner.app, planner.snapshot))
    try:
        verifier.verify(text, text, path, parameters)
    except PgError as error:
        yield error


def recorded(refusal: PgError, text: str) -> str:
    """What the record has of the refusal. Names that do not exist are looked for in the text."""
    known = text.replace(MARKER, "")
    message = of_known_names(refusal.message, known) if refusal.sqlstate == "42P01" else refusal.message
    return error_tail(refusal.sqlstate, message, 0)


@pytest.mark.parametrize(
    "pair", [*PAIRS, *STATEMENTS], ids=lambda pair: f"{pair.file}:{pair.line}" if pair.file else pair.sent
)
def test_no_constant_is_in_a_refusal(pair: Pair, planners: dict[str, Planner]) -> None:
    path = SearchPath(("pg_catalog", *pair.path))
    planner = planners[pair.app]
    for text in [pair.sent] if MARKER in pair.sent else marked(pair.sent):
        for refusal in refusals(planner, text, path, pair.parameters):
            assert MARKER not in recorded(refusal, text)


def test_most_are_refused(planners: dict[str, Planner]) -> None:
    path = SearchPath(("pg_catalog", "public"))
    refused = [one for one in STATEMENTS if planners[one.app].plan(one.sent.encode(), path).refusal is not None]
    assert len(refused) > 0.7 * len(STATEMENTS)
