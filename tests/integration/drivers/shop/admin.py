"""The shop in Django's admin."""

from __future__ import annotations

from django.contrib import admin

from tests.integration.drivers.shop.models import Person


class PersonAdmin(admin.ModelAdmin):
    list_display = ("name", "email", "card_no")
    list_filter = ("born", "tags")
    search_fields = ("name", "card_no", "purchases__total")
    date_hierarchy = "seen"
    ordering = ("name",)


admin.site.register(Person, PersonAdmin)
