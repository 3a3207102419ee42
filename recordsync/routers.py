"""The rules that say in which database a table of the engine lives.

A project that uses the engine lists :class:`HistoryRouter` in ``DATABASE_ROUTERS``. It may derive routers of its own
from :class:`BesideRouter`, for other databases beside its register's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Final

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS
from django.db.models import Model

from recordsync.history.databases import history_of, is_history, is_register

_APP: Final = "recordsync"
_EVERYWHERE: Final = (_APP, "commit")
"""A writer looks in the database that it wrote to whether its transaction was committed."""
_OF_THE_STORE: Final = frozenset({(_APP, "block"), (_APP, "node")})
_HISTORICAL: Final = "__fake__"  # the module name of the models that migrations use


class BesideRouter(ABC):
    """Keeps some models in a database beside the register's, and all others out of it.

    Its alias may also be another connection to the register's database. The migrations of the register's alias then
    create all tables.
    """

    @property
    @abstractmethod
    def alias(self) -> str:
        """The alias of the database."""

    @property
    @abstractmethod
    def is_shared(self) -> bool:
        """Whether the alias is another connection to the register's database."""

    @abstractmethod
    def lives_here(self, app_label: str, model_name: str | None) -> bool:
        """Whether a model belongs to this database. ``model_name``: None for code of a migration that names none."""

    def is_here(self, using: str) -> bool:
        """Whether an alias leads to this database."""
        return using == self.alias

    def db_for_read(self, model: type[Model], **hints: Any) -> str | None:
        if self.is_shared and model.__module__ == _HISTORICAL:
            # Over the other connection, a migration's code would wait for the locks of its own migration for ever.
            return None
        return self.alias if self.lives_here(model._meta.app_label, model._meta.model_name) else None

    db_for_write = db_for_read

    def allow_migrate(self, db: str, app_label: str, model_name: str | None = None, **hints: Any) -> bool | None:
        if not self.is_shared:
            if self.lives_here(app_label, model_name):
                return self.is_here(db)
            if (app_label, model_name) == _EVERYWHERE:
                return None
        return False if self.is_here(db) else None


class HistoryRouter(BesideRouter):
    """Keeps blocks and nodes in the history store, and the engine's other tables in the database of a register."""

    @property
    def alias(self) -> str:
        return history_of(DEFAULT_DB_ALIAS)

    @property
    def is_shared(self) -> bool:
        return getattr(settings, "HISTORY_SHARE_DATABASE", False) or self.alias == DEFAULT_DB_ALIAS

    def lives_here(self, app_label: str, model_name: str | None) -> bool:
        return (app_label, model_name) in _OF_THE_STORE

    def is_here(self, using: str) -> bool:
        return is_history(using)

    def allow_migrate(self, db: str, app_label: str, model_name: str | None = None, **hints: Any) -> bool | None:
        allowed = super().allow_migrate(db, app_label, model_name, **hints)
        if allowed is None and app_label == _APP and (app_label, model_name) != _EVERYWHERE:
            return is_register(db)
        return allowed
