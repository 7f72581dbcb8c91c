"""What two answers to one statement must agree on.

Named and left out, each with its reason:

- the order of rows where no ORDER BY that is total tells it: it is the order of pages and of plans (rows are sorted here);
- estimates in EXPLAIN (`rows=`, `width=`, costs): they come from statistics and sizes of files. Those of twins are made
  equal (`level` below), but a page more or less changes a plan: plans of different shapes are counted as `plan`, those
  of one shape must have the same numbers. Plans are not compared with the copy's;
- timings: no statement that shows one is made;
- ctid, xmin and kin, TABLESAMPLE of a part, LIMIT without a total order: physical; such statements are made for the
  canaries only (`Style.exact` is off there);
- that a key of a hidden row exists, which unique and foreign keys tell who writes such a key (SECURITY.md);
- OIDs of what the statement itself made (temp tables), and process numbers;
- file, line and routine of errors: PostgreSQL's own source.

Against the copy also:

- messages of errors: only SQLSTATEs are compared, since the gateway takes values out of them;
- the table that a column of the answer comes from: what is masked comes from none;
- type modifiers of expressions: the planner folds what reads a constant mask, and then finds another one;
- 25P02 in an aborted transaction: what the gateway resolves itself it answers first;
- errors of values (class 22, and 21000, 53400, 54000) that come on one side alone: which row an expression meets first, or
  whether at all, is told by the plan, and the plans differ. Counted as `order`; `risky` statements are few for that.
- writes to keys of hidden rows, and by foreign keys: a constraint of the database looks at all rows (see writes.py).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from itertools import groupby

from tests.servers import PgServer
from tests.strength import world
from tests.strength.client import Answer, Message, fields
from tests.strength.random_sql.sending import Reply

_NAME = re.compile(rb"canaries_[abr]_")
# Whether an expression meets a value is told by the plan.
BY_PLAN = re.compile(r"22...|21000|54...|53...")
# A constraint looks at all rows: SECURITY.md says that a writer learns of keys.
BY_KEY = ("23503", "23505")
TIMED_OUT = ("57014", "55P03", "40P01")


def comparable(answer: Answer, last_oid: int, messages: bool = True) -> list[Message]:
    found: list[Message] = []
    for kind, body in answer.messages:
        content = body
        if kind in b"EN":
            parts = {k: v for k, v in fields(body).items() if k not in "FLR" and (messages or k == "C")}
            if not messages and kind == b"N":
                continue
            content = repr(sorted(parts.items())).encode()
        elif kind == b"T":
            content = _without_oids(body, last_oid if messages else 0)
        elif kind == b"A":
            content = body[4:]
        elif kind == b"d" and body.startswith(b"PGCOPY"):
            content = body[19:]  # the header of the binary format comes with the first row
        elif kind in b"SK":
            continue
        found.append((kind, _NAME.sub(b"canaries_x_", content)))
    return found


def _without_oids(body: bytes, last_oid: int) -> bytes:
    """A RowDescription without OIDs of relations and types made later; 0: it is held against the copy's (`_described`)."""
    out = bytearray(body)
    for at in _columns(body):
        for place in (at, at + 6):
            if int.from_bytes(body[place : place + 4], "big") > (last_oid or 2**31):
                struct.pack_into("!I", out, place, 0)
    return bytes(out)


def _columns(body: bytes) -> Iterator[int]:
    """Where each column's description goes on after its name."""
    at = 2
    for _ in range(int.from_bytes(body[:2], "big")):
        at = body.index(b"\0", at) + 1
        yield at
        at += 18


def _described(body: bytes, copy: bytes) -> tuple[bytes, bytes]:
    """Both descriptions without the tables that columns come from, and expressions without type modifiers."""
    left, right = bytearray(body), bytearray(copy)
    for at, other in zip(_columns(body), _columns(copy), strict=False):
        plain = copy[other : other + 4] != b"\0\0\0\0"
        for out, place in ((left, at), (right, other)):
            struct.pack_into("!IH", out, place, 0, 0)
            if not plain:
                struct.pack_into("!i", out, place + 12, -1)
    return bytes(left), bytes(right)


