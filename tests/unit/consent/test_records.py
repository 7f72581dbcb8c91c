"""Files of consent records: what is read, and what is named as wrong."""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from proxy.consent import records
from proxy.consent.records import Format, Record, Wrong, WrongRecordError
from proxy.errors import ConsentryError

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
HEADER = "subject,app,attribute,decision,at,expires_at,text_version\n"


def meaning(app: str, what: str) -> tuple[Sequence[str], str | None]:
    if app != "mailco":
        raise ConsentryError(f'there is no app "{app}" in the rules')
    return (("email", "name"), what) if what == "all" else ((what,), None)


def read(text: str | bytes, kind: Format = "csv", key: str = "bigint") -> list[tuple[int, Record | Wrong]]:
    content = text if isinstance(text, bytes) else text.encode()
    return list(records.read(io.BytesIO(content), kind, key, NOW, meaning))


def wrong(text: str | bytes, kind: Format = "csv", key: str = "bigint") -> dict[int, str]:
    return {line: one.reason for line, one in read(text, kind, key) if isinstance(one, Wrong)}


def test_csv() -> None:
    found = read(
        HEADER + "1,mailco,email,granted,2026-01-02T03:04:05+01:00,2027-01-01,t1\n\n-7,mailco,all,withdrawn,,,\n"
    )
    at, until = datetime(2026, 1, 2, 2, 4, 5, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
    assert found == [
        (2, Record(1, "mailco", ("email",), None, "granted", at, until, "t1")),
        (4, Record(-7, "mailco", ("email", "name"), "all", "withdrawn", None, None, None)),
    ]


def test_columns_may_be_fewer_and_in_any_order() -> None:
    ((_, one),) = read("\ufeffdecision,attribute,app,subject\r\ngranted,email,mailco,1\r\n")
    assert one == Record(1, "mailco", ("email",), None, "granted", None, None, None)


def test_json_lines() -> None:
    lines = [
        {"subject": 1, "app": "mailco", "attribute": "email", "decision": "granted", "at": "2026-01-02 03:04:05+00"},
        {"subject": "2", "app": "mailco", "attribute": "email", "decision": "withdrawn", "text_version": None},
    ]
    found = read("\n".join(map(json.dumps, lines)), "jsonl")
    assert [(line, one.subject, one.decision) for line, one in found if isinstance(one, Record)] == [
        (1, 1, "granted"),
        (2, 2, "withdrawn"),
    ]


@pytest.mark.parametrize(
    ("key", "subject", "taken"),
    [
        ("text", ' o\'hara, "x"\n2 ', ' o\'hara, "x"\n2 '),
        ("text", "a\rb", "a\rb"),
        ("text", "\r\n\u2028\x0b\\", "\r\n\u2028\x0b\\"),
        ("uuid", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", uuid.UUID("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")),
        ("bigint", "+9223372036854775807", 2**63 - 1),
    ],
)
def test_what_is_written_is_read(key: str, subject: str, taken: object) -> None:
    row = {
        "subject": subject, "app": "mailco", "attribute": "email", "decision": "granted", "at": NOW,
        "expires_at": NOW + timedelta(microseconds=1), "text_version": None,
    }  # fmt: skip
    for kind in ("csv", "jsonl"):
        text = records.written([row, row], kind, header=True)
        first, second = (one for _, one in read(text, kind, key))
        assert isinstance(first, Record)
        assert first == second
        assert (first.subject, first.at, first.expires_at) == (taken, NOW, row["expires_at"])


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (",mailco,email,granted,,,", "there is no subject"),
        ("1,mailco,,granted,,,", "there is no attribute"),
        ("1,mailko,email,granted,,,", 'there is no app "mailko" in the rules'),
        ("1,mailco,email,yes,,,", 'the decision is granted or withdrawn, not "yes"'),
        ("ann,mailco,email,granted,,,", '"ann" is not a subject key of type bigint'),
        ("1.5,mailco,email,granted,,,", "is not a subject key of type bigint"),
        ("9223372036854775808,mailco,email,granted,,,", "is not a subject key of type bigint"),
        ("١,mailco,email,granted,,,", "is not a subject key of type bigint"),
        ("1,mailco,email,granted,yesterday,,", 'at, "yesterday", is no time; write 2027-01-31T12:00:00Z'),
        ("1,mailco,email,granted,0001-01-01T00:00:00+14:00,,", "is no time"),
        ("1,mailco,email,granted,2026-11-26T12:06:00Z,,", "is in the future"),
        ("1,mailco,email,granted,2026-01-01,2025-01-01,", "is not after the decision"),
        ("1,mailco,email,granted,,2026-01-01,", "is not after now: give the decision's time in `at`"),
        ("1,mailco,email,withdrawn,,2027-01-01,", "what is withdrawn does not expire"),
        ("1,mailco,email,granted,,," + "t" * 201, "text_version is longer than 200 characters"),
        ("1,mailco,email,granted,,,\0", "text_version holds a zero byte"),
        ("1,mailco,email,granted,,", "the line has 6 fields, and the header 7"),
        ('1,mailco,email,gran"ted",,,\n1,mailco,"email"x,granted,,,', "the line is not CSV"),
    ],
)
def test_wrong_lines_of_csv_are_named(line: str, said: str) -> None:
    found = wrong(HEADER + "1,mailco,email,granted,,,\n" + line + "\n2,mailco,email,granted,,,\n")
    assert min(found) == 3
    assert said in " ".join(found.values())


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "the line is not JSON"),
        ("[" * 9999, "the line is not JSON"),
        ("[1]", "the line is not a JSON object"),
        ('{"subject": 1, "app": "mailco", "attribute": "email", "decision": "granted", "until": 1}', 'no key "until"'),
        ('{"subject": 1, "subject": 2, "app": "mailco", "attribute": "email", "decision": "granted"}', "comes twice"),
        ('{"subject": true, "app": "mailco", "attribute": "email", "decision": "granted"}', "a text or a whole number"),
        ('{"subject": 1.0, "app": "mailco", "attribute": "email", "decision": "granted"}', "a text or a whole number"),
        ('{"subject": 1, "app": ["mailco"], "attribute": "email", "decision": "granted"}', "app is a text"),
        ('{"subject": 1, "app": "mailco", "attribute": "email", "decision": "granted", "at": 5}', "at is a text"),
        ('{"subject": 1, "app": "mailco", "attribute": "email"}', "there is no decision"),
    ],
)
def test_wrong_lines_of_json_are_named(line: str, said: str) -> None:
    good = '{"subject": 1, "app": "mailco", "attribute": "email", "decision": "granted"}'
    found = wrong(f"{good}\n\n{line}\n{good}\n", "jsonl")
    assert list(found) == [3]
    assert said in found[3]


