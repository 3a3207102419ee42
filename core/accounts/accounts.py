"""Saving accounts, one at a time, so that somebody who can manage the others is always left."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX
from django.db import IntegrityError
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from core.models import Role, User
from core.operations.by_hand import changing
from core.operations.errors import NOTHING_SAVED, LazyText, OperationFailed
from core.register.database import DEFAULT, Register

logger = logging.getLogger(__name__)


class LastRoot(OperationFailed):
    """Nobody would be left who can manage accounts."""


@contextmanager
def changing_accounts(register: Register = DEFAULT, undone: LazyText = NOTHING_SAVED) -> Iterator[None]:
    """A short transaction that adds, changes or deletes accounts. Two of them wait for each other.

    Raises LastRoot where no active root account with a password would be left, and what
    :func:`core.operations.by_hand.changing` raises. ``undone``: as there.
    """
    try:
        with changing(register, [User], undone, alone=True):
            had_root = _roots(register).exists()
            yield
            if had_root:
                require_a_root(register, undone)
    except IntegrityError as error:
        text = _("Somebody else changed an account or a company at the same moment.")
        raise OperationFailed(text, undone=undone, then=_("Try again.")) from error


def require_a_root(register: Register, undone: LazyText) -> None:
    """Raises LastRoot where there is no active root account with a password now. Reads the database."""
    if not _roots(register).exists():
        raise LastRoot(
            _(
                "This is the last active root account with a password. Without one, nobody could manage accounts, "
                "companies and backups."
            ),
            undone=undone,
            then=_("Make somebody else root first."),
        )


def _roots(register: Register) -> QuerySet[User]:
    roots = register.rows(User).filter(role=Role.ROOT, is_active=True)
    return roots.exclude(password__startswith=UNUSABLE_PASSWORD_PREFIX)


def save(account: User, *, by: User, columns: Sequence[str] | None = None, register: Register = DEFAULT) -> None:
    """Save a new account, or these columns of a changed one (None: all). Raises LastRoot, OperationFailed."""
    with changing_accounts(register):
        if account.pk is not None:
            _require_there(account, register)
        account.save(using=register.alias, update_fields=columns)
    logger.info("%s saved account %s", by, account.pk)


def save_password(account: User, register: Register = DEFAULT) -> None:
    """Save only the password of an account: the rest may have changed since it was read.

    Raises OperationFailed.
    """
    with changing_accounts(register):
        _require_there(account, register)
        account.save(using=register.alias, update_fields=["password"])
    logger.info("%s changed their password", account)


def _require_there(account: User, register: Register) -> None:
    """Raises OperationFailed where somebody deleted the account: saving it must not bring it back."""
    if not register.rows(User).filter(pk=account.pk).exists():
        raise OperationFailed(_("Somebody deleted this account meanwhile. Nothing was saved."))
