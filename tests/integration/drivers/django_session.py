"""Django's side of test_drivers_django.py, a process for each session; arguments: STEP URI [server-side].

Prints what the step saw as JSON lines, values by `repr`.
"""

from __future__ import annotations

import datetime
import io
import json
import os
import sys
import uuid
from decimal import Decimal
from typing import Any

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.integration.drivers.shop.settings"
django.setup()

from django.contrib import admin  # noqa: E402
from django.contrib.auth.models import Group, User  # noqa: E402
from django.contrib.postgres.aggregates import ArrayAgg, StringAgg  # noqa: E402
from django.contrib.postgres.search import SearchVector  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import DatabaseError, connection, models, transaction  # noqa: E402
from django.db.models import Avg, Case, Count, Exists, F, Max, OuterRef, Q, Subquery, Sum, Value, When, Window  # noqa: E402
from django.db.models.functions import Coalesce, ExtractYear, Rank, TruncMonth, Upper  # noqa: E402
from django.test import RequestFactory  # noqa: E402

from tests.integration.drivers.shop.models import Person, Purchase, Tag  # noqa: E402

NOON = datetime.datetime(2024, 2, 28, 12, tzinfo=datetime.UTC)


def show(*values: Any) -> None:
    for value in values:
        shown = list(value) if isinstance(value, models.QuerySet) else value
        print(json.dumps(shown if isinstance(shown, str) else repr(shown)))


def attempt(work: Any) -> None:
    try:
        with transaction.atomic():
            show(work())
    except DatabaseError as error:
        diagnostic = error.__cause__.diag  # type: ignore[union-attr]
        show((type(error).__name__, diagnostic.sqlstate, diagnostic.message_primary, diagnostic.constraint_name))


def migrate() -> None:
    """All tables, by Django's own migrations and, for this app, from its models; a column that the models do not know."""
    out = io.StringIO()
    call_command("migrate", run_syncdb=True, stdout=out, verbosity=1)
    show(out.getvalue())
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE shop_person ADD COLUMN internal text DEFAULT 'hidden'")
        cursor.execute(
            "GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC; GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO PUBLIC"
        )
    tags = Tag.objects.bulk_create(Tag(label=label) for label in ("new", "old", "vip"))
    for number, name in enumerate(("Ann", "Bob", "Cyd", "Dan"), 1):
        person = Person(
            name=name,
            email=f"{name}@example.org",
            card_no=f"411111111111111{number}",
            token=uuid.UUID(int=number),
        )
        person.born = datetime.date(1980 + number, 1, 1)
        person.seen, person.profile, person.words = NOON, {"n": number, "list": [name]}, [name, "x"]
        person.valid = (datetime.date(2024, 1, number), None)
        person.save()
        person.tags.set(tags[: number % 3])
        for total in range(number):
            Purchase.objects.create(person=person, total=total * 10, placed=NOON.replace(year=2020 + total))
    User.objects.create(username="root", is_superuser=True, is_staff=True)


def reads() -> None:
    people, bought = Person.objects.order_by("id"), Purchase.objects.order_by("id")
    show(
        people.values(),
        [vars(p) | {"_state": None} for p in people.select_related()],
        bought.values_list("total", flat=True),
    )
    show(
        people.filter(card_no__endswith="1112").count(),
        people.filter(email__isnull=False).exists(),
        people.filter(name__iregex="^a").first(),
    )
    show(
        [
            (p.name, [t.label for t in p.tags.all()], [b.total for b in p.purchases.all()])
            for p in people.prefetch_related("tags", "purchases")
        ]
    )
    show([(b.person.name, b.person.card_no) for b in bought.select_related("person").filter(person__tags__label="new")])
    show(people.aggregate(Count("email"), Max("seen"), n=Count("id", filter=Q(words__contains=["x"]))))
    show(
        people.annotate(n=Count("purchases"), s=Coalesce(Sum("purchases__total"), Decimal(0)))
        .filter(n__gt=1)
        .values("card_no", "n", "s")
    )
    show(
        bought.values("person__card_no")
        .annotate(a=Avg("total"), y=ArrayAgg(ExtractYear("placed"), ordering="id"))
        .order_by("person__card_no")
    )
    show(
        people.annotate(
            last=Subquery(bought.filter(person=OuterRef("pk")).order_by("-placed").values("total")[:1])
        ).values_list("name", "last")
    )
    show(people.annotate(any=Exists(bought.filter(person=OuterRef("pk"), total__gt=15))).values_list("id", "any"))
    show(
        bought.annotate(rank=Window(Rank(), partition_by=F("person"), order_by=F("total").desc())).values_list(
            "id", "rank"
        )
    )
    show(
        people.annotate(kind=Case(When(born__year__lt=1983, then=Value("old")), default=Upper("name"))).values_list(
            "kind", flat=True
        )
    )
    show(
        people.annotate(month=TruncMonth("seen"))
        .values("month")
        .annotate(names=StringAgg("name", ",", ordering="name"))
        .order_by("month")
    )
    show(
        people.filter(profile__n__gte=2, profile__list__0="Bob"),
        people.values_list("profile__n", flat=True),
        people.filter(words__overlap=["Ann"]),
    )
    show(
        people.filter(valid__contains=datetime.date(2024, 1, 3)),
        people.dates("seen", "month"),
        people.datetimes("seen", "day"),
        people.in_bulk([1, 3]),
    )
    show(
        people.annotate(s=SearchVector("name", config="simple")).filter(s="ann"),
        people.filter(id=1).union(people.filter(id=3)).count(),
    )
    show(
        people[1:3],
        people.reverse()[:1],
        people.distinct("name").order_by("name"),
        people.exclude(purchases__total=10),
        people.earliest("born"),
    )
    show(
        [
            p.card_no
            for p in Person.objects.raw("SELECT id, card_no, name FROM shop_person WHERE id < %s ORDER BY id", [3])
        ]
    )
    show(
        [p.id for p in people.iterator(chunk_size=2)],
        [p.email for p in people.only("email")],
        people.defer("card_no").get(id=2).card_no,
    )
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM shop_person WHERE name = %s", ["Ann"])
        show(cursor.fetchall(), [tuple(column) for column in cursor.description])
    for request in (
        RequestFactory().get("/", {"q": "n", "tags__id__exact": "1"}),
        RequestFactory().get("/", {"q": "411"}),
        RequestFactory().get("/", {"seen__year": "2024"}),
    ):
        request.user = User.objects.get(username="root")
        changes = admin.site.get_model_admin(Person).get_changelist_instance(request)
        show(changes.result_count, changes.full_result_count, [(p.name, p.card_no) for p in changes.result_list])


