"""What visitors and staff change: forms filled in and sent. `python -m tests.integration.oscar.flows`.

After the flows that are written out, every form of the dashboard and the admin is sent once, as it stands.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from django.core import mail
from django.core.files.uploadedfile import SimpleUploadedFile

from tests.integration.oscar.browser import OFFERED_EVERYWHERE, Page, Visitor
from tests.integration.oscar.pages import walk
from tests.integration.oscar.shop import PASSWORD, model

FLOWS: list[Callable[[], None]] = []
ADDRESS = {
    "first_name": "Zoë",
    "last_name": "O'Neil",
    "line1": "9 New Road",
    "line4": "York",
    "postcode": "YO1 7EP",
    "country": "GB",
    "phone_number": "+442079460999",
}


def flow(function: Callable[[], None]) -> Callable[[], None]:
    FLOWS.append(function)
    return function


def product(upc: str) -> str:
    return str(model("catalogue.Product").objects.get(upc=upc).get_absolute_url())


def put_in_basket(visitor: Visitor, upc: str, quantity: int = 1) -> None:
    visitor.submit(product(upc), {"quantity": quantity}, having="quantity", sent=True)


def check_out(visitor: Visitor) -> str:
    """From the address's page to the thanks. The number of the order."""
    visitor.get("/checkout/shipping-method/")
    visitor.get("/checkout/payment-method/")
    visitor.get("/checkout/payment-details/")
    visitor.submit("/checkout/preview/", {"action": "place_order"}, having="action", sent=True)
    visitor.get("/checkout/thank-you/")
    return str(model("order.Order").objects.latest("id").number)


@flow
def somebody_registers() -> None:
    visitor = Visitor("registering")
    visitor.submit("/accounts/login/", {"registration-email": "broken"}, "registration-email", "registration_submit")
    data = {"registration-email": "New.One@Example.org", "registration-password1": "a long 1 word"}
    data["registration-password2"] = data["registration-password1"]
    visitor.submit("/accounts/login/", data, "registration-email", "registration_submit", sent=True)
    visitor.get("/accounts/")
    visitor.submit("/accounts/profile/edit/", {"first_name": "Ñew", "last_name": "O'ne"}, "first_name", sent=True)
    data = {"old_password": "a long 1 word", "new_password1": "other 2 words", "new_password2": "other 2 words"}
    visitor.submit("/accounts/change-password/", data, "old_password", sent=True)
    visitor.get("/accounts/emails/")
    visitor.post("/accounts/logout/")
    visitor.log_in("new.one@example.org", "other 2 words")


@flow
def somebody_forgot_the_password() -> None:
    visitor = Visitor("forgetful")
    visitor.submit("/password-reset/", {"email": "customer07@example.org"}, "email", sent=True)
    link = next(word for word in mail.outbox[0].body.split() if "/password-reset/confirm/" in word)
    visitor.get("/password-reset/confirm/" + link.split("/confirm/")[1])
    visitor.submit(visitor.location, {"new_password1": "brand 9 new", "new_password2": "brand 9 new"}, sent=True)
    visitor.get("/password-reset/complete/")
    visitor.log_in("customer07@example.org", "brand 9 new")


@flow
def a_guest_orders() -> None:
    guest = Visitor("guest")
    put_in_basket(guest, "upc0001", 2)
    put_in_basket(guest, "upc0003")
    guest.submit("/basket/", {"form-0-quantity": 3}, "form-0-quantity", sent=True)
    guest.submit("/basket/", {"code": "NONSENSE"}, "code", sent=True)
    guest.submit("/basket/", {"code": "SPRING"}, "code", sent=True)
    guest.get("/basket/")
    guest.submit("/checkout/", {"username": "some.guest@example.org", "options": "anonymous"}, "options", sent=True)
    guest.submit("/checkout/shipping-address/", {**ADDRESS, "postcode": "nonsense"}, "postcode")
    guest.submit("/checkout/shipping-address/", ADDRESS, "postcode", sent=True)
    number = check_out(guest)
    order = model("order.Order").objects.get(number=number)
    guest.get(f"/accounts/order-status/{number}/{order.verification_hash()}/")
    guest.get(f"/accounts/order-status/{number}/nonsense/")


