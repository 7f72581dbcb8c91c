"""The mailing partner's own pages over the shop's customers: names, email, how many orders; nothing else."""

from __future__ import annotations

import csv
import os
from typing import Any

from django.contrib.auth.models import User
from django.core.paginator import Paginator
from django.db.models import Case, CharField, Count, F, Max, Q, QuerySet, Value, When
from django.db.models.functions import Lower
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.urls import path

# Where there is no gateway, what it does is done here: who agreed to email, and to names.
EMAIL, NAMES = (
    [int(one) for one in os.environ[name].split(",")] if name in os.environ else None
    for name in ("OSCAR_AGREED_EMAIL", "OSCAR_AGREED_NAMES")
)


def customers() -> QuerySet[Any]:
    found = User.objects.filter(is_active=True)
    if EMAIL is None or NAMES is None:
        return found.annotate(first=F("first_name"), last=F("last_name"))
    shown = {
        name: Case(When(pk__in=NAMES, then=F(f"{name}_name")), default=Value(None), output_field=CharField())
        for name in ("first", "last")
    }
    return found.filter(pk__in=EMAIL).annotate(**shown)


def listing(request: HttpRequest) -> HttpResponse:
    found = customers().order_by("id").values("id", "first", "last", "email")
    if request.GET.get("q"):
        found = found.filter(Q(email__icontains=request.GET["q"]) | Q(last__istartswith=request.GET["q"]))
    page = Paginator(found, 5).get_page(request.GET.get("page"))
    return JsonResponse({"pages": page.paginator.num_pages, "count": page.paginator.count, "rows": list(page)})


def one(request: HttpRequest, pk: int) -> HttpResponse:
    user = get_object_or_404(customers().only("id", "email"), pk=pk)
    return JsonResponse({"email": user.email, "name": f"{user.first} {user.last}", "orders": user.orders.count()})


def totals(request: HttpRequest) -> HttpResponse:
    rows = customers().values("id", "email").annotate(orders=Count("orders"), latest=Max("orders__date_placed"))
    by_name = customers().values(letter=Lower("first")).annotate(many=Count("id")).order_by("letter")
    best = customers().filter(orders__status="Pending").distinct().order_by("-email").values_list("email")
    return JsonResponse({"rows": list(rows.order_by("id")), "names": list(by_name), "best": list(best)})


def export(request: HttpRequest) -> HttpResponse:
    response = HttpResponse(content_type="text/csv")
    writer = csv.writer(response)
    for user in customers().only("id", "email").order_by("email").iterator(chunk_size=3):
        writer.writerow([user.id, user.email, user.first, user.last])
    return response


urlpatterns = [
    path("", listing),
    path("<int:pk>/", one),
    path("totals/", totals),
    path("export/", export),
]
