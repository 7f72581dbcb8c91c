"""Fills a shop: customers, products, orders and all that belongs to them. `python -m tests.integration.oscar.shop`.

The same calls each time, so that two databases filled by it are equal row by row.
"""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from itertools import count
from typing import Any

import django

django.setup()

from django.contrib.auth.models import Permission, User  # noqa: E402
from django.contrib.flatpages.models import FlatPage  # noqa: E402
from django.contrib.sites.models import Site  # noqa: E402
from django.core.files.base import ContentFile  # noqa: E402
from django.db import transaction  # noqa: E402
from oscar.apps.catalogue.categories import create_from_breadcrumbs  # noqa: E402
from oscar.apps.voucher.utils import get_unused_code  # noqa: E402
from oscar.core.loading import get_class, get_model  # noqa: E402
from oscar.test.factories import create_product, create_stockrecord  # noqa: E402

from tests.integration.oscar import repeatable  # noqa: E402

CUSTOMERS = 25
PRODUCTS = 15
ORDERS = 30
PASSWORD = "correct horse 7"
NAMES = (
    "Ann O'Hara,Bob Müller,Chloé D'Arc,Dan \\ Backslash,Eve $1 Smith,Filip Łuk,Gül Şen,Hugo \"Q\" Lee,Ines 100%,Jo -- X"
)

_steps = count(1)
_one_pixel = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,"
    b"\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
)


def step() -> int:
    number = next(_steps)
    repeatable.begin(number - 500)
    return number


def model(name: str) -> Any:
    return get_model(*name.split("."))


def make_countries() -> None:
    for code, name, shipped in (
        ("GB", "United Kingdom", True),
        ("DE", "Germany", True),
        ("US", "United States", False),
    ):
        model("address.Country").objects.create(
            iso_3166_1_a2=code, name=name, printable_name=name, is_shipping_country=shipped
        )


def make_users() -> list[Any]:
    staff = User.objects.create_superuser("staff", "staff@example.org", PASSWORD, first_name="Sam", last_name="Staff")
    users = []
    names = NAMES.split(",")
    for number in range(1, CUSTOMERS + 1):
        step()
        first, _, last = names[number % len(names)].partition(" ")
        user = User.objects.create_user(
            f"user{number:02}", f"customer{number:02}@example.org", PASSWORD, first_name=first, last_name=last
        )
        users.append(user)
        for home in range(1 + number % 2):
            model("address.UserAddress").objects.create(
                user=user,
                title="Dr",
                first_name=first,
                last_name=last,
                line1=f"{number} Marker Street",
                line2="c/o 'Quoted'" if home else "",
                line4="London",
                postcode="N1 9RT",
                phone_number=f"+4420794601{number:02}",
                notes=f"ring {number} times",
                country_id="GB",
                is_default_for_shipping=not home,
                is_default_for_billing=not home,
            )
        if number % 3 == 0:
            model("payment.Bankcard")(
                user=user,
                card_type="Visa",
                name=user.get_full_name(),
                number="4111111111111111",
                expiry_date="2029-01-01",
            ).save()
    User.objects.bulk_update([staff, *users[:3]], ["last_name"])
    return users


def make_products() -> list[Any]:
    option = model("catalogue.Option").objects.create(name="Engraving", code="engraving", type="text")
    group = model("catalogue.AttributeOptionGroup").objects.create(name="Sizes", code="sizes")
    for size in ("S", "M", "L"):
        group.options.create(option=size)
    classes = []
    for name, tracked in (("Book", True), ("Shirt", True), ("Download", False)):
        kind = model("catalogue.ProductClass").objects.create(name=name, track_stock=tracked, requires_shipping=tracked)
        kind.attributes.create(name="Pages", code="pages", type="integer")
        kind.attributes.create(name="Weight", code="weight", type="float")
        kind.attributes.create(name="Blurb", code="blurb", type="richtext")
        kind.attributes.create(name="Issued", code="issued", type="date")
        kind.attributes.create(name="Signed", code="signed", type="boolean")
        kind.attributes.create(name="Size", code="size", type="option", option_group=group)
        classes.append(kind)
    classes[1].options.add(option)
    categories = [
        create_from_breadcrumbs(crumbs)
        for crumbs in ("Books > Fiction > Horror", "Books > Science", "Clothing > Shirts", "Gifts")
    ]
    products = []
    for number in range(1, PRODUCTS + 1):
        step()
        kind = classes[number % 3]
        product = create_product(
            upc=f"upc{number:04}",
            title=f"Product {number} it's 50% off",
            product_class=kind.name,
            description=f"<p>Words of product {number}; with 'quotes' and $tags$</p>",
        )
        product.attr.pages = number * 10
        product.attr.weight = number / 4
        product.attr.signed = bool(number % 2)
        product.attr.issued = repeatable.START.date() - timedelta(days=number)
        product.attr.size = group.options.get(option="SML"[number % 3])
        product.save()
        create_stockrecord(
            product,
            price=Decimal(number) + Decimal("0.99"),
            partner_name=("Acme", "Beta Ltd", "Ĝama")[number % 3],
            partner_sku=f"sku-{number}",
            num_in_stock=100 if number != 4 else 0,
        )
        product.categories.add(categories[number % 4])
        model("catalogue.ProductImage").objects.create(
            product=product, original=ContentFile(_one_pixel, f"p{number}.gif"), caption=f"Picture {number}"
        )
        if products:
            product.recommended_products.through.objects.create(
                primary=product, recommendation=products[-1], ranking=number
            )
        products.append(product)
    parent = create_product(upc="parent", title="A shirt of sizes", product_class="Shirt", structure="parent")
    parent.categories.add(categories[2])
    for size in ("S", "L"):
        child = create_product(upc=f"shirt{size}", title=f"Shirt {size}", product_class="Shirt", parent=parent)
        create_stockrecord(
            child, price=Decimal("19.50"), partner_name="Acme", partner_sku=f"shirt-{size}", num_in_stock=20
        )
    model("partner.StockRecord").objects.filter(partner_sku__in=["sku-1", "sku-2"]).update(low_stock_threshold=200)
    return products