@flow
def a_customer_orders() -> None:
    visitor = Visitor("ordering")
    put_in_basket(visitor, "upc0005")
    visitor.log_in("customer08@example.org")  # merges the baskets
    put_in_basket(visitor, "upc0006", 2)
    visitor.submit("/basket/", {"form-1-save_for_later": "on"}, "form-1-quantity", sent=True)
    visitor.submit("/basket/", {"saved-0-move_to_basket": "on"}, "saved-0-id", sent=True)
    visitor.submit("/basket/", {"code": "STAFF"}, "code", sent=True)
    visitor.submit("/basket/", having="/remove/", sent=True)
    visitor.submit("/checkout/shipping-address/", ADDRESS, "postcode", sent=True)
    visitor.submit("/checkout/shipping-address/", having="address_id", sent=True)
    number = check_out(visitor)
    visitor.get(f"/accounts/orders/{number}/")
    visitor.submit(f"/accounts/orders/{number}/", having=f"/accounts/orders/{number}/", sent=True)
    line = model("order.Line").objects.filter(order__number=number).first()
    visitor.submit(f"/accounts/orders/{number}/", having=f"/{line.id}/", sent=True)
    visitor.get("/accounts/orders/?date_from=2026-01-01&date_to=2026-12-31&order_number=")


@flow
def a_customer_keeps_the_address_book() -> None:
    visitor = Visitor("moving")
    visitor.log_in("customer09@example.org")
    visitor.submit("/accounts/addresses/add/", {"line1": ""}, "line1")
    visitor.submit("/accounts/addresses/add/", ADDRESS, "line1", sent=True)
    first, *_, last = model("address.UserAddress").objects.filter(user__username="user09").order_by("id")
    visitor.submit(f"/accounts/addresses/{last.id}/", {"line2": "Flat 2"}, "line1", sent=True)
    visitor.submit("/accounts/addresses/add/", {**ADDRESS, "line2": "Flat 2"}, "line1")  # the same again
    visitor.get(f"/accounts/addresses/{last.id}/default_for_shipping/")
    visitor.get(f"/accounts/addresses/{last.id}/default_for_billing/")
    visitor.submit(f"/accounts/addresses/{first.id}/delete/", sent=True)
    put_in_basket(visitor, "upc0007")
    visitor.submit(f"/checkout/user-address/edit/{last.id}/", {"notes": "2nd door"}, "line1", sent=True)
    visitor.submit(f"/checkout/user-address/delete/{last.id}/", sent=True)
    visitor.get("/accounts/addresses/")


@flow
def customers_review_and_vote() -> None:
    visitor = Visitor("reviewing")
    visitor.log_in("customer20@example.org")
    page = product("upc0002")
    visitor.submit(f"{page}reviews/add/", {"title": "", "score": "", "body": ""}, "score")
    visitor.submit(f"{page}reviews/add/", {"title": "Fine; 'good'", "score": "4", "body": "x\\y"}, "score", sent=True)
    review = model("reviews.ProductReview").objects.filter(status=1, user__isnull=False).order_by("id").first()
    url = f"{review.product.get_absolute_url()}reviews/{review.id}/"
    visitor.get(url)
    visitor.post(f"{url}vote/", {"delta": 1})
    visitor.post(f"{url}vote/", {"delta": 1})  # counts only once
    visitor.get(f"{review.product.get_absolute_url()}reviews/?sort_by=score")
    nobody = Visitor("reviewing unknown")
    data = {"title": "Anonymous", "score": "2", "body": "so", "name": "Nobody", "email": "nobody@example.org"}
    nobody.submit(f"{page}reviews/add/", data, "score", sent=True)


