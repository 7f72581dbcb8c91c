"""Reads attacks/*.sql and dangerous.txt.

A block begins with a line `-- # idea`. Lines after it that say `-- word: ...` steer the runner:

    -- params: 1 | abc        values for $1, $2 (then it is not sent by simple query); \\N is NULL
    -- copy: line             a line (may be repeated) for COPY FROM STDIN; \\t is a tab
    -- session                a connection of its own; steps are separated by lines `-- next`, and nothing is rolled back
    -- options: name=value    start-up parameters, separated by ` | `; makes it a session
    -- nodiff: why            answers may differ between twins without a leak (times, numbers of processes)
    -- vacuous: why           it leaks nothing on a direct connection either; kept for its kind
    -- apps: a b              only these apps send it

In texts, `{people.card.3}` is what the base database holds in that cell, `{oid:public.people}` an OID, `{u:a0}` a character.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.strength import world

HERE = Path(__file__).parent
_CELL = re.compile(r"\{(\w+)\.(\w+)\.(\d+)\}")
_OID = re.compile(r"\{oid:([^}]+)\}")
_CHARACTER = re.compile(r"\{u:([0-9a-f]+)\}")
_DIRECTIVE = re.compile(r"-- (params|copy|session|options|nodiff|vacuous|apps)\b:? ?(.*)$")


@dataclass(frozen=True)
class Attack:
    kind: str  # the file's name
    idea: str
    steps: tuple[str, ...]
    params: tuple[str | None, ...] = ()
    copy: tuple[bytes, ...] | None = None
    session: bool = False
    options: tuple[tuple[str, str], ...] = ()
    nodiff: str = ""
    vacuous: str = ""
    apps: tuple[str, ...] = world.APPS

    @property
    def name(self) -> str:
        return f"{self.kind}: {self.idea}"


def _fill(text: str, oids: dict[str, int]) -> str:
    text = _CELL.sub(lambda found: next(world.markers_of(world.value(found[1], found[2], int(found[3])))), text)
    text = _OID.sub(lambda found: str(oids.get(found[1], 0)), text)
    return _CHARACTER.sub(lambda found: chr(int(found[1], 16)), text)


def read_attacks(oids: dict[str, int]) -> list[Attack]:
    return [attack for path in sorted((HERE / "attacks").glob("*.sql")) for attack in _read(path, oids)]


def wanted_oids() -> list[str]:
    """The relations whose OIDs the attacks name."""
    return sorted({name for path in (HERE / "attacks").glob("*.sql") for name in _OID.findall(path.read_text("utf-8"))})


def _read(path: Path, oids: dict[str, int]) -> list[Attack]:
    found = []
    for block in re.split(r"(?m)^-- # ", path.read_text("utf-8"))[1:]:
        idea, _, rest = block.partition("\n")
        attack = Attack(path.stem, idea.strip(), ())
        body = []
        for line in rest.splitlines():
            match = _DIRECTIVE.match(line)
            if match is None:
                body.append(line)
                continue
            attack = _direct(attack, match[1], match[2].strip())
        steps = tuple(_fill(step, oids).strip() for step in re.split(r"(?m)^-- next$", "\n".join(body)) if step.strip())
        params = tuple(None if p is None else _fill(p, oids) for p in attack.params)
        if len(steps) > 1:
            attack = replace(attack, session=True)
        found.append(replace(attack, steps=steps, params=params))
    return found


def _direct(attack: Attack, word: str, rest: str) -> Attack:
    change: dict[str, Any]
    match word:
        case "params":
            change = {"params": tuple(None if part.strip() == "\\N" else part.strip() for part in rest.split("|"))}
        case "copy":
            line = rest.replace("\\t", "\t").encode() + b"\n"
            change = {"copy": (*(attack.copy or ()), line)}
        case "session":
            change = {"session": True}
        case "options":
            pairs = tuple((p.partition("=")[0].strip(), p.partition("=")[2]) for p in rest.split(" | "))
            change = {"options": pairs, "session": True}
        case "apps":
            change = {"apps": tuple(rest.split())}
        case _:
            change = {word: rest or "yes"}
    return replace(attack, **change)


@dataclass(frozen=True)
class Dangerous:
    """A line of dangerous.txt."""

    kind: str  # function, relation, statement
    name: str
    reason: str


def read_dangerous() -> list[Dangerous]:
    found = []
    for line in (HERE / "dangerous.txt").read_text("utf-8").splitlines():
        if line.startswith("#") or not line.strip():
            continue
        name, _, rest = line.partition("\t")
        kind, _, reason = rest.partition(":")
        found.append(Dangerous(kind.partition("[")[0].strip(), name.strip(), reason.strip()))
    return found


# A plausible argument for a parameter of a type, by pg_type's name; the first is used, the others one at a time.
ARGUMENTS: dict[str, tuple[str, ...]] = {
    "text": ("'people'", "'select card from public.people'", "'public.people_card'"),
    "cstring": ("'people'",),
    "name": ("'people'",),
    "regclass": ("'public.people'::regclass", "'public.people_card'::regclass", "'public.orders_id_seq'::regclass"),
    "oid": ("'public.people'::regclass::oid", "424242"),
    "int4": ("0", "1"),
    "int8": ("0", "100"),
    "int2": ("1",),
    "bool": ("true",),
    "float8": ("1.0",),
    "float4": ("1.0",),
    "numeric": ("1",),
    "tid": ("'(0,1)'::tid",),
    "bytea": ("'\\x00'::bytea",),
    "refcursor": ("'c'::refcursor",),
    "pg_lsn": ("'0/0'::pg_lsn",),
    "timestamptz": ("now()",),
    "interval": ("interval '1 second'",),
    "_text": ("array['people']",),
    "tsquery": ("'a'::tsquery",),
    "char": ("'r'::\"char\"",),
    "xid": ("'1'::xid",),
    "regnamespace": ("'public'::regnamespace",),
    "int2vector": ("'1'::int2vector",),
    "aclitem": ("'=r/postgres'::aclitem",),
    "pg_node_tree": ("null::pg_node_tree",),
}
