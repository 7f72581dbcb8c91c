"""Clients whose encoding lacks characters that names and masks have."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from tests.integration.governed import Governed, governed
from tests.servers import PgServer
from tests.wire.client import RawClient

SCHEMA = """
CREATE TABLE prices (id int PRIMARY KEY, "in €" int, "back\\slash ✓" text, "gehört" text, secret text, "geheim €" text);
INSERT INTO prices VALUES (1, 5, 'yes', 'Ann', 'x', 'y'), (2, 6, 'no', 'Bob', 'x', 'y');
CREATE TABLE others (id int);
GRANT ALL ON prices, others TO PUBLIC;
"""
RULES = r"""
version: 1
attributes: {card: {label: Card, group: sensitive}, owner: {label: Owner, group: basic}}
tables:
  public.prices:
    columns: {id: open, "in €": open, "back\\slash ✓": open, gehört: owner, secret: card, "geheim €": card}
  public.others: open
apps:
  shop: {label: Shop, kind: internal, purpose: tests, logins: [shop]}
policies:
  - {name: cards are gone, attributes: [card], action: drop}
  - {name: owners are counted, attributes: [owner], action: mask, mask: counted}
masks:
  counted: {kind: expression, sql: "pg_catalog.length(pg_catalog.concat('€\\', E'\\€', {value}))::text"}
"""


@pytest.fixture(scope="module")
def gateway(pg_server: PgServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Governed]:
    with governed(pg_server, tmp_path_factory.mktemp("encodings"), "encodings", SCHEMA, RULES, ["shop"]) as running:
        yield running


@pytest.mark.parametrize("encoding", ["LATIN1", "LATIN2", "KOI8R", "UTF8"])
def test_names_and_masks_that_the_client_cannot_write(gateway: Governed, encoding: str) -> None:
    with gateway.connect("shop", client_encoding=encoding) as connection:
        for number in (1, 2, 1):  # anew, and by a template
            read = connection.execute(f"SELECT p.id FROM prices p WHERE id = {number} AND id < 10")
            assert read.fetchall() == [(number,)]
        assert connection.execute("SELECT sum(U&\"in \\20ac\") AS sum, 'a\\' AS a FROM prices").fetchall() == [
            (11, "a\\")
        ]
        row = connection.execute("SELECT to_jsonb(p) ->> 'id' FROM prices p WHERE id = %s", [2]).fetchone()
        assert row == ("2",)
        if encoding != "KOI8R":
            assert connection.execute("SELECT gehört FROM prices WHERE id = 1").fetchone() == ("6",)
        columns = "SELECT count(*) FROM information_schema.columns WHERE table_name = 'prices'"
        assert connection.execute(columns).fetchone() == (4,)
        connection.execute("UPDATE prices SET id = id WHERE id = 1 RETURNING id")
        text = "SELECT 'ö' FROM prices WHERE nothing" if encoding != "KOI8R" else "SELECT 1 FROM prices WHERE nothing"
        with pytest.raises(psycopg.errors.UndefinedColumn) as caught:
            connection.execute(text)
        assert caught.value.diag.statement_position == str(text.index("nothing") + 1)


def test_refusals_come_in_the_clients_encoding(gateway: Governed) -> None:
    with RawClient(gateway.port) as client:
        client.start("shop", client_encoding="LATIN1")
        for name in ("geheim", "ungehört"):
            ((_, body), *_) = client.query(f'INSERT INTO prices ("{name}") VALUES (1)'.encode("latin-1"))
            assert f'column "{name}" of relation "prices" does not exist'.encode("latin-1") in body