@flow
def a_customer_wishes() -> None:
    visitor = Visitor("wishing")
    visitor.log_in("customer21@example.org")
    visitor.submit(product("upc0001"), having="/wishlists/add/", sent=True)
    data = {"name": "Birthday", "visibility": "Shared", "shared_emails-0-email": "aunt@example.org"}
    visitor.submit("/accounts/wishlists/create/", data, "visibility", sent=True)
    visitor.submit(
        f"/accounts/wishlists/create/with-product/{model('catalogue.Product').objects.get(upc='upc0002').id}/",
        {"name": "Other"},
        "visibility",
        sent=True,
    )
    lists = model("wishlists.WishList").objects.filter(owner__username="user21").order_by("id")
    one, two = lists[0], lists[1]
    line = one.lines.get()
    visitor.submit(f"/accounts/wishlists/{one.key}/", {"lines-0-quantity": 5}, "lines-0-quantity", sent=True)
    visitor.get(f"/accounts/wishlists/{one.key}/lines/{line.id}/move-to/{two.key}/")
    visitor.get(f"/accounts/wishlists/{two.key}/")
    visitor.submit(f"/accounts/wishlists/{two.key}/update/", {"visibility": "Public"}, "visibility", sent=True)
    visitor.submit(f"/accounts/wishlists/{two.key}/lines/{two.lines.first().id}/delete/", sent=True)
    visitor.submit(f"/accounts/wishlists/{one.key}/delete/", sent=True)
    Visitor("looking at wishes").get(f"/wishlists/{two.key}/")


@flow
def alerts_and_notifications() -> None:
    nobody = Visitor("waiting")
    sold_out = model("catalogue.Product").objects.get(upc="upc0004")
    nobody.submit(sold_out.get_absolute_url(), {"email": "waiting@example.org"}, "email", sent=True)
    alert = model("customer.ProductAlert").objects.get(email="waiting@example.org")
    nobody.get(f"/accounts/alerts/confirm/{alert.key}/")
    nobody.get(f"/accounts/alerts/cancel/key/{alert.key}/")
    visitor = Visitor("waiting customer")
    visitor.log_in("customer22@example.org")
    visitor.submit(sold_out.get_absolute_url(), having="/alerts/create/", sent=True)
    visitor.get("/accounts/alerts/")
    own = model("customer.ProductAlert").objects.get(user__username="user22")
    visitor.post(f"/accounts/alerts/cancel/{own.id}/")
    reader = Visitor("reading")
    reader.log_in("customer01@example.org")
    note = model("communication.Notification").objects.filter(recipient__username="user01").first()
    reader.get(f"/accounts/notifications/{note.id}/")
    for action in ("archive", "delete"):
        reader.post(
            "/accounts/notifications/update/",
            {"action": action, f"checkbox-{note.id}": "on", "selected_notification": note.id},
        )
    reader.get("/accounts/notifications/archive/")


@flow
def a_customer_leaves() -> None:
    visitor = Visitor("leaving")
    visitor.log_in("customer03@example.org")  # with a card, orders, reviews, wishes, a mail
    visitor.submit("/accounts/profile/delete/", {"password": "wrong"}, "password")
    visitor.submit("/accounts/profile/delete/", {"password": PASSWORD}, "password", sent=True)
    visitor.get("/accounts/")


@flow
def staff_works_on_orders() -> None:
    staff = Visitor("staff on orders")
    staff.log_in("staff@example.org")
    url = "/dashboard/orders/100005/"
    order = model("order.Order").objects.get(number="100005")
    lines = list(order.lines.order_by("id"))
    staff.submit(f"{url}?note=", {"message": "A 'note'", "order_action": "save_note"}, "message", sent=True)
    note = order.notes.order_by("-id").first()
    staff.submit(f"{url}notes/{note.id}/", {"message": "Better"}, "message", sent=True)
    staff.post(url, {"order_action": "delete_note", "note_id": note.id})
    staff.post(url, {"order_action": "change_order_status", "new_status": "Being processed"})
    selected = {"selected_line": [line.id for line in lines]}
    selected |= {f"selected_line_qty_{line.id}": line.quantity for line in lines}
    staff.post(url, selected | {"line_action": "change_line_statuses", "new_status": "Being processed"})
    staff.post(
        url, selected | {"line_action": "create_shipping_event", "shipping_event_type": "shipped", "reference": "REF'1"}
    )
    staff.post(url, selected | {"line_action": "create_shipping_event", "shipping_event_type": "shipped"})
    staff.post(url, selected | {"line_action": "create_payment_event", "payment_event_type": "settled", "amount": "5"})
    staff.post(url, {"order_action": "create_order_payment_event", "payment_event_type": "settled", "amount": "1.5"})
    staff.submit(f"{url}shipping-address/", {"line2": "Moved"}, "line1", sent=True)
    staff.get(f"{url}lines/{lines[0].id}/")
    staff.get(url)
    chosen = [str(one.id) for one in model("order.Order").objects.filter(status="Pending").order_by("id")[:3]]
    staff.post(
        "/dashboard/orders/", {"action": "change_order_statuses", "selected_order": chosen, "new_status": "Cancelled"}
    )
    staff.post("/dashboard/orders/", {"action": "download_selected_orders", "selected_order": chosen})
    staff.get(
        "/dashboard/orders/?order_number=&name=&product_title=Product&upc=&partner_sku=&date_from=2026-01-01"
        "&date_to=2026-12-31&voucher=WELCOME&payment_method=Card&status=&response_format=html"
    )
    staff.get("/dashboard/orders/?order_number=1000&response_format=csv")
    for report in "order_report offer_performance voucher_performance product_analytics customer_analytics".split():
        for form in ("html", "csv"):
            staff.get(f"/dashboard/reports/?report_type={report}&date_from=&date_to=&download={form == 'csv'}")
            staff.get(f"/dashboard/reports/?report_type={report}&date_from=2025-01-01&date_to=2026-12-31")
    staff.get("/dashboard/orders/statistics/?date_from=2026-01-01&date_to=2026-06-30")


