"""The canaries' databases: what each cell holds, and, said by hand, which app may see it.

Every value that some app may not see is a marker: `zqx7` and ten characters that depend on its table, column and row (in
numbers 4711... and 17..., in dates years from 1401 on). Each app has a database of its own, and a *twin* of it that differs
in exactly the cells that the app may not see, so the answers to any statement of that app must be the same byte for byte.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

from proxy.catalog.introspect import take_snapshot
from proxy.consent import ledger, needs, service, spans
from proxy.policy.compile import compile_rules
from proxy.policy.load import load_rules
from tests.servers import PgServer

HERE = Path(__file__).parent
PEOPLE = 12
APPS = ("dropper", "masker", "consenter", "rower", "rowconsent", "denier", "mixer")
TEMPLATE = "canaries_template"
_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"

# table: column: how its values are made. The subject of row n is told by `person`.
CELLS: dict[str, dict[str, str]] = {
    "people": {
        "name": "text",
        "email": "email",
        "phone": "phone",
        "born": "date14",
        "card": "text",
        "salary": "number",
        "score": "small",
        "rating": "rating",
        "tags": "tags",
        "profile": "json",
        "token": "uuid",
        "photo": "bytes",
        "bio": "toast",
        "note": "text",
        "ip": "ip",
        "mood": "mood",
        "extra": "text",
    },
    "orders": {"placed": "date15", "total": "number", "memo": "text"},
    "items": {"sku": "text", "qty": "small"},
    "readings": {"value": "number", "remark": "text"},
    "docs": {"body": "text"},
    "docs_child": {"body": "text", "child_extra": "text"},
    # What is in the documents of each row (see `documents`): the columns are payload and raw.
    "dossiers": {
        "doc_rest": "text",
        "doc_mail": "email",
        "doc_phone": "phone",
        "doc_pin": "text",
        "doc_tag": "text",
        "doc_dot": "text",
        "doc_limit": "number",
    },
    "secrets": {"word": "text"},
}
ROWS = {
    "people": PEOPLE,
    "orders": 24,
    "items": 24,
    "readings": 18,
    "docs": 6,
    "docs_child": 6,
    "dossiers": 12,
    "secrets": 4,
}

_MORE = (
    "people",
    "orders",
    "items",
    "readings",
    "docs",
    "dossiers",
)  # a twin has one row more of those that its app does not see

# What each app has of each attribute (the column's name). `hide`: nothing, whatever the mask; `hash`: a code that depends
# on the value; `in` and `out`: with consent. What is not listed is hidden.
SHOWN: dict[str, dict[str, str]] = {
    "dropper": dict.fromkeys(("name", "sku", "remark", "doc_rest"), "show"),
    "masker": {"name": "show", "card": "hash", "sku": "hash", "token": "hash", "doc_rest": "show", "doc_pin": "hash"},
    "consenter": {
        **dict.fromkeys(("name", "email", "phone", "card", "tags", "profile", "bio", "born", "salary"), "in"),
        **dict.fromkeys(("memo", "total", "body", "remark", "sku"), "out"),
        "placed": "show",
        **dict.fromkeys(("doc_mail", "doc_phone", "doc_pin"), "in"),
        "doc_rest": "out",
    },
    "rower": {column: "show" for table in CELLS for column in CELLS[table]},
    "rowconsent": {
        column: "show" for table in CELLS for column in CELLS[table] if column not in ("card", "doc_pin", "doc_dot")
    },
    "denier": {
        column: "show"
        for table in CELLS
        for column in CELLS[table]
        if column not in ("card", "salary", "email", "memo", "value", "body", "bio") and table != "dossiers"
    },
    "mixer": {
        **dict.fromkeys(("born score rating tags profile photo note ip mood placed qty").split(), "show"),
        **dict.fromkeys(("name", "total"), "in"),
        **dict.fromkeys(("email", "sku"), "hash"),
        **dict.fromkeys(("bio", "remark"), "out"),
        **dict.fromkeys(("doc_phone", "doc_tag", "doc_limit"), "show"),
        "doc_mail": "hash",
        "doc_dot": "in",
    },
}
NEVER = ("extra", "child_extra", "word")  # columns and tables that the rules do not name

# (app, attribute): subjects who granted (of `in`, and of row policies) or withdrew (of `out`).
CONSENT: dict[tuple[str, str], tuple[int, ...]] = {
    **{
        ("consenter", attribute): subjects
        for attribute, subjects in {
            "name": (1, 2, 3, 4, 5, 6),
            "email": (2, 4, 6),
            "phone": (3, 6, 9),
            "card": (1, 12),
            "tags": (5,),
            "profile": (6, 7),
            "bio": (2,),
            "born": (1, 5),
            "salary": (4, 8),
            "memo": (1, 2, 3),
            "total": (2, 3, 4),
            "body": (3, 6),
            "remark": (5, 6, 7),
            "sku": (7, 8),
            "doc_mail": (3, 4, 6, 9),
            "doc_phone": (1, 4, 8),
            "doc_pin": (5, 9, 10),
            "doc_rest": (2, 7, 9),
        }.items()
    },
    ("rowconsent", "email"): (1, 4, 7, 10),
    ("mixer", "name"): (1, 3, 4, 5),
    ("mixer", "total"): (2, 7),
    ("mixer", "bio"): (1, 2),
    ("mixer", "remark"): (3, 9),
    ("mixer", "doc_dot"): (3, 6),
}


def person(table: str, row: int) -> int | None:
    """The subject of a row (rows count from 1)."""
    if table == "secrets":
        return None
    if row > ROWS[table]:
        return PEOPLE + 1  # rows that only twins have
    if table == "docs_child":
        return (row + ROWS["docs"] - 1) % PEOPLE + 1
    return (row - 1) % PEOPLE + 1


def country(number: int) -> str:
    return ("DE", "FR", "IT")[number % 3]


def row_exists(app: str, table: str, row: int) -> bool:
    """Whether the app's row policies show the row."""
    who = person(table, row)
    if who is None:
        return False
    family = "docs" if table == "docs_child" else table
    if app == "rower":
        return who % 3 == 0 if family in ("readings", "docs", "dossiers") else country(who) == "DE"
    if app == "rowconsent":
        return who in CONSENT["rowconsent", "email"]
    if app == "mixer" and family in ("people", "readings", "docs", "dossiers"):
        return who % 3 == 0
    return True


