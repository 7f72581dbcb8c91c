"""Models of a small shop."""

from __future__ import annotations

import uuid

from django.contrib.postgres.fields import ArrayField, DateRangeField
from django.db import models
from django.db.models import Q


class Tag(models.Model):
    label = models.CharField(max_length=20, unique=True)

    class Meta:
        ordering = ("label",)

    def __str__(self) -> str:
        return self.label


class Person(models.Model):
    name = models.CharField(max_length=40, db_index=True)
    email = models.EmailField(null=True, unique=True)
    card_no = models.CharField(max_length=19, default="")
    born = models.DateField(null=True)
    seen = models.DateTimeField(null=True)
    token = models.UUIDField(default=uuid.uuid4)
    profile = models.JSONField(default=dict)
    words = ArrayField(models.TextField(), default=list)
    valid = DateRangeField(null=True)
    tags = models.ManyToManyField(Tag, related_name="people")

    class Meta:
        constraints = (models.CheckConstraint(condition=~Q(name=""), name="named"),)

    def __str__(self) -> str:
        return self.name


class Purchase(models.Model):
    person = models.ForeignKey(Person, models.CASCADE, related_name="purchases")
    total = models.DecimalField(max_digits=10, decimal_places=2)
    placed = models.DateTimeField()

    class Meta:
        indexes = (models.Index(fields=["person", "-placed"], name="by_person"),)
