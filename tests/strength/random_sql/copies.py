"""The materialised copy: a database in which the governed form was applied beforehand.

Tables hold what the app may see: dropped and denied columns are not there, hidden rows neither, masked values are stored. What is
shown is filled in from world.py, said by hand; only what masks make of a value is read through the gateway (the canaries
look at that).
"""

from __future__ import annotations

from typing import Any

import psycopg

from tests.servers import PgServer
from tests.strength import world
from tests.strength.client import Wire
from tests.strength.random_sql.catalog import Catalog, Relation

_TABLES = ("people", "orders", "items", "readings", "docs", "docs_child")
_PARTITIONS = {"readings_lo": "readings", "readings_hi": "readings"}
# view: (what stands before the list of columns, columns, what stands after)
_VIEWS: dict[str, tuple[str, tuple[str, ...], str]] = {
    "v_people": ("", ("id", "name", "email", "card", "salary"), "FROM public.people"),
    "v_join": ("", ("p.id", "p.name", "p.card", "o.memo", "o.total"), "FROM public.people p JOIN public.orders o ON o.customer_id = p.id"),
    "v_barrier": ("WITH (security_barrier)", ("*",), "FROM public.people WHERE card <> 'zqx7viewdef001'"),
    "v_star": ("", ("*",), "FROM public.people"),
    "v_agg": ("", ("country", "string_agg(card, ',' ORDER BY id) AS cards"), "FROM public.people GROUP BY country"),
    "v_invoker": ("", ("id", "card", "salary"), "FROM public.people"),
}  # fmt: skip


def name_of(app: str) -> str:
    return f"canaries_r_{app}"


def build(server: PgServer, port: int, catalog: Catalog) -> str:
    """Makes the copy of the app's base database; its name."""
    name = name_of(catalog.app)
    with server.connect() as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {world.base(catalog.app)}")
    server._databases.append(name)
    with server.connect(name) as connection:
        for view in (*_VIEWS, "v_fun"):
            connection.execute(f"DROP VIEW public.{view} CASCADE")
        connection.execute("DROP FUNCTION public.all_people, public.secret_part CASCADE")
        connection.execute("ALTER TABLE public.orders DROP CONSTRAINT orders_customer_id_fkey")
        connection.execute("ALTER TABLE public.inbox DROP CONSTRAINT inbox_person_id_fkey")
        connection.execute("DROP TABLE public.secrets CASCADE")
        wire = Wire(port, world.login(catalog.app), world.base(catalog.app), timeout=300)
        rows = {
            table: _rows(wire, catalog.relation(table))
            for table in (*_TABLES, "mv_people")
            if catalog.relation(table).readable
        }
        wire.close()
        connection.execute(f"TRUNCATE {', '.join(f'public.{t}' for t in _TABLES)} CASCADE")
        connection.execute(
            "INSERT INTO public.inbox SELECT n, 'letter ' || n, n FROM generate_series(1, 3) n ON CONFLICT DO NOTHING"
        )
        connection.execute("ALTER TABLE public.people DISABLE TRIGGER USER")
        for table in _TABLES:
            _cut(connection, catalog.relation(table))
        connection.execute("DROP MATERIALIZED VIEW IF EXISTS public.mv_people")
        view = catalog.relation("mv_people")
        if view.readable:
            # A table: what its columns hold is what the app sees, whatever people holds.
            types = {"id": "int", "card": "text", "email": "text", "country": "text"}
            connection.execute(
                f"CREATE TABLE public.mv_people ({', '.join(f'{c.name} {types[c.name]}' for c in view.open)})"
            )
            connection.execute(f"GRANT SELECT ON public.mv_people TO {world.login(catalog.app)}")
        for table, content in rows.items():
            columns = [c.name for c in catalog.relation(table).open]
            for row in content:
                connection.execute(
                    f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join(['%s'] * len(columns))})", row
                )
        connection.execute("ALTER TABLE public.people ENABLE TRIGGER USER")
        connection.execute(
            "ALTER TABLE public.orders ADD CONSTRAINT orders_customer_id_fkey FOREIGN KEY (customer_id) REFERENCES public.people NOT VALID"
        )
        connection.execute(
            "ALTER TABLE public.inbox ADD CONSTRAINT inbox_person_id_fkey FOREIGN KEY (person_id) REFERENCES public.people NOT VALID"
        )
        for view_name, (options, columns_of, source) in _VIEWS.items():
            _view(connection, catalog, view_name, options, columns_of, source)
        connection.execute("ANALYZE")
    return name


