"""The shop at the root, Django's admin and the partner's pages beside it."""

from __future__ import annotations

from django.apps import apps
from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("i18n/", include("django.conf.urls.i18n")),
    path("admin/", admin.site.urls),
    path("mailing/", include("tests.integration.oscar.mailing")),
    path("", include(apps.get_app_config("oscar").urls[0])),
]
