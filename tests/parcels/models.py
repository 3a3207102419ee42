"""The tables of the parcels."""

import uuid
from typing import ClassVar

from django.db import models
from django.utils import timezone


class Stamped(models.Model):
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return str(self.pk)


class Depot(Stamped):
    """Without dates, and with a primary key of its own kind."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    code = models.CharField(max_length=20, unique=True)
    note = models.TextField(blank=True)


class Carrier(Stamped):
    name = models.CharField(max_length=40, unique=True)


class Delivery(Stamped):
    """Its key refers to two parents and has a date."""

    depot = models.ForeignKey(Depot, models.PROTECT)
    carrier = models.ForeignKey(Carrier, models.PROTECT)
    day = models.DateField()
    number = models.IntegerField()
    weight = models.DecimalField(max_digits=12, decimal_places=6, null=True)  # more places than are declared
    is_express = models.BooleanField(default=False)
    tracking = models.UUIDField(null=True)
    arrived_at = models.DateTimeField(null=True)
    details = models.JSONField(null=True)
    attempts = models.BigIntegerField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["depot", "carrier", "day", "number"], name="delivery_key")
        ]


class Transfer(Stamped):
    """Its key has three parts, and two of them, neither first, refer to the same model."""

    day = models.DateField()
    origin = models.ForeignKey(Depot, models.PROTECT, related_name="+")
    target = models.ForeignKey(Depot, models.PROTECT, related_name="+")
    parcels = models.IntegerField()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["day", "origin", "target"], name="transfer_key")]


class Tariff(Stamped):
    """Refers to nothing; its key has a field of each kind that has an order."""

    zone = models.BigIntegerField()
    limit = models.DecimalField(max_digits=15, decimal_places=4)
    is_express = models.BooleanField()
    contract = models.UUIDField()
    since = models.DateTimeField()
    price = models.DecimalField(max_digits=15, decimal_places=2)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["zone", "limit", "is_express", "contract", "since"], name="tariff_key")
        ]