@flow
def staff_keeps_the_catalogue() -> None:
    staff = Visitor("staff on catalogue")
    staff.log_in("staff@example.org")
    partner = model("partner.Partner").objects.get(name="Acme").id
    category = model("catalogue.Category").objects.get(name="Horror").id
    stock = {
        "stockrecords-0-partner": partner, "stockrecords-0-partner_sku": "new-1", "stockrecords-0-price": "12.50",
        "stockrecords-0-num_in_stock": 7, "stockrecords-0-price_currency": "GBP",
    }  # fmt: skip
    data = {
        "title": "A new 'book' \\ 1",
        "upc": "new1",
        "productcategory_set-0-category": category,
        "attr_pages": 12,
        "attr_weight": "1.25",
        "attr_blurb": "<b>x</b>",
        **stock,
    }
    create = "/dashboard/catalogue/products/create/book/"
    staff.post("/dashboard/catalogue/products/create/", {"product_class": 1})
    staff.submit(create, {"title": "", "upc": "upc0001"}, "title", "action")
    staff.submit(create, data, "title", sent=True)
    made = model("catalogue.Product").objects.get(upc="new1")
    edit = f"/dashboard/catalogue/products/{made.id}/"
    picture = SimpleUploadedFile("new.gif", PICTURE, "image/gif")
    staff.submit(
        edit,
        {"description": "<p>now described</p>", "images-0-original": picture, "images-0-caption": "c"},
        "title",
        sent=True,
    )
    staff.submit(edit, {"stockrecords-0-num_in_stock": 8, "attr_pages": 13}, "title", sent=True)
    staff.submit(f"{edit}delete/", sent=True)
    parent = model("catalogue.Product").objects.get(upc="parent").id
    child = {"title": "Shirt M", "upc": "shirtM", **stock, "stockrecords-0-partner_sku": "shirt-M"}
    staff.submit(f"/dashboard/catalogue/products/{parent}/create-variant/", child, "title", sent=True)
    kind = {"name": "Cup", "attributes-0-name": "Volume", "attributes-0-code": "volume", "attributes-0-type": "integer"}
    staff.submit("/dashboard/catalogue/product-type/create/", kind, "name", sent=True)
    made = model("catalogue.ProductClass").objects.get(name="Cup")
    staff.submit(f"/dashboard/catalogue/product-type/{made.id}/update/", {"name": "Mug"}, "name", sent=True)
    staff.submit(f"/dashboard/catalogue/product-type/{made.id}/delete/", {"name": "Mug"}, sent=True)
    root = {"treebeard_position": "first-child", "treebeard_ref_node": ""}
    staff.submit("/dashboard/catalogue/categories/create/", {"name": "Toys", "slug": "toys", **root}, "name", sent=True)
    toys = model("catalogue.Category").objects.get(name="Toys").id
    below = {"treebeard_position": "first-child", "treebeard_ref_node": toys}
    staff.submit(
        f"/dashboard/catalogue/categories/create/{toys}/", {"name": "Cars", "slug": "cars", **below}, "name", sent=True
    )
    gifts = model("catalogue.Category").objects.get(name="Gifts").id
    staff.submit(
        f"/dashboard/catalogue/categories/{gifts}/update/",
        {"name": "Presents", "is_public": None, **below},
        "name",
        sent=True,
    )
    staff.get("/catalogue/")
    staff.submit(f"/dashboard/catalogue/categories/{toys}/delete/", sent=True)
    option = {"name": "Wrapping", "type": "boolean"}
    staff.submit("/dashboard/catalogue/option/create/", option, "name", sent=True)
    made = model("catalogue.Option").objects.get(name="Wrapping").id
    staff.submit(f"/dashboard/catalogue/option/{made}/update/", {"help_text": "in paper"}, "name", sent=True)
    staff.submit(f"/dashboard/catalogue/option/{made}/delete/", sent=True)
    group = {"name": "Colours", "options-0-option": "red", "options-1-option": "blue"}
    staff.submit("/dashboard/catalogue/attribute-option-group/create/", group, "name", sent=True)
    made = model("catalogue.AttributeOptionGroup").objects.get(name="Colours").id
    url = f"/dashboard/catalogue/attribute-option-group/{made}/"
    staff.submit(f"{url}update/", {"options-0-option": "RED", "options-1-DELETE": "on"}, "name", sent=True)
    staff.submit(f"{url}delete/", sent=True)
    staff.get("/dashboard/catalogue/stock-alerts/?status=Open")