@pytest.mark.parametrize(
    ("subject", "said"),
    [(b"\xff", "the subject is not UTF-8"), (b"\0", "zero byte"), (b"\xc3\xa9" * 501, "longer than 1000 bytes")],
)
def test_keys_that_no_text_is(subject: bytes, said: str) -> None:
    found = wrong(b"subject,app,attribute,decision\n" + subject + b",mailco,email,granted\n", key="text")
    assert list(found) == [2]
    assert said in found[2]


def test_a_line_without_an_end_stops_the_reading() -> None:
    endless = "x" * (records.LINE_BYTES + 1)
    for kind, text in (("csv", HEADER + endless), ("jsonl", "\n" + endless)):
        assert wrong(text, kind) == {2: wrong(text, kind)[2]}  # type: ignore[arg-type]
        assert f"longer than {records.LINE_BYTES} bytes" in wrong(text, kind)[2]  # type: ignore[arg-type]


def test_a_quote_that_is_never_closed_is_named_where_it_begins() -> None:
    found = wrong(HEADER + '"1,mailco,email,granted,,,\n' + "1,mailco,email,granted,,,\n" * 9)
    assert list(found) == [2]


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("", "lacks subject, app, attribute, decision"),
        ("1,mailco,email,granted", "lacks subject"),
        ("subject,app,attribute,decision,until", 'has "until"'),
        ("subject,app,attribute,decision,app", "repeats a name"),
        ('sub"ject,"x"y', "is no CSV header"),
        ("x" * (records.LINE_BYTES + 1), "longer"),
    ],
)
def test_a_file_without_a_header_is_refused(header: str, said: str) -> None:
    with pytest.raises(WrongRecordError, match=said):
        read(header)