_ESTIMATE = re.compile(
    rb" *\(cost=[^)]*\)|\"(?:Startup Cost|Total Cost|Plan Rows|Plan Width)\": [0-9.]+,?\s*|Memory(?: Usage)?: [0-9]+kB"
)
_DIGITS = re.compile(rb"[0-9.]+")


def plans_differ(first: Reply, second: Reply, last_oid: int) -> str | None:
    """Of EXPLAIN: how numbers of plans of one shape differ; None where the shapes do."""
    left, right = (
        [
            (kind, _ESTIMATE.sub(b"", body[6:] if kind == b"D" else body))
            for kind, body in comparable(reply.whole, last_oid)
        ]
        for reply in (first, second)
    )
    if left == right:
        return ""
    if (
        [_DIGITS.sub(b"", body) for _, body in left] != [_DIGITS.sub(b"", body) for _, body in right]
        and not first.code
        and not second.code
    ):
        return None
    return next(
        (f"{one} | {two}" for one, two in zip(left, right, strict=False) if one != two), "other numbers of messages"
    )


def sorted_rows(messages: list[Message]) -> list[Message]:
    """Rows in an order of their own, and the notices of functions that the rows were given to, in theirs."""
    return [
        m for loose, group in groupby(messages, lambda m: m[0] in b"DdN") for m in (sorted(group) if loose else group)
    ]


def difference(first: Reply, second: Reply, last_oid: int, ordered: bool, messages: bool = True) -> str:
    """How they differ, in words; empty: not at all."""
    left, right = (comparable(reply.whole, last_oid, messages) for reply in (first, second))
    if not messages:
        for number, (one, two) in enumerate(zip(left, right, strict=False)):
            if one[0] == two[0] == b"T":
                first_body, second_body = _described(one[1], two[1])
                left[number], right[number] = (b"T", first_body), (b"T", second_body)
    if not ordered:
        left, right = sorted_rows(left), sorted_rows(right)
    if left == right:
        return ""
    for one, two in zip(left, right, strict=False):
        if one != two:
            return f"{one[0].decode()}{_near(one[1], two[1])} | {two[0].decode()}{_near(two[1], one[1])}"
    return f"{len(left)} messages and {len(right)}"


def _near(content: bytes, other: bytes) -> str:
    """The content around the first byte that differs."""
    at = next(
        (n for n, (a, b) in enumerate(zip(content, other, strict=False)) if a != b), min(len(content), len(other))
    )
    return repr(content[max(at - 60, 0) : at + 80])


def tidy(server: PgServer, database: str) -> None:
    """Tables without the dead rows of statements rolled back, whose pages would change plans."""
    with server.connect(database) as connection:
        for table in (*world.CELLS, "products", "inbox", "people_log"):
            if table not in ("readings", "secrets"):
                connection.execute(f"VACUUM FULL public.{table}")
        for part in ("readings_lo", "readings_hi"):
            connection.execute(f"VACUUM FULL public.{part}")
    level(server, database)


def level(server: PgServer, database: str) -> None:
    """Makes the planner blind to contents, so that twins get the same plans."""
    with server.connect(database) as connection:
        connection.execute("DELETE FROM pg_statistic WHERE starelid >= 16384")
        connection.execute("DELETE FROM pg_statistic_ext_data")
        connection.execute(
            "UPDATE pg_class SET reltuples = 12, relpages = 1 WHERE oid >= 16384 AND relkind IN ('r', 'm', 'i')"
        )
        connection.execute(f"ALTER DATABASE {database} SET statement_timeout = '5s'")
        connection.execute(f"ALTER DATABASE {database} SET jit = off")
        connection.execute(f"ALTER DATABASE {database} SET max_parallel_workers_per_gather = 0")
