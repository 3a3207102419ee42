"""Which installation this is."""

from __future__ import annotations

import socket
import uuid
from typing import ClassVar, Self

from django.conf import settings
from django.db import models
from django.db.models import Q


class Installation(models.Model):
    """The one deployment that this database belongs to: a UUID that its backups carry, and a name."""

    only = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    id = models.UUIDField(default=uuid.uuid4, unique=True)
    name = models.CharField(max_length=100)

    class Meta:
        constraints: ClassVar = [models.CheckConstraint(condition=Q(only=1), name="installation_is_one_row")]

    def __str__(self) -> str:
        return self.name

    @classmethod
    def current(cls, using: str = "default") -> Installation:
        """This database's installation; made on first use (one write).

        The environment's ``INSTALLATION_NAME`` wins over the stored name, and the machine's name
        stands in where nobody gave one.
        """
        defaults = {"name": (settings.INSTALLATION_NAME or socket.gethostname())[:100]}
        installation, _created = cls.objects.using(using).get_or_create(only=1, defaults=defaults)
        return installation._as_the_environment_names_it()

    @classmethod
    def without_writing(cls, using: str = "default") -> Installation:
        """As :meth:`current`, but one that was not made yet is not saved, and its id is good for nothing."""
        installation = cls.objects.using(using).filter(only=1).first() or cls(name=socket.gethostname()[:100])
        return installation._as_the_environment_names_it()

    def _as_the_environment_names_it(self) -> Self:
        if settings.INSTALLATION_NAME:
            self.name = settings.INSTALLATION_NAME[:100]
        return self
