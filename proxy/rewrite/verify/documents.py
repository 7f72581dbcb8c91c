"""The governed documents that the verifier demands, made from docs/reference/governed-form.md ("Documents") alone."""

from __future__ import annotations

from collections.abc import Callable

from proxy.errors import feature_not_supported
from proxy.policy.json_masks import json_mask_sql
from proxy.policy.table import Document, DocumentNode, Mask, Part

NULL, EMPTY, NONE = "'null'::pg_catalog.jsonb", "'{}'::pg_catalog.jsonb", "'[]'::pg_catalog.jsonb"
NO_VALUE = "NULL::pg_catalog.jsonb"


def literal(text: str) -> str:
    return "E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def typed(value: str, name: str) -> str:
    return f"(pg_catalog.jsonb_typeof({value}) OPERATOR(pg_catalog.=) '{name}')"


def member(value: str, key: str) -> str:
    return f"({value} OPERATOR(pg_catalog.->) {literal(key)}::pg_catalog.text)"


def expected_document(
    document: Document, column: str, base_type: str, server_version: int, consent: Callable[[str, str], str]
) -> str:
    """The text of the expression. Raises PgError where the rules have something in it that the page does not know."""
    if base_type not in ("json", "jsonb"):
        raise feature_not_supported(f"a column of type {base_type} has no paths")
    sources = [f"{_input(column, base_type, server_version)} AS v"]
    names: dict[tuple[str | None, str], str] = {}
    for part in (document.rest, *(listed.part for listed in document.paths)):
        mode = part.treatment.consent
        if mode is None or (part.attribute, mode) in names:
            continue
        if part.attribute is None or part.treatment.action != "show":
            raise feature_not_supported(f"consent inside of {column} asks no attribute")
        names[part.attribute, mode] = f"c{len(names) + 1}"
        sources.append(f"{consent(part.attribute, mode)} AS c{len(names)}")
    body = _Tree(names).whole(document.root)
    return f"((SELECT {body} FROM (SELECT {', '.join(sources)} OFFSET 0) AS _j)::pg_catalog.{base_type})"


def _input(column: str, base_type: str, server_version: int) -> str:
    if base_type == "jsonb":
        return f"({column} OPERATOR(pg_catalog.#>) '{{}}'::pg_catalog.text[])"
    text = f"({column})::pg_catalog.text"
    valid = f"pg_catalog.pg_input_is_valid({text}, 'pg_catalog.jsonb')"
    if server_version < 160000:
        tests = [
            (r'"(?:[^"\\]|\\.)*"', '""', "[0-9]{250}|[eE][+-]?[0-9]{4}"),
            (r"\\\\|\\u[dD][89abAB]..\\u[dD][c-fC-F]..", "", r"\\u(0000|[dD][89a-fA-F])"),
        ]
        valid = " AND ".join(
            f"(pg_catalog.regexp_replace(({text} COLLATE pg_catalog.\"C\"), {literal(taken)}, {literal(by)}, 'g') "
            f"OPERATOR(pg_catalog.!~) {literal(wrong)}::pg_catalog.text)"
            for taken, by, wrong in tests
        )
    return f"(CASE WHEN {valid} THEN {text}::pg_catalog.jsonb END)"


