"""The rule that says in which of the two databases a table lives.

SQLite has one writer. Sessions, the throttling of sign-in, the task queue and the progress of operations must be
written while a restore holds the register, so they live in a second database, ``jobs``. On PostgreSQL ``jobs`` is
another connection to the same database, where the migrations of the alias ``default`` create all tables. The table of
commits is in both databases: a writer looks in the database that it wrote to whether its transaction was committed.
"""

from typing import Any

from django.conf import settings
from django.db.models import Model

JOBS = "jobs"
HISTORICAL = "__fake__"  # the module name of the models that migrations use
JOBS_APPS = frozenset({"axes", "sessions", "django_tasks_database"})
BOTH_MODELS = frozenset({("recordsync", "commit")})
JOBS_MODELS = frozenset({("core", "operation"), ("core", "uploadlog")})


def lives_in_jobs(app_label: str, model_name: str | None) -> bool:
    """Whether a model belongs to ``jobs``. ``model_name``: None for code of a migration that names no model."""
    return app_label in JOBS_APPS or (app_label, model_name) in JOBS_MODELS


class JobsRouter:
    """Sends the models of ``jobs`` to that alias, and leaves others to Django (``default``, or the alias in use)."""

    def db_for_read(self, model: type[Model], **hints: Any) -> str | None:
        if settings.JOBS_SHARE_DATABASE and model.__module__ == HISTORICAL:
            # Over the other connection, a migration's code would wait for the locks of its own migration for ever.
            return None
        return JOBS if lives_in_jobs(model._meta.app_label, model._meta.model_name) else None

    db_for_write = db_for_read

    def allow_migrate(self, db: str, app_label: str, model_name: str | None = None, **hints: Any) -> bool:
        if settings.JOBS_SHARE_DATABASE:
            return db != JOBS
        if (app_label, model_name) in BOTH_MODELS:
            return True
        return lives_in_jobs(app_label, model_name) == (db == JOBS)
