"""Paths in the rules, what they make of a column, and that documents hold what a reference in Python says: no more."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from psycopg import sql

from proxy.policy.paths import governed_document, keys_of, split_path, whole_treatment
from proxy.policy.table import Mask, Part, Treatment
from proxy.rewrite.documents import document_sql
from tests.servers import PgServer
from tests.unit.policy.test_masks import SETUP


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("$.email", ("email",)),
        ("$.contact.email", ("contact", "email")),
        ("$.contacts[*].email", ("contacts", None, "email")),
        ("$.tags[ * ][*]", ("tags", None, None)),
        ('$."a.b"."say \\"x\\"".é_1', ("a.b", 'say "x"', "é_1")),
        ('$."\\u00e9"', ("é",)),
        ('$.""', ("",)),
        ("$[*].x", (None, "x")),
    ],
)
def test_a_path_is_read(text: str, steps: tuple[str | None, ...]) -> None:
    assert split_path(text) == steps


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("email", "it begins with $"),
        ("$", "the whole document"),
        ("$.a[0]", "write [*] for its index"),
        ("$.a[last]", "write [*] for its index"),
        ("$.*", "one by one"),
        ("$.**.email", "one by one"),
        ('$["email"]', 'write ."key"'),
        ("$.a ? (@ > 1)", "neither"),
        ("$.a?(@ > 1)", "filters"),
        ("$.a.size()", "filters and methods"),
        ("$.first-name", "quoted"),
        ("$.2fa", "quoted"),
        ('$."a', "quoted"),
        ('$."\\x"', "spelling of JSON"),
        ('$."\\ud800"', "spelling of JSON"),
        ('$."\\u0000"', "character 0"),
        ("$.", "neither"),
    ],
)
def test_what_is_no_path_says_what_is_right(text: str, says: str) -> None:
    with pytest.raises(ValueError) as wrong:
        split_path(text)
    assert says in str(wrong.value)


def test_paths_are_the_same_where_lax_mode_reaches_the_same() -> None:
    assert keys_of(split_path("$.a[*].b")) == keys_of(split_path("$.a.b"))
    assert keys_of(split_path("$.a[*]")) != keys_of(split_path("$.a"))


SHOW, DROP, DENY = Treatment("show"), Treatment("drop"), Treatment("deny")
NULLED = Treatment("mask", Mask("null"))


@pytest.mark.parametrize(
    ("rest", "path", "action", "writable"),
    [
        (SHOW, SHOW, "show", True),
        (SHOW, DROP, "mask", False),
        (SHOW, NULLED, "mask", False),
        (DROP, SHOW, "mask", False),
        (DROP, DROP, "drop", False),
        (DENY, SHOW, "deny", False),
        (SHOW, DENY, "deny", False),
        (SHOW, Treatment("mask", Mask("null"), write="allow"), "mask", True),
        (Treatment("show", write="deny"), Treatment("mask", Mask("null"), write="allow"), "mask", False),
        (SHOW, Treatment("show", write="deny"), "show", False),
        (SHOW, Treatment("show", Mask("null"), "opt_in"), "mask", False),
    ],
)
def test_the_column_is_what_its_parts_allow(rest: Treatment, path: Treatment, action: str, writable: bool) -> None:
    whole = whole_treatment(governed_document(Part("rest", rest), [("$.email", Part("email", path))]))
    assert (whole.action, whole.writable) == (action, writable)
    assert whole.plain == (action == "show")


# -- documents against the reference --------------------------------------------------------------------------------

GRANTED, REFUSED = "granted", "refused"  # attributes; their consent is a constant here
TREATMENTS = {
    "show": SHOW,
    "drop": DROP,
    "null": NULLED,
    "redact": Treatment("mask", Mask("redact", (("with", "-"),))),
    "first": Treatment("mask", Mask("first", (("characters", 1),))),
    "round": Treatment("mask", Mask("round", (("to", 100),))),
    "keys": Treatment("mask", Mask("keys")),
    "granted": Treatment("show", Mask("null"), "opt_in"),
    "refused": Treatment("show", Mask("first", (("characters", 1),)), "opt_in"),
}
KEYS = ("a", "b", "c.d", 'e"')
ABSENT = object()
Steps = tuple[str | None, ...]


@dataclass(frozen=True)
class Rule:
    """A listed path: its keys, and how many arrays it goes into behind the last."""

    keys: tuple[str, ...]
    stars: int
    kind: str


class Reference:
    """What an app gets of a document, found place by place from the listed paths: the longest decides."""

    def __init__(self, rest: str, paths: list[tuple[Steps, str]]) -> None:
        self.depths: dict[tuple[str, ...], int] = {}
        every = [Rule((), 0, rest)]
        for steps, kind in paths:
            keys: tuple[str, ...] = ()
            stars = 0
            for step in steps:
                if step is None:
                    stars += 1
                else:
                    self.depths[keys] = max(self.depths.get(keys, 0), stars)
                    keys, stars = (*keys, step), 0
            every.append(Rule(keys, stars, kind))
        self.every = every
        self.rules = [rule for rule in every if rule.keys == () == rule.stars or self.matters(rule)]

    def matters(self, rule: Rule) -> bool:
        if not rule.keys and not rule.stars:
            return True
        above = [
            other
            for other in self.every
            if other.keys == rule.keys[: len(other.keys)]
            and (len(other.keys), other.stars) < (len(rule.keys), rule.stars)
        ]
        nearest = max(above, key=lambda other: (len(other.keys), other.stars))
        return nearest.kind != rule.kind or rule.kind not in ("show", "drop")

    def kind(self, keys: tuple[str, ...], arrays: int | None) -> str:
        """What decides about a place: the longest path. `arrays`: of an array, how many it lies in."""
        found = [
            rule
            for rule in self.every
            if rule.keys == keys[: len(rule.keys)]
            and (len(rule.keys) < len(keys) or arrays is None or rule.stars <= arrays)
        ]
        return max(found, key=lambda rule: (len(rule.keys), rule.stars)).kind

    def govern(self, value: Any, keys: tuple[str, ...] = (), arrays: int = 0) -> Any:
        below = [r for r in self.rules if len(r.keys) > len(keys) and r.keys[: len(keys)] == keys]
        stars = max((r.stars for r in self.rules if r.keys == keys), default=0)
        if isinstance(value, list) and arrays < max(stars, self.depths[keys] if below else 0):
            made = [m for e in value if (m := self.govern(e, keys, arrays + 1)) is not ABSENT]
            return ABSENT if not made and self.kind(keys, arrays) == "drop" else made
        kind = self.kind(keys, None)
        if below and not isinstance(value, dict):  # another shape than the rules expect
            unmasked = isinstance(value, list) or kind in ("show", GRANTED, REFUSED)
            return ABSENT if kind == "drop" else leaf("null" if unmasked else kind, value)
        if below and isinstance(value, dict):
            named = {r.keys[len(keys)] for r in below}
            others = {key: v for key, v in value.items() if key not in named}
            if kind == "keys":
                others = {key: emptied(v) for key, v in others.items()}
            elif kind not in ("show", GRANTED):
                others = {}
            made = {k: m for k in named & value.keys() if (m := self.govern(value[k], (*keys, k))) is not ABSENT}
            return ABSENT if kind == "drop" and not made else others | made
        return leaf(kind, value)


def leaf(kind: str, value: Any) -> Any:
    if kind in ("show", GRANTED):
        return value
    if kind == "drop":
        return ABSENT
    if kind == "keys":
        return emptied(value)
    if isinstance(value, str):
        return {"redact": "-", "first": value[:1], "refused": value[:1]}.get(kind)
    if isinstance(value, int) and not isinstance(value, bool):
        return {"redact": 0, "round": (abs(value) + 50) // 100 * 100 * (1 if value > 0 else -1)}.get(kind)
    return None


def emptied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: emptied(v) for key, v in value.items()}
    return [emptied(v) for v in value] if isinstance(value, list) else None


def leaves(value: Any, keys: tuple[str, ...] = (), listed: bool = False) -> Iterator[tuple[tuple[str, ...], Any, bool]]:
    """(keys, scalar, whether an array is on the way) of all scalars."""
    if isinstance(value, dict):
        for key, v in value.items():
            yield from leaves(v, (*keys, key), listed)
    elif isinstance(value, list):
        for v in value:
            yield from leaves(v, keys, True)
    else:
        yield keys, value, listed


def numbered(value: Any, numbers: Iterator[int]) -> Any:
    """The document with each string and number made one that is nowhere else (numbers are not round)."""
    if isinstance(value, dict):
        return {key: numbered(v, numbers) for key, v in value.items()}
    if isinstance(value, list):
        return [numbered(v, numbers) for v in value]
    if isinstance(value, bool) or value is None:
        return value
    return f"zq{next(numbers)}" if isinstance(value, str) else next(numbers) * value


scalars = st.sampled_from(["", "", 1, -1, None, True, False])
documents = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*KEYS, "x", ""]), inner, max_size=4),
    max_leaves=14,
)
steps = st.lists(st.sampled_from([*KEYS, *KEYS, None]), min_size=1, max_size=4).map(tuple)
rules = st.tuples(
    st.sampled_from(sorted(TREATMENTS)),
    st.lists(
        st.tuples(steps, st.sampled_from(sorted(TREATMENTS))), min_size=1, max_size=5, unique_by=lambda p: keys_of(p[0])
    ),
)


def spelled(path: Steps) -> str:
    return "$" + "".join("[*]" if step is None else f".{json.dumps(step)}" for step in path)


def part(kind: str) -> Part:
    return Part(kind, TREATMENTS[kind])


@pytest.fixture(scope="module", params=["pg_server", "pg15_server"])
def connection(request: pytest.FixtureRequest) -> Iterator[psycopg.Connection[Any]]:
    server: PgServer = request.getfixturevalue(request.param)
    server.create_database("unit_paths", SETUP)
    with server.connect("unit_paths") as made:
        made.prepare_threshold = None
        yield made


def governed(
    connection: psycopg.Connection[Any], rest: str, paths: list[tuple[Steps, str]], texts: list[str], type_name: str
) -> list[Any]:
    """The governed documents as Python values; ABSENT for SQL's NULL."""
    document = governed_document(part(rest), [(spelled(path), part(kind)) for path, kind in paths])
    version = connection.info.server_version
    consent = {GRANTED: "true", REFUSED: "NULL::pg_catalog.bool"}
    expression = document_sql(document, '_t."p"', type_name, version, lambda name, mode: consent[name])
    stored = sql.Literal(texts).as_string(connection)
    rows = connection.execute(
        f"SELECT {expression}::text FROM unnest({stored}::{type_name}[]) WITH ORDINALITY AS _t (p, n) ORDER BY n".encode()
    )
    return [ABSENT if row[0] is None else json.loads(row[0]) for row in rows]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rule=rules, values=st.lists(documents, min_size=8, max_size=24))
