"""SQLAlchemy's models of some of schema.sql's tables, with the columns that all apps see."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.orm import Mapped, mapped_column, relationship

MOOD = pg.ENUM("sad", "ok", "so-so 'quoted'", "happy", name="mood", create_type=False)


class Base(orm.DeclarativeBase):
    pass


class Customer(Base):
    """`email` and `card_no` are what the app sales may not write: they are left to the server."""

    __tablename__ = "customers"
    id: Mapped[int] = mapped_column(sa.BigInteger, sa.Identity(), primary_key=True)
    full_name: Mapped[str] = mapped_column(sa.String(60))
    email: Mapped[str | None] = mapped_column(server_default=sa.FetchedValue())
    card_no: Mapped[str | None] = mapped_column(sa.String(19), server_default=sa.FetchedValue())
    mood: Mapped[str] = mapped_column(MOOD, server_default="ok")
    tags: Mapped[list[str]] = mapped_column(pg.ARRAY(sa.Text), default=list)
    parent_id: Mapped[int | None] = mapped_column(sa.ForeignKey("customers.id"))
    orders: Mapped[list[Order]] = relationship(
        back_populates="customer", order_by="Order.id", cascade="all, delete-orphan"
    )
    parent: Mapped[Customer | None] = relationship(remote_side="Customer.id", back_populates="children")
    children: Mapped[list[Customer]] = relationship(back_populates="parent", order_by="Customer.id")


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(sa.ForeignKey("customers.id"))
    total: Mapped[Decimal] = mapped_column(sa.Numeric(10, 2))
    placed: Mapped[date] = mapped_column(server_default=sa.FetchedValue())
    customer: Mapped[Customer] = relationship(back_populates="orders")


class Product(Base):
    __tablename__ = "products"
    sku: Mapped[str] = mapped_column(sa.CHAR(8), primary_key=True)
    label: Mapped[str]
    price: Mapped[Decimal | None] = mapped_column(sa.Numeric(8, 2))


_TYPES: dict[str, Any] = {
    "id": sa.Integer(),
    "jb": pg.JSONB(),
    "ints": pg.ARRAY(sa.Integer),
    "span4": pg.INT4RANGE(),
    "m": MOOD,
}
_TYPES |= {"num2": sa.Numeric(12, 3), "f4": sa.REAL(), "c5": sa.CHAR(5), "b": sa.LargeBinary(), "d": sa.Date()}
_TYPES |= {"ts": pg.TIMESTAMP(precision=3), "tz": sa.DateTime(True), "span": sa.Interval(), "u": sa.Uuid()}
_TYPES |= {"j": sa.JSON(), "texts": pg.ARRAY(sa.Text), "spans": pg.NUMMULTIRANGE(), "net": pg.INET()}
_TYPES |= {"m_vc": sa.String(19), "m_c": sa.CHAR(6), "m_num": sa.Numeric(10, 2), "m_tz": pg.TIMESTAMP(True, 0)}
_TYPES |= {"m_net": pg.INET(), "m_i8": sa.BigInteger(), "ok": sa.Boolean()}
KINDS = sa.Table("kinds", sa.MetaData(), *(sa.Column(name, type_) for name, type_ in _TYPES.items()))