PICTURE = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,"
    b"\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
)


@flow
def staff_makes_offers() -> None:
    staff = Visitor("staff on offers")
    staff.log_in("staff@example.org")
    goods = {"name": "New range", "description": "d", "is_public": "on"}
    staff.submit("/dashboard/ranges/create/", goods, "name", "action", sent=True)
    made = model("offer.Range").objects.get(name="New range").id
    url = f"/dashboard/ranges/{made}/"
    codes = SimpleUploadedFile("codes.csv", b"upc0001\nupc0002\nsku-3\nunknown\n", "text/csv")
    staff.submit(f"{url}products/", {"query": "", "file_upload": codes}, "query", sent=True)
    staff.submit(f"{url}products/", {"query": "upc0005, upc0006, upc0001"}, "query", sent=True)
    ids = list(model("catalogue.Product").objects.filter(upc__in=["upc0006", "upc0001"]).values_list("id", flat=True))
    staff.post(f"{url}products/", {"action": "remove_selected_products", "selected_product": ids[:1]})
    staff.post(f"{url}reorder/", {"product": [str(one) for one in ids]})
    staff.submit(url, {"name": "Newer range", "included_categories": [1]}, "name", sent=True)
    staff.submit("/dashboard/offers/new/metadata/", {"name": "Wizard's", "offer_type": "Site"}, "name", sent=True)
    staff.submit(
        "/dashboard/offers/new/incentive/", {"range": made, "type": "Percentage", "value": 7}, "value", sent=True
    )
    staff.submit("/dashboard/offers/new/condition/", {"range": made, "type": "Count", "value": 2}, "value", sent=True)
    staff.submit("/dashboard/offers/new/restrictions/", {"priority": 3}, "priority", "save", sent=True)
    offer = model("offer.ConditionalOffer").objects.latest("id").id
    staff.submit(f"/dashboard/offers/{offer}/restrictions/", {"max_discount": "20"}, "priority", "save")
    staff.get(f"/dashboard/offers/{offer}/")
    staff.post(f"/dashboard/offers/{offer}/", {"suspend": "1"})
    staff.post(f"/dashboard/offers/{offer}/", {"unsuspend": "1"})
    dates = {"start_datetime": "2026-03-01 00:00", "end_datetime": "2026-05-01 00:00"}
    voucher = {"name": "Easter", "code": "EASTER", "offers": [2], **dates}
    staff.submit("/dashboard/vouchers/create/", voucher, "code", sent=True)
    made_voucher = model("voucher.Voucher").objects.get(code="EASTER").id
    staff.submit(f"/dashboard/vouchers/update/{made_voucher}/", {"name": "Eastern"}, "code", sent=True)
    staff.get(f"/dashboard/vouchers/stats/{made_voucher}/")
    staff.submit(f"/dashboard/vouchers/delete/{made_voucher}/", sent=True)
    many = {
        "name": "Letters",
        "description": "d",
        "count": 3,
        "code_length": 6,
        "usage": "Single use",
        "offers": [2],
        **dates,
    }
    staff.submit("/dashboard/vouchers/sets/create/", many, "code_length", sent=True)
    made_set = model("voucher.VoucherSet").objects.get(name="Letters").id
    staff.submit(f"/dashboard/vouchers/sets/update/{made_set}/", {"count": 5}, "code_length", sent=True)
    staff.get(f"/dashboard/vouchers/sets/detail/{made_set}/")
    staff.get(f"/dashboard/vouchers/sets/download/{made_set}/")
    staff.submit(f"/dashboard/vouchers/sets/delete/{made_set}/", sent=True)
    staff.submit(f"/dashboard/offers/{offer}/delete/", sent=True)
    staff.submit(f"{url}delete/", sent=True)