def test_documents_are_what_the_reference_says(
    connection: psycopg.Connection[Any], rule: tuple[str, list[tuple[Steps, str]]], values: list[Any]
) -> None:
    rest, paths = rule
    whole = whole_treatment(governed_document(part(rest), [(spelled(p), part(k)) for p, k in paths]))
    assume(whole.mask is not None and whole.mask.kind == "paths")
    reference = Reference(rest, paths)
    numbers = itertools.count(1_000_000_037, 100)
    values = [numbered(value, numbers) for value in values]
    expected = []
    for value in values:
        made = reference.govern(value)
        if made is ABSENT and isinstance(value, dict | list):
            made = type(value)()
        expected.append(made)
    for type_name in ("jsonb", "json"):
        found = governed(connection, rest, paths, [json.dumps(v) for v in values], type_name)
        assert found == expected
    for value, made in zip(values, expected, strict=True):
        shown = json.dumps(made, ensure_ascii=False) if made is not ABSENT else ""
        for keys, scalar, listed in leaves(value):
            if isinstance(scalar, bool) or scalar is None:
                continue
            if reference.kind(keys, None) not in ("show", GRANTED):
                assert str(scalar) not in shown, "what is hidden appears nowhere"
            elif not listed and not any(r.keys[: len(keys)] == keys != r.keys for r in reference.rules):
                assert str(scalar) in shown, "what is shown is there"
