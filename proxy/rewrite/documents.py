"""The governed document: what stands for a json or jsonb column of which paths have rules of their own.

docs/reference/governed-form.md defines it. One expression over the column: it reads the document once and makes it anew
with what is hidden left out or masked, so whatever an app does with the column, it does with that.
"""

from __future__ import annotations

from collections.abc import Callable

from proxy.policy.json_masks import NOTHING, json_mask_sql
from proxy.policy.table import Document, DocumentNode, Mask, Part
from proxy.rewrite.lex import quote_literal

_NULL_MASK = Mask("null")
_ABSENT = "NULL::pg_catalog.jsonb"
_OBJECT, _ARRAY = "'{}'::pg_catalog.jsonb", "'[]'::pg_catalog.jsonb"
_SOFT_INPUT = 160000  # the first server_version_num that has pg_input_is_valid


def document_sql(document: Document, raw: str, base_type: str, version: int, consent: Callable[[str, str], str]) -> str:
    """The expression, in parentheses, of the type `base_type` (json or jsonb).

    `raw` is the column; `consent` gives the expression for (attribute, mode), a condition over the row.
    """
    asked = list(
        dict.fromkeys(
            (str(part.attribute), part.treatment.consent)
            for part in document.parts
            if part.treatment.consent is not None
        )
    )
    builder = _Builder({question: f"_j.c{number}" for number, question in enumerate(asked, 1)})
    inputs = [f"{_as_jsonb(raw, base_type, version)} AS v"]
    inputs += [f"{consent(attribute, mode)} AS c{number}" for number, (attribute, mode) in enumerate(asked, 1)]
    value = builder.document(document.root)
    return f"((SELECT {value} FROM (SELECT {', '.join(inputs)} OFFSET 0) AS _j)::pg_catalog.{base_type})"


def _as_jsonb(raw: str, base_type: str, version: int) -> str:
    """The document, read (and unpacked) once. A json text that is no jsonb, which can hold less, becomes NULL."""
    if base_type == "jsonb":
        return f"({raw} OPERATOR(pg_catalog.#>) '{{}}'::pg_catalog.text[])"
    text = f"({raw})::pg_catalog.text"
    if version >= _SOFT_INPUT:
        valid = f"pg_catalog.pg_input_is_valid({text}, 'pg_catalog.jsonb')"
    else:
        bytewise = f'({text} COLLATE pg_catalog."C")'
        strings = _replaced(bytewise, r'"(?:[^"\\]|\\.)*"', '""')
        pairs = _replaced(bytewise, r"\\\\|\\u[dD][89abAB]..\\u[dD][c-fC-F]..", "")
        valid = (
            f"({strings} OPERATOR(pg_catalog.!~) '[0-9]{{250}}|[eE][+-]?[0-9]{{4}}'::pg_catalog.text) AND "
            f"({pairs} OPERATOR(pg_catalog.!~) {quote_literal(_NO_CHARACTER)}::pg_catalog.text)"
        )
    return f"(CASE WHEN {valid} THEN {text}::pg_catalog.jsonb END)"


_NO_CHARACTER = r"\\u(0000|[dD][89a-fA-F])"


def _replaced(text: str, pattern: str, by: str) -> str:
    return f"pg_catalog.regexp_replace({text}, {quote_literal(pattern)}, '{by}', 'g')"


def _kind(value: str, name: str) -> str:
    return f"(pg_catalog.jsonb_typeof({value}) OPERATOR(pg_catalog.=) '{name}')"