def treatment(app: str, table: str, column: str, row: int) -> str:
    """`show`, `hide` or `hash`: what the app gets of this cell."""
    if column in NEVER or not row_exists(app, table, row):
        return "hide"
    kind = SHOWN[app].get(column, "hide")
    who = person(table, row)
    if kind == "in":
        return "show" if who in CONSENT[app, column] else "hide"
    if kind == "out":
        return "hide" if who in CONSENT[app, column] else "show"
    return kind


def _random(*parts: object) -> int:
    return int.from_bytes(hashlib.sha256("/".join(map(str, parts)).encode()).digest()[:16], "big")


def marker(*parts: object) -> str:
    number = _random(*parts)
    return "zqx7" + "".join(_ALPHABET[number >> 5 * i & 31] for i in range(10))


def value(table: str, column: str, row: int, salt: str = "") -> Any:
    """What the cell holds; `salt` makes the twin's. Masks of both are the same (but those of hashes)."""
    kind = CELLS[table][column]
    at = (table, column, row, salt)
    number = _random(*at)
    text = marker(*at)
    match kind:
        case "email":
            return f"{text}@{text[:4]}{marker(*at, 'domain')[4:]}.example"
        case "phone":
            return f"{text[:12]}99"
        case "date14" | "date15":
            return f"{kind[4:]}{row:02d}-{number % 12 + 1:02d}-{number // 12 % 27 + 2:02d}"
        case "number":
            return 471100000000000 + row * 1_000_000_000 + number % 1_000_000_000
        case "small":
            return 170000000 + row * 100_000 + number % 100_000
        case "rating":
            return f"4712{row:02d}{number % 10**9:09d}.{number % 89 + 10:02d}"
        case "tags":
            return [text, marker(*at, "second")]
        case "json":
            return f'{{"key": "{text}", "list": [{{"deep": "{marker(*at, "deep")}"}}], "n": {4713 * 10**11 + number % 10**11}}}'
        case "uuid":
            raw = f"{number:032x}"
            return f"deadc0de-{raw[:4]}-4{raw[4:7]}-8{raw[7:10]}-{raw[10:22]}"
        case "bytes":
            return text.encode()
        case "toast":
            filling = hashlib.shake_256(repr(at).encode()).hexdigest(1600)
            return f"{text} {filling} {marker(*at, 'end')}"
        case "ip":
            return f"10.77.{row}.{number % 250 + 1}"
        case "mood":
            return ("calm", "sad", "glad", "wild")[number % 4]
    return text


