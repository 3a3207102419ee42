"""The identity of this installation."""

from __future__ import annotations

import socket
import uuid
from typing import ClassVar, Self

from django.conf import settings
from django.db import models
from django.db.models import Q


class Installation(models.Model):
    """The installation that this database belongs to: a UUID, which its backups carry, and a name."""

    only = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    id = models.UUIDField(default=uuid.uuid4, unique=True)
    name = models.CharField(max_length=100)

    class Meta:
        constraints: ClassVar = [models.CheckConstraint(condition=Q(only=1), name="installation_is_one_row")]

    def __str__(self) -> str:
        return self.name

    @classmethod
    def current(cls, using: str = "default") -> Installation:
        """The installation of this database. Reads one row; writes it on first use.

        Its name is the ``INSTALLATION_NAME`` of the environment. Without that it is the stored name, which is the name
        of the machine at first.
        """
        defaults = {"name": (settings.INSTALLATION_NAME or socket.gethostname())[:100]}
        installation, _created = cls.objects.using(using).get_or_create(only=1, defaults=defaults)
        return installation._named_by_settings()

    @classmethod
    def without_writing(cls, using: str = "default") -> Installation:
        """As :meth:`current`, but writes nothing: where there is no row yet, the installation has an id that must not
        be used."""
        installation = cls.objects.using(using).filter(only=1).first() or cls(name=socket.gethostname()[:100])
        return installation._named_by_settings()

    def _named_by_settings(self) -> Self:
        if settings.INSTALLATION_NAME:
            self.name = settings.INSTALLATION_NAME[:100]
        return self
