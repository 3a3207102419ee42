"""Accounts and their roles."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.auth.hashers import make_password, verify_password
from django.contrib.auth.models import AbstractUser, UserManager
from django.db import DEFAULT_DB_ALIAS, Error, models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from core.models.constraints import one_of
from recordsync.system.transactions import writing


class Role(models.TextChoices):
    ROOT = "root", _("Root")
    ADMIN = "admin", _("Administrator")
    USER1 = "user1", _("Supervisor")


class MusterUserManager(UserManager["User"]):
    def create_superuser(
        self, username: str, email: str | None = None, password: str | None = None, **extra_fields: Any
    ) -> User:
        """The new root account that ``createsuperuser`` makes. Writes one row."""
        extra_fields.setdefault("role", Role.ROOT)
        return super().create_superuser(username, email, password, **extra_fields)


class User(AbstractUser):
    """An account. ``root`` sees every company; ``admin`` and ``user1`` belong to one company."""

    # Signing in writes nothing to this database, so it works while a restore holds it.
    last_login = None

    role = models.CharField(_("role"), max_length=10, choices=Role, default=Role.USER1)
    company = models.ForeignKey(
        "core.Company", models.PROTECT, verbose_name=_("company"), null=True, blank=True, related_name="users"
    )
    assigned_date_from = models.DateField(_("assigned from"), null=True, blank=True)
    assigned_date_to = models.DateField(_("assigned to"), null=True, blank=True)

    objects: ClassVar = MusterUserManager()

    def check_password(self, raw_password: str | None) -> bool:
        """Whether this is the password. If its hash is of an older kind, a new one is written to the database, unless
        somebody else holds the database now: signing in does not wait."""
        is_right, is_old = verify_password(raw_password, self.password)
        if is_right and is_old:
            using, renewed = self._state.db or DEFAULT_DB_ALIAS, make_password(raw_password)
            try:
                with writing(using, [User], 0, alone=False):
                    is_stored = (
                        User.objects.using(using).filter(pk=self.pk, password=self.password).update(password=renewed)
                    )
            except Error:
                is_stored = 0
            if is_stored:
                self.password = renewed
        return is_right

    class Meta(AbstractUser.Meta):
        constraints: ClassVar = [
            one_of("role", Role.values, "user_role_is_known"),
            models.CheckConstraint(
                condition=Q(role=Role.ROOT) | Q(company__isnull=False),
                name="user_company_required",
                violation_error_message=_("An administrator or supervisor needs a company."),
            ),
        ]