@flow
def staff_keeps_the_rest() -> None:
    staff = Visitor("staff on the rest")
    staff.log_in("staff@example.org")
    staff.submit("/dashboard/partners/create/", {"name": "Delta"}, "name", sent=True)
    partner = model("partner.Partner").objects.get(name="Delta").id
    url = f"/dashboard/partners/{partner}/"
    address = {"line1": "1 Way", "line4": "Hull", "postcode": "HU1 1AA", "country": "GB", "name": "Delta Ltd"}
    staff.submit(url, address, "line1", sent=True)
    clerk = {"first_name": "Cleo", "last_name": "Clerk", "email": "cleo@example.org", "password1": "clever 3 word"}
    clerk |= {"password2": clerk["password1"], "role": "limited"}
    staff.submit(f"{url}users/add/", clerk, "email", sent=True)
    cleo = model("auth.User").objects.get(email="cleo@example.org").id
    staff.submit(f"{url}users/{cleo}/update/", {"first_name": "Kleo", "role": "staff"}, "first_name", sent=True)
    staff.submit(url, having="/unlink/", sent=True)
    staff.get(f"{url}users/select/?email=customer1")
    staff.post(f"{url}users/{model('auth.User').objects.get(username='user10').id}/link/")
    staff.get("/dashboard/users/?email=cleo&name=Kleo+Clerk")
    chosen = [
        str(one)
        for one in model("auth.User").objects.filter(username__in=["user11", "user12"]).values_list("id", flat=True)
    ]
    staff.post("/dashboard/users/", {"action": "make_inactive", "selected_user": chosen})
    staff.post("/dashboard/users/", {"action": "make_active", "selected_user": chosen[:1]})
    staff.submit(f"/dashboard/users/{chosen[0]}/", having="/password-reset/", sent=True)
    review = model("reviews.ProductReview").objects.filter(status=0).order_by("id")
    staff.submit(f"/dashboard/reviews/{review[0].id}/", {"title": "Edited", "status": 1}, "title", sent=True)
    data = {
        "action": "update_selected_review_status",
        "status": 2,
        "selected_review": [str(one.id) for one in review[:2]],
    }
    staff.post("/dashboard/reviews/", data)
    staff.get("/dashboard/reviews/?keyword=good&name=Ann&date_from=2026-01-01&date_to=2026-12-01&status=1")
    staff.submit(f"/dashboard/reviews/{review[0].id}/delete/", sent=True)
    staff.submit(
        "/dashboard/pages/create/",
        {"title": "New", "url": "/new/", "content": "<p>100% $1 'new'</p>"},
        "title",
        sent=True,
    )
    page = model("flatpages.FlatPage").objects.get(url="/new/").id
    staff.submit(f"/dashboard/pages/update/{page}/", {"content": "<p>other</p>"}, "title", sent=True)
    Visitor("reading pages").get("/new/")
    staff.submit(f"/dashboard/pages/delete/{page}/", sent=True)
    mails = "/dashboard/comms/ORDER_PLACED/"
    preview = {
        "email_body_html_template": "<p>Dear</p>",
        "preview_order_number": "100007",
        "preview_email": "staff@example.org",
    }
    staff.submit(mails, preview, "name", "show_preview")
    staff.submit(mails, preview, "name", "send_preview")
    staff.submit(
        mails,
        {"email_body_html_template": "<p>{{ order.number }}</p>", "email_subject_template": "Order {{ order.number }}"},
        "name",
        sent=True,
    )
    staff.submit(
        "/dashboard/shipping/weight-based/create/", {"name": "Heavy", "default_weight": "2"}, "name", sent=True
    )
    method = model("shipping.WeightBased").objects.get(name="Heavy").id
    url = f"/dashboard/shipping/weight-based/{method}/"
    staff.submit(url, {"upper_limit": "5", "charge": "7.25"}, "charge", sent=True)
    band = model("shipping.WeightBand").objects.get(method_id=method).id
    staff.submit(f"{url}bands/{band}/", {"charge": "8"}, "charge", sent=True)
    staff.submit(f"{url}edit/", {"countries": ["GB", "DE"]}, "name", sent=True)
    staff.submit(f"{url}bands/{band}/delete/", sent=True)
    staff.submit(f"{url}delete/", sent=True)
    alert = model("customer.ProductAlert").objects.filter(status="Active").order_by("id").first().id
    staff.submit(f"/dashboard/users/alerts/{alert}/update/", {"status": "Cancelled"}, "status", sent=True)
    staff.submit(f"/dashboard/users/alerts/{alert}/delete/", sent=True)


