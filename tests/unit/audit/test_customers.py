"""Of how many customers a statement can have read: where rows say it, and where they do not."""

from __future__ import annotations

import pytest

from proxy.audit.customers import counts_rows, customer_tables, rows_are_customers
from proxy.policy.load import load_rules

RULES = """
version: 1
attributes: {email: {label: Email}, total: {label: Total}, sku: {label: Article}}
tables:
  public.customers: {subject: id, columns: {id: open, email: email}}
  public.orders: {subject: customer_id, columns: {id: open, customer_id: open, total: total}}
  public.items: {subject: {column: order_id, references: public.orders.id}, columns: {order_id: open, sku: sku}}
  public.members: {subject: id, columns: {id: open, email: email}}
  public.badges: {subject: {column: member, references: public.members.id}, columns: {member: open}}
apps: {crm: {logins: [crm]}}
policies: [{name: all, apps: [crm], attributes: all, action: show}]
"""


def test_tables_with_one_row_a_customer() -> None:
    assert customer_tables(load_rules([("rules.yaml", RULES)])) == {"public.members"}
    profile = "profile: {subject: public.customers.id}\n"
    assert customer_tables(load_rules([("rules.yaml", RULES + profile)])) == {"public.members", "public.customers"}


@pytest.mark.parametrize(
    ("text", "relations", "expected"),
    [
        ("SELECT email FROM customers WHERE email > $1 LIMIT $2", {"public.customers"}, True),
        ("COPY customers TO STDOUT", {"public.customers"}, True),
        ("COPY (SELECT email FROM customers) TO STDOUT", {"public.customers"}, True),
        ("SELECT a.email FROM customers a, customers b", {"public.customers"}, False),
        ("SELECT total FROM orders", {"public.orders"}, False),
        ("SELECT email FROM customers JOIN orders ON true", {"public.customers", "public.orders"}, False),
    ],
)
def test_a_row_is_another_customers(text: str, relations: set[str], expected: bool) -> None:
    assert counts_rows(text, relations)
    assert rows_are_customers(text, relations, {"public.customers"}) is expected


@pytest.mark.parametrize(
    "text",
    [
        "SELECT id, email FROM customers WHERE id = $1",
        "SELECT lower(c.email), o.total FROM public.customers c JOIN orders o ON o.customer = c.id ORDER BY 1 LIMIT $1",
        "SELECT * FROM customers, orders FOR UPDATE",
        "COPY customers TO STDOUT",
        "COPY (SELECT email FROM customers) TO STDOUT",
        "SELECT CASE WHEN id = $1 THEN email END FROM customers OFFSET $2",
    ],
)
def test_a_row_is_of_one_customer_at_most(text: str) -> None:
    assert counts_rows(text, {"public.customers", "public.orders"})


@pytest.mark.parametrize(
    "text",
    [
        "SELECT count(*) FROM customers",
        "SELECT string_agg(email, ',') FROM customers",
        "SELECT my_own_aggregate(email) FROM customers",
        "SELECT email, rank() OVER (ORDER BY id) FROM customers",
        "SELECT DISTINCT city FROM customers",
        "SELECT city FROM customers GROUP BY city",
        "SELECT id, (SELECT max(email) FROM customers) FROM orders",
        "SELECT email FROM customers UNION SELECT email FROM orders",
        "WITH c AS (SELECT * FROM customers) SELECT email FROM c",
        "SELECT email FROM (SELECT * FROM customers) c",
        "SELECT email FROM customers_per_city",  # a view
        "SELECT ARRAY(SELECT email FROM customers)",
        "COPY (SELECT array_agg(email) FROM customers) TO STDOUT",
        "COPY customers_per_city TO STDOUT",
        "UPDATE customers SET email = $1",
        "EXECUTE p",
        "FETCH ALL FROM c",
        "SELECT email FROM customers; SELECT email FROM customers",
        "SELECT FROM",
        "",
        "SELECT email FROM customers HAVING true",
        "TABLE customers UNION ALL TABLE customers",
    ],
)
def test_a_row_can_be_of_any_number(text: str) -> None:
    assert not counts_rows(text, {"public.customers", "public.orders"})
