"""Attacks on what the gateway knows of the session: messages in an order that no text shows.

A shadow is a temp table with a governed table's name; while it is there, the same text reads it and passes as it is. So each of
these makes it vanish in a way that the gateway could miss, and reads.
"""

from __future__ import annotations

from tests.strength.client import SYNC, Answer, Wire, bind, close, execute, parse, query

_SHADOW = "create temp table people (card text)"
_READ = "select card from people"


def _run(text: str) -> bytes:
    return parse(text) + bind() + execute()


def _again(name: bytes = b"s") -> bytes:
    return bind(name) + execute()


_PREPARED = parse(_READ, b"s") + SYNC

# Name: what is sent, each part after the whole answer to the part before. `Q` are simple queries.
PIPELINES: dict[str, tuple[bytes, ...]] = {
    "made, rolled back, read without a Sync": (_run("begin") + _run(_SHADOW) + _run("rollback") + _run(_READ) + SYNC,),
    "undone by an error in its pipeline": (_run(_SHADOW) + _run("select 1/0") + SYNC, _run(_READ) + SYNC),
    "dropped in the pipeline that reads": (query(_SHADOW), _run("drop table people") + _run(_READ) + SYNC),
    "prepared, dropped, executed": (query(_SHADOW), _PREPARED, query("drop table people"), _again() + SYNC),
    "prepared, then dropped and executed in one pipeline": (
        query(_SHADOW),
        _PREPARED,
        _run("drop table people") + _again() + SYNC,
    ),
    "prepared, rolled back, executed": (query("begin"), query(_SHADOW), _PREPARED, query("rollback"), _again() + SYNC),
    "unnamed, rolled back by a named ROLLBACK": (
        query("begin"),
        query(_SHADOW),
        parse("rollback", b"r") + parse(_READ) + SYNC,
        _again(b"r") + _again(b"") + SYNC,
    ),
    "prepared, rolled back to a savepoint": (
        query("begin"),
        query("savepoint a"),
        query(_SHADOW),
        _PREPARED,
        query("rollback to a"),
        _again() + SYNC,
        query("rollback"),
    ),
    "prepared, then DISCARD TEMP": (query(_SHADOW), _PREPARED, query("discard temp"), _again() + SYNC),
    "prepared, gone on commit": (
        query("begin"),
        query(f"{_SHADOW} on commit drop"),
        _PREPARED,
        query("commit"),
        _again() + SYNC,
    ),
    "gone on a commit in the pipeline": (
        query("begin"),
        query(f"{_SHADOW} on commit drop"),
        _PREPARED,
        _run("commit") + _again() + SYNC,
    ),
    "a commit that is a rollback": (
        query("begin"),
        query(_SHADOW),
        _PREPARED,
        query("select 1/0"),
        query("commit"),
        _again() + SYNC,
    ),
    "prepared in the pipeline that fails": (
        _run(_SHADOW) + parse(_READ, b"s") + _run("select 1/0") + SYNC,
        _again() + SYNC,
        _run(_READ) + SYNC,
    ),
    "queries that do not wait": (query(_SHADOW) + query("drop table people") + query(_READ),),
    "queries that do not wait, with an error": (query(f"{_SHADOW}; select 1/0") + query(_READ),),
    "a transaction that does not wait": (query("begin") + query(_SHADOW) + query("rollback") + query(_READ),),
    "simple and extended that do not wait": (
        query(_SHADOW) + _run("drop table people") + SYNC + _run(_READ) + SYNC + query(_READ),
    ),
    "PREPARE, then dropped": (
        query(_SHADOW),
        query(f"prepare s as {_READ}"),
        query("drop table people"),
        query("execute s"),
        _run("execute s") + SYNC,
    ),
    "ROLLBACK AND CHAIN": (
        query("begin"),
        query(_SHADOW),
        query("rollback and chain"),
        query(_READ),
        query("rollback"),
    ),
    "COMMIT AND CHAIN": (
        query("begin"),
        query(f"{_SHADOW} on commit drop"),
        query("commit and chain"),
        query(_READ),
        query("rollback"),
    ),
    "ABORT": (query("begin"), query(_SHADOW), query("abort"), query(_READ)),
    "PREPARE TRANSACTION fails": (query("begin"), query(_SHADOW), query("prepare transaction 'x'"), query(_READ)),
    "savepoints of one name": (
        query("begin; savepoint a"),
        query(_SHADOW),
        query("savepoint a"),
        query("rollback to a"),
        query("release a"),
        query("rollback to a"),
        query(_READ),
        query("rollback"),
    ),
    "savepoints that differ in case": (
        query('begin; savepoint "A"; savepoint a'),
        query(_SHADOW),
        query('rollback to "A"'),
        query(_READ),
        query("rollback"),
    ),
    "not made in time": (
        query("set statement_timeout = '30ms'"),
        query("create temp table people as select pg_sleep(1)::text as card"),
        query("reset statement_timeout"),
        query(_READ),
    ),
    "not made for an error": (query("create temp table people as select (1/0)::text as card"), query(_READ)),
    "dropped twice": (query(_SHADOW), query("drop table if exists people, pg_temp.people"), query(_READ)),
    "back after a rollback, then dropped": (
        query(_SHADOW),
        query("begin"),
        query("drop table people"),
        query("rollback"),
        query("drop table people"),
        query(_READ),
    ),
    "closed, and prepared again in the pipeline that drops": (
        query(_SHADOW),
        _PREPARED,
        close(b"S", b"s") + _run("drop table people") + parse(_READ, b"s") + _again() + SYNC,
    ),
    "a Parse that fails leaves the old statement": (
        query(_SHADOW),
        _PREPARED,
        query("drop table people"),
        parse("selec", b"s") + SYNC,
        _again() + SYNC,
    ),
    "a protocol's statement by EXECUTE": (
        query(_SHADOW),
        _PREPARED,
        query("drop table people"),
        query("execute s"),
        query("explain (analyze, verbose) execute s"),
    ),
    "a portal by FETCH": (
        query("begin"),
        query(_SHADOW),
        _PREPARED + bind(b"s", b"p") + SYNC,
        query("fetch all p"),
        query("rollback"),
        query("fetch all p"),
        _again() + SYNC,
    ),
    "the path set in the pipeline": (
        query("set search_path = pg_catalog"),
        _run("reset search_path") + _run(_READ) + SYNC,
    ),
    "the path rolled back in the pipeline": (
        query("begin"),
        query("set local search_path = pg_catalog"),
        _run("rollback") + _run(_READ) + SYNC,
    ),
    "the path of a statement that is prepared": (
        query("set search_path = pg_catalog"),
        _PREPARED,
        query("reset all"),
        _PREPARED + _again() + SYNC,
    ),
}


def send(wire: Wire, parts: tuple[bytes, ...]) -> Answer:
    """All that came back. What is sent after an error that closed the connection is not sent."""
    answer = Answer()
    for part in parts:
        if not wire.usable:
            break
        wire.send(part)
        some = wire.read(_answers(part))
        answer.messages += some.messages
        answer.ended, answer.hung = answer.ended or some.ended, answer.hung or some.hung
    return answer


def _answers(data: bytes) -> int:
    """How many ReadyForQuery will come: one a Query or Sync."""
    count, at = 0, 0
    while at < len(data):
        count += data[at : at + 1] in (b"Q", b"S")
        at += int.from_bytes(data[at + 1 : at + 5], "big") + 1
    return count
