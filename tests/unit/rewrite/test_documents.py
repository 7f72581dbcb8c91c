"""Documents: what the rewriter writes is what the verifier demands, which has it from the page alone."""

from __future__ import annotations

import os
import re
from typing import Any

import pytest
from hypothesis import given, settings

from proxy.errors import PgError
from proxy.policy.paths import governed_document
from proxy.policy.table import Document, DocumentNode, Part, Treatment
from proxy.rewrite.documents import document_sql
from proxy.rewrite.forms import is_form_alias
from proxy.rewrite.lex import parse
from proxy.rewrite.verify.documents import expected_document
from tests.unit.policy.test_paths import Steps, part, rules, spelled


def consent(attribute: str, mode: str) -> str:
    return f"(_c.{mode} = '{attribute}')"


def tree(expression: str) -> str:
    return re.sub(r"'location': \d+|'(?:rexpr_)?list_(?:start|end)': \d+", "", repr(parse(f"SELECT {expression}")))


@settings(max_examples=300 if os.environ.get("CONSENTRY_NIGHTLY") else 10, deadline=None)
@given(rule=rules)
def test_the_rewriter_and_the_verifier_make_the_same_of_the_rules(rule: tuple[str, list[tuple[Steps, str]]]) -> None:
    rest, paths = rule
    document = governed_document(part(rest), [(spelled(path), part(kind)) for path, kind in paths])
    for base_type in ("json", "jsonb"):
        for version in (130000, 150000, 160000, 180000):
            written = document_sql(document, '_t."x"', base_type, version, consent)
            assert tree(written) == tree(expected_document(document, '_t."x"', base_type, version, consent))
            for name in re.findall(r" AS (\w+)(?: \(|\)| WHERE| ORDER|$)", written):
                assert is_form_alias(name) or name in ("v", "g", "n") or re.fullmatch(r"c\d+", name)


def _document(*parts: Part) -> Document:
    return Document(parts[0], (), DocumentNode(parts))


@pytest.mark.parametrize(
    "wrong",
    [
        _document(Part("x", Treatment("deny"))),
        _document(Part("x", Treatment("show")), Part("y", Treatment("deny"))),
        _document(Part(None, Treatment("show", consent="opt_in"))),
        _document(Part("x", Treatment("mask", consent="opt_in"))),
    ],
)
def test_the_verifier_takes_no_document_that_the_page_does_not_have(wrong: Any) -> None:
    with pytest.raises(PgError):
        expected_document(wrong, '_t."x"', "jsonb", 180000, consent)


def test_only_json_has_paths() -> None:
    with pytest.raises(PgError):
        expected_document(_document(Part("x", Treatment("show"))), '_t."x"', "text", 180000, consent)