def make_offers(products: list[Any]) -> None:
    ranges, offers = model("offer.Range").objects, model("offer.ConditionalOffer").objects
    everything = ranges.create(name="Everything", includes_all_products=True)
    some = ranges.create(name="Some", is_public=True, description="A public range")
    for product in products[:5]:
        some.add_product(product)
    some.included_categories.add(model("catalogue.Category").objects.get(name="Science"))

    def offer(name: str, kind: str, goods: Any, percent: int) -> Any:
        return offers.create(
            name=name,
            offer_type=kind,
            condition=model("offer.Condition").objects.create(range=goods, type="Count", value=2),
            benefit=model("offer.Benefit").objects.create(range=goods, type="Percentage", value=percent),
        )

    offer("Ten off two", "Site", some, 10)
    for number, code in enumerate(("WELCOME", "SPRING", "STAFF")):
        step()
        voucher = model("voucher.Voucher").objects.create(
            name=f"{code.title()} voucher",
            code=code,
            usage=model("voucher.Voucher").MULTI_USE,
            start_datetime=repeatable.START - timedelta(days=30),
            end_datetime=repeatable.START + timedelta(days=300),
        )
        voucher.offers.add(offer(f"Voucher offer {code}", "Voucher", everything, 5 + number))
    campaign = model("voucher.VoucherSet").objects.create(
        name="Campaign",
        count=4,
        code_length=8,
        description="Codes in a letter",
        start_datetime=repeatable.START - timedelta(days=3),
        end_datetime=repeatable.START + timedelta(days=30),
    )
    for number in range(campaign.count):
        member = model("voucher.Voucher").objects.create(
            name=f"Campaign {number}",
            code=get_unused_code(length=campaign.code_length),
            voucher_set=campaign,
            start_datetime=campaign.start_datetime,
            end_datetime=campaign.end_datetime,
        )
        member.offers.add(offers.get(name="Voucher offer SPRING"))


def make_order(user: Any, products: list[Any], number: int, voucher: str | None = None) -> Any:
    """An order as the checkout places it. `user` None: a guest's."""
    placed = repeatable.START - timedelta(days=number)
    basket = model("basket.Basket").objects.create(owner=user)
    basket.strategy = get_class("partner.strategy", "Selector")().strategy(user=user)
    for product in products:
        basket.add_product(product, 1 + number % 3)
    if voucher:
        basket.vouchers.add(model("voucher.Voucher").objects.get(code=voucher))
    get_class("offer.applicator", "Applicator")().apply(basket, user)
    method = get_class("shipping.methods", "FixedPrice")(Decimal("4.50"), Decimal("5.00"))
    charge = method.calculate(basket)
    surcharges = get_class("checkout.applicator", "SurchargeApplicator")().get_applicable_surcharges(basket)
    total = get_class("checkout.calculators", "OrderTotalCalculator")().calculate(basket, charge, surcharges)
    fields = {
        "title": "Ms",
        "first_name": user.first_name if user else "Guest",
        "last_name": user.last_name if user else "Guestson",
        "line1": f"{number} Delivery Road",
        "line4": "Leeds",
        "postcode": "LS1 1AA",
        "country_id": "GB",
    }
    with transaction.atomic():
        shipping = model("order.ShippingAddress").objects.create(phone_number="+442079460000", **fields)
        billing = model("order.BillingAddress").objects.create(**fields)
        order = get_class("order.utils", "OrderCreator")().place_order(
            basket=basket,
            total=total,
            shipping_method=method,
            shipping_charge=charge,
            surcharges=surcharges,
            user=user,
            shipping_address=shipping,
            billing_address=billing,
            order_number=str(100000 + number),
            date_placed=placed,
            **({} if user else {"guest_email": f"guest{number}@example.org"}),
        )
        basket.submit()
    kind, _ = model("payment.SourceType").objects.get_or_create(name="Card")
    source = model("payment.Source").objects.create(
        order=order, source_type=kind, currency="GBP", reference=f"PAY-{number}", label="ending 1111"
    )
    source.allocate(order.total_incl_tax, f"ref-{number}")
    if number % 2:
        source.debit(order.total_incl_tax, f"debit-{number}")
    if number % 5 == 0:
        source.refund(Decimal("1.00"), f"refund-{number}")
    order.notes.create(user=user, message=f"Note {number} isn't 'long'", note_type="System")
    return order