def introspection() -> None:
    out = io.StringIO()
    call_command("inspectdb", stdout=out)
    show(*out.getvalue().splitlines())
    with connection.cursor() as cursor:
        for table in ("shop_person", "shop_purchase", "shop_person_tags"):
            show(
                connection.introspection.get_constraints(cursor, table),
                connection.introspection.get_sequences(cursor, table),
            )
            show(connection.introspection.get_relations(cursor, table))
    show(connection.pg_version, sorted(connection.introspection.table_names(include_views=True)))


def writes() -> None:
    with transaction.atomic():
        new = Person.objects.create(name="Eve", card_no="1", token=uuid.UUID(int=9))
        new.tags.add(*Tag.objects.all())
        new.tags.remove(Tag.objects.get(label="old"))
        show(new.tags.count(), Person.objects.filter(name="Eve").update(name=Upper("name")))
        person = Person.objects.select_for_update(of=("self",)).get(id=1)
        person.name, person.profile["more"] = "Anna", True
        person.save(update_fields=["name", "profile"])
        person.refresh_from_db()
        show(
            person.name,
            person.profile,
            person.card_no,
            Purchase.objects.select_for_update(skip_locked=True).order_by("id")[:2],
        )
        show(Purchase.objects.bulk_create(Purchase(person=person, total=n, placed=NOON) for n in range(300))[-1].total)
        show(
            Purchase.objects.filter(person=person).update(total=F("total") + 1),
            Purchase.objects.aggregate(Sum("total")),
        )
        show([(t.label, made) for t, made in (Tag.objects.get_or_create(label=label) for label in ("vip", "made"))])
        show(Tag.objects.update_or_create(label="made", defaults={"label": "remade"})[0].label)
        Tag.objects.bulk_create([Tag(label="vip"), Tag(label="other")], ignore_conflicts=True)
        Tag.objects.bulk_create(
            [Tag(label="vip")], update_conflicts=True, unique_fields=["label"], update_fields=["label"]
        )
        some = list(Purchase.objects.filter(person_id=3).order_by("id"))
        for one in some:
            one.total += 100
        show(
            Purchase.objects.bulk_update(some, ["total"]),
            Tag.objects.all(),
            Purchase.objects.filter(total__gt=100).count(),
        )
        attempt(lambda: Tag.objects.create(label="vip"))
        attempt(lambda: Purchase.objects.create(person_id=1, total=None, placed=NOON))
        attempt(lambda: Purchase.objects.create(person_id=1, total=Decimal("123456789.5"), placed=NOON))
        attempt(lambda: Person.objects.filter(id=1).update(name=""))
        attempt(lambda: Person.objects.extra(where=["nothing = 1"]).count())
        attempt(lambda: Purchase.objects.annotate(x=F("total") / 0).first())
        attempt(lambda: Group.objects.create(name="g").pk is not None)
        show(
            Person.objects.filter(name="EVE").delete(),
            Purchase.objects.filter(total__lt=100).delete()[0],
            Purchase.objects.count(),
        )
        transaction.set_rollback(True)
    show(Purchase.objects.count(), Person.objects.get(id=1).name)


{"migrate": migrate, "reads": reads, "introspection": introspection, "writes": writes}[sys.argv[1]]()
