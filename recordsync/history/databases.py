"""Which database the history of a register is in, and what a register holds.

Settings: ``RECORDSYNC_SCHEMA`` is the dotted path of the :class:`~recordsync.model.schema.Schema`.
``RECORDSYNC_HISTORY`` names the alias of the history store for the alias of each register: on SQLite a file of its own,
on PostgreSQL another connection to the register's database, because the store is written in transactions of its own
while that of the register is open. ``HISTORY_SHARE_DATABASE`` says that it is such another connection.
"""

from __future__ import annotations

from functools import cache

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS
from django.utils.module_loading import import_string

from recordsync.model.schema import Schema


def history_of(using: str) -> str:
    """The alias of the history store of the register ``using``: that register's own, if no other is named."""
    return _histories().get(using, using)


def is_register(using: str) -> bool:
    """Whether the alias leads to a register, which the settings name, and not to another database of the project."""
    return using in (_histories() or {DEFAULT_DB_ALIAS})


def is_history(using: str) -> bool:
    """Whether the alias leads to a history store and not to the register itself."""
    return using in _histories().values() and not is_register(using)


@cache
def schema() -> Schema:
    """The declaration of what a register holds. Raises ImportError if the settings name none."""
    declared: Schema = import_string(settings.RECORDSYNC_SCHEMA)
    return declared


def _histories() -> dict[str, str]:
    histories: dict[str, str] = getattr(settings, "RECORDSYNC_HISTORY", {})
    return histories