def make_orders(users: list[Any], products: list[Any]) -> list[Any]:
    model("order.ShippingEventType").objects.create(name="Shipped")
    model("order.PaymentEventType").objects.create(name="Settled")
    handler = get_class("order.processing", "EventHandler")()
    orders = []
    for number in range(1, ORDERS + 1):
        step()
        chosen = [products[number % 10], products[(number * 3 + 1) % 10]]
        chosen = [product for product in dict.fromkeys(chosen) if product.upc != "upc0004"]
        user = None if number % 9 == 0 else users[number % (CUSTOMERS - 5)]
        order = make_order(user, chosen, number, "WELCOME" if number % 4 == 0 else None)
        if number % 3 == 0:
            handler.handle_order_status_change(order, "Being processed", note_msg="on its way")
        if number % 6 == 0:
            lines = list(order.lines.all())
            shipped = model("order.ShippingEventType").objects.get(code="shipped")
            handler.handle_shipping_event(order, shipped, lines, [line.quantity for line in lines])
        orders.append(order)
    return orders


def make_opinions(users: list[Any], products: list[Any]) -> None:
    reviews = model("reviews.ProductReview").objects
    for number, user in enumerate(users[:12]):
        step()
        review = reviews.create(
            product=products[number % 6],
            user=user,
            score=1 + number % 5,
            title=f"Review {number}",
            body="It's \\ good; 'really'",
            status=number % 3,
        )
        review.vote_up(users[(number + 1) % CUSTOMERS])
        wishes = model("wishlists.WishList").objects.create(
            owner=user, name=f"Wishes {number}", visibility=("Private", "Shared", "Public")[number % 3]
        )
        wishes.add(products[number % 7])
        wishes.add(products[number % 5])
        wishes.shared_emails.create(email=f"friend{number}@example.org")
        model("customer.ProductAlert").objects.create(
            user=user, product=products[3], email="", status=model("customer.ProductAlert").ACTIVE
        )
        model("communication.Notification").objects.create(
            recipient=user, subject=f"News {number}", body="Something <b>new</b>"
        )
        model("communication.Email").objects.create(
            user=user, email=user.email, subject=f"Mail {number}", body_text="Dear customer", body_html="<p>Dear</p>"
        )
        for product in products[number : number + 3]:
            model("analytics.UserProductView").objects.create(user=user, product=product)
        model("analytics.UserSearch").objects.create(user=user, query=f"search {number}")
    model("customer.ProductAlert").objects.create(
        product=products[3], email="nobody@example.org", key="abc", status=model("customer.ProductAlert").UNCONFIRMED
    )
    reviews.create(product=products[2], name="Anon", email="anon@example.org", score=3, title="Hm", body="No account")


def make_rest(users: list[Any]) -> None:
    site = Site.objects.get_or_create(pk=1, defaults={"domain": "shop.example.org", "name": "Shop"})[0]
    for name in ("about", "terms"):
        page = FlatPage.objects.create(url=f"/{name}/", title=name.title(), content=f"<p>All {name}</p>")
        page.sites.add(site)
    for code, name in (("REGISTRATION", "Registration"), ("ORDER_PLACED", "Order placed")):
        model("communication.CommunicationEventType").objects.create(
            code=code, name=name, email_subject_template="Your {{ code }}", email_body_template="Dear {{ user }}"
        )
    method = model("shipping.WeightBased").objects.create(name="By weight", default_weight=Decimal("1.5"))
    method.countries.add("GB")
    method.bands.create(upper_limit=Decimal(1), charge=Decimal("2.50"))
    method.bands.create(upper_limit=Decimal(10), charge=Decimal("9.50"))
    partner = model("partner.Partner").objects.get(name="Acme")
    clerk = users[-1]
    clerk.is_staff = False
    clerk.user_permissions.add(Permission.objects.get(codename="dashboard_access"))
    clerk.save()
    partner.users.add(clerk)
    partner.addresses.create(line1="1 Works Lane", line4="Derby", postcode="DE1 1AA", country_id="GB")
    stock = model("partner.StockRecord").objects.get(partner_sku="sku-5")
    model("partner.StockAlert").objects.create(stockrecord=stock, threshold=5)


def fill() -> dict[str, int]:
    """Makes everything; the number of rows of some tables."""
    step()
    make_countries()
    users = make_users()
    products = make_products()
    make_offers(products)
    make_orders(users, products)
    make_opinions(users, products)
    make_rest(users)
    return {
        name: model(name).objects.count()
        for name in ("order.Order", "catalogue.Product", "payment.Source", "address.UserAddress", "voucher.Voucher")
    } | {"auth.User": User.objects.count()}


if __name__ == "__main__":
    print(json.dumps(fill()))