def documents(row: int, cell: dict[str, Any]) -> tuple[str, str]:
    """(payload, raw) of a row of dossiers: from its fourth on, rows have shapes that the rules do not expect."""
    mail, phone, pin, rest = cell["doc_mail"], cell["doc_phone"], cell["doc_pin"], cell["doc_rest"]
    document: dict[str, Any] = {
        "rest": rest,
        "email": mail,
        "contact": {"phone": phone, "note": f"{rest} there"},
        "cards": [{"pin": pin, "kind": rest}, {"pin": [pin], "kind": None}],
        "tags": [cell["doc_tag"], 17, None],
        "a.b": cell["doc_dot"],
        "limit": cell["doc_limit"],
    }
    changes: dict[int, dict[str, Any]] = {
        4: {"contact": [{"phone": phone}, [{"phone": phone}]]},
        5: {"email": {"x": mail, "email": [mail]}},
        6: {"cards": {"pin": pin, "kind": rest}, "tags": cell["doc_tag"]},
        7: {"contact": phone, "cards": pin},
        8: {"cards": [[{"pin": pin}], pin], "tags": [[cell["doc_tag"]]]},
        9: {"contact": {"phone": {"home": phone}}, "limit": str(cell["doc_limit"])},
        10: {"email": None, "a.b": {"a": {"b": cell["doc_dot"]}}, "a": {"b": rest}},
    }
    document |= changes.get(row, {})
    text = json.dumps([document] if row == 11 else document)
    raw = f'{{"email": {json.dumps(mail)}, "rest" : "\\u0041", {text[1:]}' if row != 11 else text
    return text, raw


def markers_of(content: Any) -> Iterator[str]:
    """The parts of a value that may be searched for."""
    for part in content if isinstance(content, list) else [content]:
        text = part.decode() if isinstance(part, bytes) else str(part)
        yield text


# Literals of schema.sql that belong to a column which some apps see, maybe masked: its definition is theirs to see too.
DEFINITIONS = {"zqx7cardcheck1": ("dropper", "rowconsent", "mixer")}  # hidden from these


def shown_text(app: str, salt: str = "") -> str:
    """Everything that the app may see, in one text: a marker that is in it is no leak."""
    parts = [literal for literal, hidden in DEFINITIONS.items() if app not in hidden]
    for table, columns in CELLS.items():
        for column in columns:
            for row in range(1, ROWS[table] + 1):
                if treatment(app, table, column, row) == "show":
                    parts += markers_of(value(table, column, row, salt))
    return " ".join(parts)


def inserts(app: str | None = None) -> Iterator[tuple[str, list[tuple[Any, ...]]]]:
    """The rows of the base database, or of an app's twin: (INSERT with placeholders, parameters)."""

    def cell(table: str, column: str, row: int) -> Any:
        differs = app is not None and treatment(app, table, column, row) == "hide"
        return value(table, column, row, "twin" if differs else "")

    keys: dict[str, tuple[tuple[str, ...], Any]] = {
        "people": (("id", "country"), lambda n: (n, country(n))),
        "orders": (("id", "customer_id"), lambda n: (n, person("orders", n))),
        "items": (("order_id", "line"), lambda n: (n, 1)),
        "readings": (("id", "person_id"), lambda n: (n, person("readings", n))),
        "docs": (("id", "person_id"), lambda n: (n, person("docs", n))),
        "docs_child": (("id", "person_id"), lambda n: (n + ROWS["docs"], person("docs_child", n))),
        "secrets": (("id",), lambda n: (n,)),
    }
    for table, (names, of) in keys.items():
        columns = (*names, *CELLS[table])
        marks = ", ".join(["%s"] * len(columns))
        text = f"INSERT INTO public.{table} ({', '.join(columns)}) VALUES ({marks})"
        more = app is not None and table in _MORE and not row_exists(app, table, ROWS[table] + 1)
        numbers = range(1, ROWS[table] + 1 + more)
        rows = [(*of(n), *(cell(table, c, n) for c in CELLS[table])) for n in numbers]
        yield text, rows
    more = app is not None and not row_exists(app, "dossiers", ROWS["dossiers"] + 1)
    cells = ((n, {c: cell("dossiers", c, n) for c in CELLS["dossiers"]}) for n in range(1, ROWS["dossiers"] + 1 + more))
    yield (
        "INSERT INTO public.dossiers (id, person_id, payload, raw) VALUES (%s, %s, %s, %s)",
        [(n, person("dossiers", n), *documents(n, made)) for n, made in cells],
    )


COUNTER = 471199999999999  # where the sequence begins

_AFTER = f"""
INSERT INTO public.products SELECT n, 'product ' || n, n * 10 FROM generate_series(1, 5) n;
INSERT INTO public.inbox SELECT n, 'letter ' || n, n FROM generate_series(1, 3) n;
INSERT INTO public.people_log (line) SELECT p::text FROM public.people p WHERE id = 3;  -- as its trigger does
REFRESH MATERIALIZED VIEW public.mv_people;
SELECT setval('public.counter', {COUNTER});
SELECT setval('public.orders_id_seq', 1000);
SELECT pg_catalog.lo_from_bytea(424242, convert_to('zqx7largeobj01', 'UTF8'));
GRANT SELECT, UPDATE ON LARGE OBJECT 424242 TO PUBLIC;
"""


