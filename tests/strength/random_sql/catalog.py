"""What one app finds in its database. What it may name is learnt by asking the gateway; what the cells hold, world.py says."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.servers import PgServer
from tests.strength import world
from tests.strength.client import Wire, query
from tests.strength.random_sql.sqltypes import CONSTANTS, TYPES


@dataclass(frozen=True)
class Column:
    """`seen`: open, dropped (42703) or denied (42501)."""

    name: str
    type: str
    seen: str = "open"
    writable: bool = False


@dataclass(frozen=True)
class Relation:
    """`whole`: `*` and the whole row may be read. `kind`: r(elation), p(artitioned), v(iew), m(aterialised view)."""

    name: str
    kind: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    whole: bool = True
    readable: bool = True
    deletable: bool = False

    @property
    def open(self) -> tuple[Column, ...]:
        return tuple(c for c in self.columns if c.seen == "open")

    @property
    def is_table(self) -> bool:
        return self.kind in "rp"

    def column(self, name: str) -> Column:
        return next(c for c in self.columns if c.name == name)


@dataclass(frozen=True)
class Catalog:
    app: str
    version: int
    relations: tuple[Relation, ...]
    values: dict[str, tuple[str, ...]] = field(default_factory=dict)  # that the base database holds, hidden ones too

    def relation(self, name: str) -> Relation:
        return next(r for r in self.relations if r.name == name)


NAMES = (
    "people orders items readings readings_lo readings_hi docs docs_child products inbox mv_people "
    "v_people v_join v_barrier v_star v_agg v_invoker secrets"
).split()
_KEYS = {"items": ("order_id", "line"), "v_agg": ("country",)}
_SHAPES = """
SELECT c.relname, c.relkind::text, a.attname, format_type(a.atttypid, NULL)
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relname = ANY(%s) AND c.relnamespace = 'public'::regnamespace ORDER BY c.relname, a.attnum
"""
_SHORT = {
    "integer": "int4",
    "bigint": "int8",
    "character varying": "varchar",
    "boolean": "bool",
    "integer[]": "int4[]",
    "secret_word": "text",
    **{name: short for short, name in TYPES.items()},
    "mood": "mood",
}


def learn(server: PgServer, port: int, app: str) -> Catalog:
    """Asks the gateway at `port`, as the app, what it may read and write."""
    with server.connect(world.base(app)) as connection:
        rows = connection.execute(_SHAPES, [NAMES]).fetchall()
    shapes: dict[str, tuple[str, list[tuple[str, str]]]] = {}
    for relation, kind, column, sqltype in rows:
        shapes.setdefault(relation, (kind, []))[1].append((column, _SHORT[sqltype]))
    wire = Wire(port, world.login(app), world.base(app), timeout=300)
    relations = [_ask(wire, name, *shapes[name]) for name in NAMES]
    wire.close()
    return Catalog(app, server.version // 10000, tuple(relations), _values())


def _ask(wire: Wire, name: str, kind: str, columns: list[tuple[str, str]]) -> Relation:
    texts = [f"SELECT * FROM public.{name} LIMIT 0", f"SELECT 1 FROM public.{name} LIMIT 0"]
    texts.append(f"DELETE FROM public.{name} WHERE false")
    for column, _ in columns:
        texts += [
            f"SELECT {column} FROM public.{name} LIMIT 0",
            f"UPDATE public.{name} SET {column} = {column} WHERE false",
        ]
    wire.send(b"".join(query(text) for text in texts))
    codes = [next(iter(wire.read(1).codes()), "") for _ in texts]
    assert wire.usable, f"the gateway does not answer what {name} is"
    seen = {"": "open", "42703": "dropped"}
    found = [
        Column(column, sqltype, seen.get(codes[3 + 2 * n], "denied"), not codes[4 + 2 * n])
        for n, (column, sqltype) in enumerate(columns)
    ]
    key = _KEYS.get(name, ("id",))
    return Relation(name, kind, tuple(found), key, not codes[0], not codes[1], kind in "rp" and not codes[2])


def _values() -> dict[str, tuple[str, ...]]:
    """Constants of each type, and the content of every cell of the base database."""
    kinds = {
        "text": "text", "email": "text", "phone": "text", "toast": "text", "date14": "date", "date15": "date",
        "number": "int8", "small": "int4", "rating": "numeric", "json": "jsonb", "uuid": "uuid", "ip": "inet",
        "mood": "mood",
    }  # fmt: skip
    found: dict[str, list[str]] = {sqltype: [] for sqltype in TYPES}
    for table, columns in world.CELLS.items():
        for column, kind in columns.items():
            for row in range(1, world.ROWS[table] + 1):
                value = world.value(table, column, row)
                if kind == "tags":
                    found["text[]"].append("{" + ",".join(value) + "}")
                elif kind == "bytes":
                    found["bytea"].append("\\x" + value.hex())
                elif kind != "toast":
                    found[kinds[kind]].append(str(value))
    found["varchar"] += found["text"][:24]
    found["int4"] += [str(n) for n in range(1, 25)] * 2
    return {sqltype: tuple(found[sqltype] or CONSTANTS[sqltype]) for sqltype in TYPES}
