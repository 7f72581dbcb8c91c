"""SQLAlchemy 2 through `consentry serve`, on psycopg and asyncpg: the same as with the twin (drivers/world.py) directly."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.exc import DBAPIError

from tests.integration.drivers.models import KINDS, Customer, Order, Product
from tests.integration.drivers.world import Pair

pytest_plugins = ["tests.integration.drivers.fixtures"]

Work = Callable[[sa.Connection], list[Any]]


def fields(thing: Any) -> list[Any]:
    return [getattr(thing, attribute.key) for attribute in sa.inspect(thing).mapper.column_attrs]


def failure(error: DBAPIError) -> list[Any]:
    original: Any = error.orig
    diagnostic = getattr(original, "diag", None)
    constraint = diagnostic.constraint_name if diagnostic else getattr(original.__cause__, "constraint_name", None)
    return [type(error), original.sqlstate, constraint]


def run(work: Work, dsn: str, driver: str) -> list[Any]:
    """`work` on a connection in a transaction that is rolled back."""
    url = sa.make_url(dsn).set(drivername=f"postgresql+{driver}")
    if driver == "psycopg":
        engine = sa.create_engine(url)
        with engine.connect() as connection:
            found = work(connection)
            connection.rollback()
        engine.dispose()
        return found

    async def session() -> list[Any]:
        from sqlalchemy.ext.asyncio import create_async_engine

        engine = create_async_engine(url)
        async with engine.connect() as connection:
            found = await connection.run_sync(work)
            await connection.rollback()
        await engine.dispose()
        return found

    return asyncio.run(session())


@pytest.fixture(params=["psycopg", "asyncpg"])
def same(request: pytest.FixtureRequest, pair: Pair) -> Callable[[Work], list[Any]]:
    """Runs work with the twin and through the gateway, by one driver."""
    if request.param == "asyncpg":
        pytest.importorskip("greenlet", reason="sqlalchemy[asyncio] is not installed")
    return lambda work: pair.same(lambda dsn: run(work, dsn, request.param))


@pytest.mark.filterwarnings("ignore:Did not recognize type")
def test_reflection(same: Callable[[Work], list[Any]]) -> None:
    def work(connection: sa.Connection) -> list[Any]:
        inspector: Any = sa.inspect(connection)
        whole = "table_names view_names materialized_view_names sequence_names schema_names enums domains"
        # Without ORDER BY in SQLAlchemy's questions, the order is the plan's.
        found = [[ask, sorted(getattr(inspector, f"get_{ask}")(), key=str)] for ask in whole.split()]
        found += [inspector.default_schema_name, inspector.has_table("payroll"), inspector.has_table("nothing")]
        each = "pk_constraint foreign_keys indexes unique_constraints check_constraints table_comment table_options"
        for table in sorted(inspector.get_table_names()):
            for ask in each.split():
                facts = getattr(inspector, f"get_{ask}")(table)
                found.append([table, ask, sorted(facts, key=str) if isinstance(facts, list) else facts])
            for column in inspector.get_columns(table):
                found.append(str({key: repr(value) for key, value in column.items()}))
        metadata = sa.MetaData()
        metadata.reflect(connection, views=True)
        for reflected in metadata.sorted_tables:
            found.append(re.sub(" at 0x[0-9a-f]+", "", repr(reflected)))
            if len(reflected.c):
                rows = connection.execute(reflected.select().order_by(sa.text("1")).limit(3))
                found.append([list(row) for row in rows])
        return found

    assert len(same(work)) > 80


def test_orm(same: Callable[[Work], list[Any]]) -> None:
    def work(connection: sa.Connection) -> list[Any]:
        found: list[Any] = []
        with orm.Session(connection) as session:
            for load in (orm.joinedload, orm.selectinload, orm.subqueryload, orm.lazyload):
                session.expunge_all()
                query = sa.select(Customer).options(load(Customer.orders)).where(Customer.id < 50).order_by(Customer.id)
                for customer in session.scalars(query).unique():
                    found += [
                        fields(customer),
                        [fields(order) for order in customer.orders],
                        [fields(c) for c in customer.children],
                    ]
            aliased = orm.aliased(Customer)
            for query in (
                sa.select(Customer.card_no, sa.func.sum(Order.total))
                .join(Order)
                .group_by(Customer.card_no)
                .order_by(Customer.card_no),
                sa.select(Customer.full_name, aliased.card_no).join(aliased, Customer.parent).order_by(Customer.id),
                sa.select(Customer.id).where(Customer.orders.any(Order.total > 50)).order_by(Customer.id),
                sa.select(Customer.id).where(Customer.card_no.like("%1111"), Customer.tags.contains(["vip"])),
                sa.select(Customer.id, Customer.mood)
                .where(Customer.mood.in_(["sad", "happy"]))
                .order_by(Customer.mood.desc()),
                sa.select(
                    Order.id, sa.func.rank().over(partition_by=Order.customer_id, order_by=Order.total.desc())
                ).order_by(Order.id),
                sa.select(Customer.id, sa.func.coalesce(Customer.email, "-"))
                .with_for_update(of=Customer)
                .order_by(Customer.id)
                .limit(2),
                sa.select(sa.func.count()).select_from(sa.select(Order.customer_id).distinct().subquery()),
                sa.union_all(sa.select(Customer.full_name), sa.select(Product.label)).order_by(sa.text("1")),
                sa.select(Order.placed, sa.extract("year", Order.placed), Order.total.cast(sa.Float)).order_by(
                    Order.id
                ),
            ):
                found.append([list(row) for row in session.execute(query)])
            new = Customer(
                full_name="Eve", mood="sad", tags=["n"], orders=[Order(total=Decimal(5)), Order(total=Decimal(7))]
            )
            new.children.append(Customer(full_name="Fay"))
            session.add(new)
            session.flush()
            found += [
                [new.id > 50, new.card_no, new.mood, new.email],
                [fields(order)[2:] for order in new.orders],
                new.children[0].parent_id == new.id,
            ]
            new.full_name, new.orders[0].total = "Eva", Decimal(6)
            del new.orders[1]
            session.flush()
            session.refresh(new)
            found += [new.full_name, [order.total for order in new.orders]]
            first = session.get_one(Customer, 1, with_for_update=True)
            first.mood = "ok"
            session.delete(session.get_one(Customer, new.children[0].id))
            session.flush()
            found += [fields(first), session.get(Customer, new.id + 1) is None]
        return found

    same(work)


def test_bulk_writes_returning_and_streams(same: Callable[[Work], list[Any]]) -> None:
    def work(connection: sa.Connection) -> list[Any]:
        found: list[Any] = []
        with orm.Session(connection) as session:
            made = session.scalars(
                sa.insert(Order).returning(Order.total, sort_by_parameter_order=True),
                [{"customer_id": 1, "total": n} for n in range(2500)],
            )
            found.append(made.all())
            session.add_all(Customer(full_name=f"c{n}", tags=[str(n)]) for n in range(300))
            session.flush()
            session.execute(sa.insert(Product), [{"sku": f"s{n}", "label": "x"} for n in range(50)])
            upsert = pg.insert(Product).values(sku="A1", label="again", price=1)
            upsert = upsert.on_conflict_do_update(index_elements=["sku"], set_={"label": upsert.excluded.label})
            found.append(
                [list(row) for row in session.execute(upsert.returning(Product.sku, Product.label, Product.price))]
            )
            change = sa.update(Order).where(Order.total > 2000).values(total=Order.total + 1).returning(Order.total)
            found.append(sorted(session.scalars(change)))
            gone = sa.delete(Order).where(Order.total < 100).returning(Order.customer_id)
            found.append(len(session.scalars(gone).all()))
            session.execute(sa.update(Product), [{"sku": f"s{n}", "label": f"l{n}"} for n in range(50)])
            found.append(
                [
                    list(row)
                    for row in session.execute(sa.select(Product.sku, Product.label).order_by(Product.sku).limit(9))
                ]
            )
            stream = session.scalars(
                sa.select(Order).where(Order.total > 90).order_by(Order.total).execution_options(yield_per=100)
            )
            found.append([order.total for order in stream])
            for part in session.scalars(
                sa.select(Customer).order_by(Customer.id).execution_options(yield_per=50)
            ).partitions():
                found.append([[customer.full_name, customer.card_no] for customer in part])
        return found

    same(work)


def test_core_types_savepoints_and_errors(same: Callable[[Work], list[Any]]) -> None:
    def work(connection: sa.Connection) -> list[Any]:
        found: list[Any] = [connection.dialect.server_version_info, connection.get_isolation_level()]
        kinds = KINDS
        found.append([list(row) for row in connection.execute(kinds.select().order_by(kinds.c.id))])
        values = {
            "id": 70,
            "jb": {"a": [1]},
            "ints": [1, 2],
            "span4": pg.Range(1, 5),
            "m": "sad",
            "d": date(2024, 1, 1),
        }
        found.append(
            list(connection.execute(kinds.insert().values(values).returning(*(kinds.c[name] for name in values))).one())
        )
        found.append(
            connection.scalar(
                sa.select(kinds.c.jb["a"][0].as_integer()).where(
                    sa.literal(2) == sa.any_(kinds.c.ints), kinds.c.id == 70
                )
            )
        )
        bad = [
            sa.insert(Customer).values(id=1, full_name="x"),
            sa.insert(Customer).values(full_name=None),
            sa.insert(Order).values(customer_id=999, total=1),
            sa.insert(Order).values(customer_id=1, total=-1),
            sa.select(sa.text("nothing")).select_from(Customer),
            sa.select(sa.literal(1) / sa.cast(0, sa.Integer), Order.id),
            sa.text("SELECT * FROM no_such_table"),
            sa.text("SELEC 1"),
        ]
        for statement in bad:
            with pytest.raises(DBAPIError) as caught, connection.begin_nested():
                connection.execute(statement)
            found.append(failure(caught.value))
        return [*found, connection.scalar(sa.text("SELECT count(*) FROM customers WHERE id < :id"), {"id": 50})]

    same(work)
