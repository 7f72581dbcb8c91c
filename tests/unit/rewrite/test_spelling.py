"""Names and constants that the client's encoding does not have: another spelling, the same statement."""

from __future__ import annotations

import pytest
from postgast import deparse, parse

from proxy.rewrite.spelling import spelled


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('SELECT t."a", \'é\' FROM "t"', 'SELECT t."a", \'é\' FROM "t"'),
        ('SELECT t."na€me" FROM "s"."t✓"', 'SELECT t. U&"na\\+0020ACme" FROM "s". U&"t\\+002713"'),
        ('SELECT 1 AS"€é""\\"', 'SELECT 1 AS U&"\\+0020ACé""\\\\"'),
        ("SELECT '€''\\n', '\\'", "SELECT  U&'\\+0020AC''\\\\n', '\\'"),
        (r"SELECT E'\\€\€\'€\n'", r"SELECT E'\\\U000020AC\U000020AC\'\U000020AC\n'"),
        ("SELECT '\U0001f600' AS \"\U0001f600\"", "SELECT  U&'\\+01F600' AS  U&\"\\+01F600\""),
    ],
)
def test_what_latin1_does_not_have(text: str, expected: str) -> None:
    assert spelled(text, "latin-1") == expected
    assert deparse(parse(expected)) == deparse(parse(text))


@pytest.mark.parametrize("text", ["SELECT $$€$$", "SELECT €", "SELECT 1 /* € */", 'SELECT U&"€"'])
def test_what_has_no_other_spelling_stays(text: str) -> None:
    assert spelled(text, "latin-1") == text