class _Builder:
    """`asked`: the name of the condition for each (attribute, mode) of consent."""

    def __init__(self, asked: dict[tuple[str, str], str]) -> None:
        self._asked = asked

    def document(self, root: DocumentNode) -> str:
        text = self._inside(root, "_j.v", 1)
        if "drop" in (root.levels[0].treatment.action, root.last.treatment.action):
            shape, other = _kind("_j.v", "object"), _kind("_j.v", "array")
            text = f"COALESCE({text}, CASE WHEN {shape} THEN {_OBJECT} WHEN {other} THEN {_ARRAY} END)"
        return text

    def _place(self, node: DocumentNode, value: str, number: int) -> str:
        """What stands at one place; NULL where nothing does. `number`: of sub-queries around, for their names."""
        if not node.depth and not node.keys:
            return self._leaf(node.last, value)
        here = f"_p{number}"
        return f"(SELECT {self._inside(node, f'{here}.v', number + 1)} FROM (SELECT {value} AS v OFFSET 0) AS {here})"

    def _inside(self, node: DocumentNode, value: str, number: int) -> str:
        return self._elements(node, value, 0, number) if node.depth else self._single(node, value, number)

    def _elements(self, node: DocumentNode, value: str, level: int, number: int) -> str:
        """An array's elements, each governed, in an array again; a value that is no array as if it stood in one."""
        here, made = f"_j{number}", f"_g{number}"
        if level + 1 < node.depth:
            element = self._elements(node, f"{here}.v", level + 1, number + 1)
        else:
            element = self._single(node, f"{here}.v", number + 1)
        every = f"pg_catalog.jsonb_agg({made}.g ORDER BY {made}.n)"
        container = node.levels[min(level, len(node.levels) - 1)]
        array = every if container.treatment.action == "drop" else f"COALESCE({every}, {_ARRAY})"
        is_array = _kind(value, "array")
        one = f"WHEN ({value} IS NOT NULL) THEN pg_catalog.jsonb_build_array({value})"
        # `n = abs(n)` is always true. PostgreSQL takes it for rare and so expects few elements, not a hundred: by their
        # costs it would compile (JIT) even small queries, which takes it seconds.
        return (
            f"(SELECT CASE WHEN {is_array} THEN {array} ELSE ({every} OPERATOR(pg_catalog.->) 0) END "
            f"FROM (SELECT {element} AS g, {here}.n AS n "
            f"FROM pg_catalog.jsonb_array_elements(CASE WHEN {is_array} THEN {value} {one} END) "
            f"WITH ORDINALITY AS {here} (v, n) "
            f"WHERE ({here}.n OPERATOR(pg_catalog.=) pg_catalog.abs({here}.n)) OFFSET 0) AS {made} "
            f"WHERE ({made}.g IS NOT NULL))"
        )

    def _single(self, node: DocumentNode, value: str, number: int) -> str:
        """A value that the rules take for an object where they name keys: what else it is could hold what they hide."""
        if not node.keys:
            return self._leaf(node.last, value)
        cases = [f"WHEN {_kind(value, 'object')} THEN {self._object(node, value, number)}"]
        treatment = node.last.treatment
        if treatment.action == "mask":
            cases += [f"WHEN {_kind(value, 'array')} THEN {NOTHING}", f"ELSE {self._leaf(node.last, value)}"]
        elif treatment.action != "drop":
            cases.append(f"WHEN ({value} IS NOT NULL) THEN {NOTHING}")
        return f"(CASE {' '.join(cases)} END)"

    def _object(self, node: DocumentNode, value: str, number: int) -> str:
        """The members that have no rules, and those that have them: the object's, governed."""
        made = _OBJECT
        for key, child in node.keys:
            if not child.keys and not child.depth and child.last.treatment.action == "drop":
                continue
            name = f"{quote_literal(key)}::pg_catalog.text"
            member = self._place(child, f"({value} OPERATOR(pg_catalog.->) {name})", number)
            made = f"pg_catalog.jsonb_set_lax({made}, ARRAY[{name}], {member}, true, 'return_target')"
        treatment = node.last.treatment
        if treatment.action == "drop":
            return (
                f"(SELECT CASE WHEN (_o.v OPERATOR(pg_catalog.<>) {_OBJECT}) THEN _o.v END "
                f"FROM (SELECT {made} AS v OFFSET 0) AS _o)"
            )
        listed = ", ".join(quote_literal(key) for key, _ in node.keys)
        others = f"({value} OPERATOR(pg_catalog.-) ARRAY[{listed}]::pg_catalog.text[])"
        masked = _OBJECT
        if treatment.mask is not None and treatment.mask.kind == "keys":
            masked = f"consentry.json_keys({others})"
        if treatment.consent is not None:
            others = f"(CASE WHEN {self._condition(node.last)} THEN {others} ELSE {masked} END)"
        elif treatment.action == "mask":
            others = masked
        return f"({others} OPERATOR(pg_catalog.||) {made})"

    def _leaf(self, part: Part, value: str) -> str:
        treatment = part.treatment
        if treatment.plain:
            return value
        if treatment.action == "drop":
            return _ABSENT
        masked = json_mask_sql(treatment.mask or _NULL_MASK, value)
        if treatment.consent is None:
            return masked
        return f"(CASE WHEN {self._condition(part)} THEN {value} ELSE {masked} END)"

    def _condition(self, part: Part) -> str:
        return self._asked[str(part.attribute), str(part.treatment.consent)]