@dataclass
class World:
    """What `build` made. `last_oid`: relations with higher ones were made by attacks."""

    server: PgServer
    rules: Path
    last_oid: int = 0
    databases: tuple[str, ...] = field(default=())


def base(app: str) -> str:
    """The name of the app's database; that of its twin is as long, so that answers can be compared."""
    return f"canaries_a_{app}"


def twin(app: str) -> str:
    return f"canaries_b_{app}"


def login(app: str) -> str:
    return f"st_{app}"


async def _ledger(dsn: str, grants: bool) -> None:
    rules = load_rules([("rules.yaml", (HERE / "rules.yaml").read_text("utf-8"))])
    connection = await asyncpg.connect(dsn)
    try:
        snapshot = await take_snapshot(connection)
        compiled = compile_rules(rules, snapshot)
        await ledger.setup(
            connection,
            needs.subject_type(compiled, snapshot),
            list(compiled.apps),
            needs.key_names(compiled),
            list(rules.attributes),
            needs.own_views(compiled, snapshot),
        )
        await spans.follow(connection, compiled)
        compiled = compile_rules(rules, await take_snapshot(connection))
        given = needs.grants(compiled)
        await needs.apply_grants(connection, given, await needs.missing_roles(connection, compiled))
        vocabulary = service.Vocabulary(list(compiled.apps), list(rules.attributes))
        for (app, attribute), subjects in CONSENT.items():
            for subject in subjects if grants else ():
                out = SHOWN[app].get(attribute) == "out"
                await (service.withdraw if out else service.grant)(connection, vocabulary, str(subject), app, attribute)
    finally:
        await connection.close()


def build(server: PgServer, apps: Sequence[str] = APPS) -> World:
    """Makes roles and databases: for each app its own and the twin."""
    server.create_login("consentry", group="auth_trust")
    for app in (*APPS, "deploy"):
        server.create_login(login(app), group="auth_trust", options="SUPERUSER" if app == "mixer" else "")
    with server.connect() as connection:
        connection.execute(f"GRANT pg_monitor TO {', '.join(login(app) for app in APPS)}")
        names = {r[0] for r in connection.execute("SELECT name FROM pg_available_extensions").fetchall()}
    script = (HERE / "schema.sql").read_text("utf-8")
    lines = [
        line
        for line in script.splitlines()
        if not line.startswith("CREATE EXTENSION") or line.rstrip(";").split()[-1] in names
    ]
    server.create_database(TEMPLATE, "\n".join(lines))
    everyone = ", ".join(login(app) for app in (*APPS, "deploy"))
    server.run(
        TEMPLATE,
        f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {everyone}; GRANT ALL ON SCHEMA public TO {everyone};"
        f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {everyone};"
        f"GRANT TEMP, CREATE ON DATABASE {TEMPLATE} TO {everyone}; GRANT SELECT ON ALL TABLES IN SCHEMA public TO consentry",
    )
    with server.connect(TEMPLATE) as connection:
        # It would move rows at times of its own, and the order of rows would differ between twins.
        for (table,) in connection.execute(
            "SELECT oid::regclass::text FROM pg_class WHERE relkind IN ('r', 'm') AND relnamespace = 'public'::regnamespace"
        ).fetchall():
            connection.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = off)")
    asyncio.run(_ledger(server.dsn(TEMPLATE), grants=True))
    with server.connect(TEMPLATE) as connection:
        ((last,),) = connection.execute("SELECT max(oid)::bigint FROM pg_class").fetchall()
    world = World(server, HERE / "rules.yaml", last, tuple(name(app) for app in apps for name in (base, twin)))
    for app, name in ((app, name(app)) for app in apps for name in (base, twin)):
        with server.connect() as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
            connection.execute(f"GRANT TEMP, CREATE ON DATABASE {name} TO {everyone}")
        server._databases.append(name)
        with server.connect(name) as connection:
            with connection.transaction():
                for text, rows in inserts(app if name == twin(app) else None):
                    connection.cursor().executemany(text, rows)
                connection.execute(_AFTER)
            connection.execute("VACUUM ANALYZE")
    with server.connect() as connection:
        connection.execute("CHECKPOINT")
    return world


def checksum(server: PgServer, name: str) -> dict[str, str]:
    """A digest of each table, to see that no attack has changed what it must not."""
    tables = (*CELLS, "products", "inbox", "people_log")
    with server.connect(name) as connection:
        return {
            table: str(
                connection.execute(
                    f"SELECT md5(string_agg(t::text, '|' ORDER BY t.id)) FROM public.{table} t"
                ).fetchone()
                if table != "items"
                else connection.execute(
                    "SELECT md5(string_agg(t::text, '|' ORDER BY order_id)) FROM items t"
                ).fetchone()
            )
            for table in tables
        }