@flow
def staff_changes_many_at_once() -> None:
    staff = Visitor("staff on many")
    staff.submit("/dashboard/login/", {"username": "staff@example.org", "password": PASSWORD}, "username", sent=True)
    products = model("catalogue.Product").objects.filter(upc__in=["upc0008", "upc0009", "parent"]).order_by("id")
    ids = [str(one.id) for one in products]
    for action, data in (
        ("set_product_price", {"increase_by_amount": "1.25"}),
        ("set_product_price", {"new_price": "9.75"}),
        ("make_products_non_public", {}),
        ("make_products_public", {}),
    ):
        staff.post("/dashboard/catalogue/", {"action": action, "selected_product": ids, "select_across": "0"})
        page = staff.location
        assert "bulk-action" in page, page
        staff.get(page)
        staff.post(page, {"selected_products": ids, **data})
    categories = [str(one) for one in model("catalogue.Category").objects.values_list("id", flat=True)[:2]]
    for action in ("make_non_public", "make_public"):
        data = {"action": action, "selected_category": categories, "select_across": "0"}
        staff.post("/dashboard/catalogue/categories/", data)
    staff.post("/dashboard/logout/")
    staff.get("/dashboard/")


@flow
def the_remaining_doors() -> None:
    visitor = Visitor("by other doors")
    data = {"email": "other.door@example.org", "password1": "a long 1 word", "password2": "a long 1 word"}
    visitor.submit("/accounts/register/", data, "password1", sent=True)
    visitor.post("/i18n/setlang/", {"language": "de", "next": "/catalogue/"})
    visitor.get("/catalogue/")
    visitor.get("/password-reset/done/")
    order = model("order.Order").objects.exclude(guest_email="").order_by("id").first()
    guest = Visitor("asking for an order")
    url = f"/accounts/order-status-form/{order.number}/{order.verification_hash()}/"
    guest.submit(url, {"email": "somebody@example.org"}, "email")
    guest.submit(url, {"email": order.guest_email}, "email", sent=True)
    guest.get(guest.location)


def send_every_form() -> None:
    """What the walk through dashboard and admin shows is sent as it stands, each kind of page once."""
    staff = Visitor("sending everything")
    staff.log_in("staff@example.org")

    def send(url: str, page: Page) -> None:
        for form in page.forms:
            if form.method == "post" and not form.action.startswith(OFFERED_EVERYWHERE):
                staff.send(url, form)

    walk(staff, ("/dashboard/", "/admin/"), 1, send)


if __name__ == "__main__":
    wanted = sys.argv[1:]
    for one in FLOWS:
        if not wanted or one.__name__ in wanted:
            one()
    if not wanted:
        send_every_form()