class _Tree:
    """The parts of the page's definition, by its names."""

    def __init__(self, names: dict[tuple[str | None, str], str]) -> None:
        self._names = names

    def whole(self, root: DocumentNode) -> str:
        text = self.inside(root, "_j.v", 1)
        if "drop" in (root.levels[0].treatment.action, root.levels[-1].treatment.action):
            either = f"WHEN {typed('_j.v', 'object')} THEN {EMPTY} WHEN {typed('_j.v', 'array')} THEN {NONE}"
            text = f"COALESCE({text}, CASE {either} END)"
        return text

    def place(self, node: DocumentNode, value: str, k: int) -> str:
        if node.depth == 0 and len(node.keys) == 0:
            return self.leaf(node.levels[-1], value)
        return f"(SELECT {self.inside(node, f'_p{k}.v', k + 1)} FROM (SELECT {value} AS v OFFSET 0) AS _p{k})"

    def inside(self, node: DocumentNode, value: str, k: int) -> str:
        return self.single(node, value, k) if node.depth == 0 else self.elements(node, value, 0, k)

    def elements(self, node: DocumentNode, value: str, level: int, k: int) -> str:
        item = f"_j{k}.v"
        deeper = level + 1 < node.depth
        element = self.elements(node, item, level + 1, k + 1) if deeper else self.single(node, item, k + 1)
        every = f"pg_catalog.jsonb_agg(_g{k}.g ORDER BY _g{k}.n)"
        holds = node.levels[level] if level < len(node.levels) else node.levels[-1]
        array = every if holds.treatment.action == "drop" else f"COALESCE({every}, {NONE})"
        test, wrapped = typed(value, "array"), f"pg_catalog.jsonb_build_array({value})"
        items = f"CASE WHEN {test} THEN {value} WHEN ({value} IS NOT NULL) THEN {wrapped} END"
        inner = (
            f"(SELECT {element} AS g, _j{k}.n AS n FROM pg_catalog.jsonb_array_elements({items}) "
            f"WITH ORDINALITY AS _j{k} (v, n) WHERE (_j{k}.n OPERATOR(pg_catalog.=) pg_catalog.abs(_j{k}.n)) OFFSET 0)"
        )
        result = f"CASE WHEN {test} THEN {array} ELSE ({every} OPERATOR(pg_catalog.->) 0) END"
        return f"(SELECT {result} FROM {inner} AS _g{k} WHERE (_g{k}.g IS NOT NULL))"

    def single(self, node: DocumentNode, value: str, k: int) -> str:
        last = node.levels[-1]
        if len(node.keys) == 0:
            return self.leaf(last, value)
        match last.treatment.action:
            case "drop":
                other = ""
            case "mask":
                other = f" WHEN {typed(value, 'array')} THEN {NULL} ELSE {self.leaf(last, value)}"
            case _:
                other = f" WHEN ({value} IS NOT NULL) THEN {NULL}"
        return f"(CASE WHEN {typed(value, 'object')} THEN {self.object(node, value, k)}{other} END)"

    def object(self, node: DocumentNode, value: str, k: int) -> str:
        last = node.levels[-1]
        listed = EMPTY
        for key, below in node.keys:
            gone = below.depth == 0 and not below.keys and below.levels[-1].treatment.action == "drop"
            if not gone:
                text = self.place(below, member(value, key), k)
                path = f"ARRAY[{literal(key)}::pg_catalog.text]"
                listed = f"pg_catalog.jsonb_set_lax({listed}, {path}, {text}, true, 'return_target')"
        match last.treatment.action:
            case "drop":
                inner = f"(SELECT {listed} AS v OFFSET 0) AS _o"
                return f"(SELECT CASE WHEN (_o.v OPERATOR(pg_catalog.<>) {EMPTY}) THEN _o.v END FROM {inner})"
            case "show" | "mask" as action:
                every = ", ".join(literal(key) for key, _ in node.keys)
                kept = f"({value} OPERATOR(pg_catalog.-) ARRAY[{every}]::pg_catalog.text[])"
                mask = last.treatment.mask
                masked = f"consentry.json_keys({kept})" if mask is not None and mask.kind == "keys" else EMPTY
                others = masked if action == "mask" else self._if_agreed(last, kept, masked)
                return f"({others} OPERATOR(pg_catalog.||) {listed})"
            case action:
                raise feature_not_supported(f"{action} inside of a document")

    def leaf(self, part: Part, value: str) -> str:
        match part.treatment.action:
            case "drop":
                return NO_VALUE
            case "show" if part.treatment.consent is None:
                return value
            case "show" | "mask" as action:
                try:
                    masked = json_mask_sql(part.treatment.mask or Mask("null"), value)
                except ValueError as error:
                    raise feature_not_supported(f"a mask inside of a document: {error}") from error
                return masked if action == "mask" else self._if_agreed(part, value, masked)
            case action:
                raise feature_not_supported(f"{action} inside of a document")

    def _if_agreed(self, part: Part, value: str, masked: str) -> str:
        mode = part.treatment.consent
        if mode is None:
            return value
        return f"(CASE WHEN _j.{self._names[part.attribute, mode]} THEN {value} ELSE {masked} END)"