def _cut(connection: psycopg.Connection[Any], relation: Relation) -> None:
    """Takes columns away that the app has not, and constraints that masked values break."""
    for column in relation.columns:
        if column.name in ("child_extra", "extra_upper") and column.seen != "open":
            connection.execute(f"ALTER TABLE public.{relation.name} DROP COLUMN {column.name} CASCADE")
    for column in relation.columns:
        if column.name in ("child_extra", "extra_upper") or relation.name == "docs_child":
            continue
        if column.seen != "open":
            connection.execute(f"ALTER TABLE public.{relation.name} DROP COLUMN {column.name} CASCADE")
        elif not column.writable and column.name not in ("id", "order_id", "line"):
            connection.execute(f"ALTER TABLE public.{relation.name} ALTER COLUMN {column.name} DROP NOT NULL")
            for constraint in {
                "email": ("people_email_key",),
                "card": ("card_check",),
                "salary": ("salary_check",),
                "total": ("total_check",),
            }.get(column.name, ()):
                if relation.name in ("people", "orders"):
                    connection.execute(f"ALTER TABLE public.{relation.name} DROP CONSTRAINT IF EXISTS {constraint}")


def _rows(wire: Wire, relation: Relation) -> list[list[str | None]]:
    """What the app may see of each row, in the order of the keys."""
    columns = [c.name for c in relation.open]
    only = "ONLY" if relation.name == "docs" else ""
    answer = wire.simple(
        f"SELECT {', '.join(columns)} FROM {only} public.{relation.name} ORDER BY {', '.join(relation.key)}"
    )
    assert not answer.codes(), (relation.name, answer.errors())
    given = [[None if v is None else v.decode() for v in row] for row in answer.rows()]
    by_hand = _by_hand(wire.key[2].removeprefix("canaries_a_"), relation)
    if by_hand is None:
        return given
    keys = len(relation.key)
    assert [row[:keys] for row in given] == [[row[c] for c in columns[:keys]] for row in by_hand], relation.name
    return [
        [row.get(column, value) for column, value in zip(columns, values, strict=True)]
        for values, row in zip(given, by_hand, strict=True)
    ]


def _by_hand(app: str, relation: Relation) -> list[dict[str, str | None]] | None:
    """By world.py: the rows that there are, with the cells that are shown."""
    if relation.name not in world.CELLS:
        return None
    found = []
    for number in range(1, world.ROWS[relation.name] + 1):
        if not world.row_exists(app, relation.name, number):
            continue
        key: dict[str, str | None] = {"id": str(number)}
        if relation.name == "items":
            key = {"order_id": str(number), "line": "1"}
        elif relation.name == "docs_child":
            key = {"id": str(number + world.ROWS["docs"])}
        for column, kind in world.CELLS[relation.name].items():
            if world.treatment(app, relation.name, column, number) == "show":
                value = world.value(relation.name, column, number)
                key[column] = (
                    "{" + ",".join(value) + "}"
                    if kind == "tags"
                    else "\\x" + value.hex()
                    if kind == "bytes"
                    else str(value)
                )
        found.append(key)
    return found


def _view(
    connection: psycopg.Connection[Any],
    catalog: Catalog,
    name: str,
    options: str,
    columns: tuple[str, ...],
    source: str,
) -> None:
    shape = catalog.relation(name)
    if not shape.readable:
        return
    kept = [c for c in columns if c == "*" or shape.column(c.split(" AS ")[-1].split(".")[-1]).seen == "open"]
    connection.execute(f"CREATE VIEW public.{name} {options} AS SELECT {', '.join(kept)} {source}")
    connection.execute(f"GRANT ALL ON public.{name} TO {world.login(catalog.app)}")
