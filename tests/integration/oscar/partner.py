"""What the mailing partner asks: its own pages, the shop's pages, and queries for what is not its business.

`python -m tests.integration.oscar.partner`.
"""

from __future__ import annotations

import json
import sys

from django.db import Error, connection
from django.db.models import Q

from tests.integration.oscar.browser import Visitor
from tests.integration.oscar.mailing import EMAIL
from tests.integration.oscar.pages import walk
from tests.integration.oscar.shop import CUSTOMERS, PASSWORD, model

FORBIDDEN = (
    "address.UserAddress order.ShippingAddress order.BillingAddress payment.Source payment.Transaction "
    "payment.Bankcard sessions.Session"
).split()


def queries() -> dict[str, object]:
    """By text of the query: the answer, or the SQLSTATE of the refusal."""
    users = model("auth.User").objects
    asked = {
        "everything of users": lambda: list(users.all()),
        "users by address": lambda: list(users.filter(addresses__line1__contains="Marker").values("id")),
        "users by payment": lambda: list(users.filter(orders__sources__reference="PAY-1").values("id")),
        "users by password": lambda: list(users.filter(password__startswith="md5").values("id")),
        "users by name or staff": lambda: list(users.filter(Q(first_name="Ann") | Q(is_staff=True)).values("id")),
        "order totals": lambda: list(model("order.Order").objects.values("total_incl_tax")),
        "orders with addresses": lambda: list(
            model("order.Order").objects.values("id", "shipping_address__line1", "status")
        ),
        "mails": lambda: list(model("communication.Email").objects.values("subject")),
        "hidden column": lambda: _sql("SELECT national_id FROM auth_user"),
        "everything there is": lambda: _sql("SELECT * FROM auth_user"),
        "rows": lambda: _sql("SELECT to_jsonb(u) FROM auth_user u"),
        "another's customer": lambda: list(users.filter(email="customer02@example.org").values("id", "email")),
        "count": lambda: users.count(),
        "existing": lambda: users.filter(email__contains="@").exists(),
        "write an email": lambda: users.filter(id=3).update(email="mine@example.org"),
        "delete payments": lambda: _sql("DELETE FROM payment_transaction"),
        "delete no payments": lambda: _sql("DELETE FROM payment_source WHERE false"),
        "make a payment": lambda: _sql("INSERT INTO payment_transaction DEFAULT VALUES"),
        "put an address": lambda: model("address.UserAddress").objects.create(user_id=3, country_id="GB"),
    }
    for name in FORBIDDEN:
        asked[f"all of {name}"] = lambda name=name: list(model(name).objects.all())
        asked[f"first of {name}"] = lambda name=name: model(name).objects.values_list("pk").first()
        asked[f"everything of {name}"] = lambda name=name: _sql(f"SELECT * FROM {model(name)._meta.db_table}")
    answers: dict[str, object] = {}
    for name, ask in asked.items():
        try:
            answers[name] = repr(ask())
        except Error as error:
            answers[name] = f"SQLSTATE {error.__cause__.sqlstate}"  # type: ignore[union-attr]
    return answers


def _sql(text: str) -> list[object]:
    with connection.cursor() as cursor:
        cursor.execute(text)
        assert cursor.description is not None
        return [[column.name for column in cursor.description], *cursor.fetchall()]


SHOP = (
    "/ /catalogue/ /search/?q=product /offers/ /basket/ /about/ /nothing/ /accounts/ /dashboard/ /admin/ "
    "/catalogue/product-3-its-50-off_3/ /catalogue/product-3-its-50-off_3/reviews/"
).split()
# A review by a customer shows the whole customer; the rest wants to make or read a session.
NEEDS_CUSTOMERS = (
    "/catalogue/product-2-its-50-off_2/ /catalogue/product-2-its-50-off_2/reviews/2/ /checkout/ /wishlists/abcdef/"
).split()


if __name__ == "__main__":
    mailing = Visitor("mailing")
    for page in ("", "?page=2", "?page=9", "?q=customer0", "?q=o'", "?q=100%25", "totals/", "export/"):
        mailing.get(f"/mailing/{page}")
    for number in range(CUSTOMERS + 3):
        mailing.get(f"/mailing/{number}/")
    if "mailing" not in sys.argv:
        walk(Visitor("anybody"), SHOP)
        for page in NEEDS_CUSTOMERS:
            Visitor("refused").get(page)
        data = {"login-username": "staff@example.org", "login-password": PASSWORD, "login_submit": "Log In"}
        Visitor("refused").post("/accounts/login/", data)
        if EMAIL is None:
            print(json.dumps({"queries": queries()}))
