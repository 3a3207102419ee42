"""The rule that says which tables live in the database ``jobs``; for ``history`` see :mod:`recordsync.routers`.

SQLite has one writer. Sessions, the throttling of sign-in, the task queue and the progress of operations must be
written while a restore holds the register, so they live in a database of their own, ``jobs``. On PostgreSQL ``jobs`` is
another connection to the same database, where the migrations of the alias ``default`` create all tables.
"""

from django.conf import settings

from recordsync.routers import BesideRouter

JOBS_APPS = frozenset({"axes", "sessions", "django_tasks_database"})
JOBS_MODELS = frozenset({("core", "operation"), ("core", "uploadlog")})


class JobsRouter(BesideRouter):
    """Keeps the models of ``jobs`` in that database."""

    @property
    def alias(self) -> str:
        return "jobs"

    @property
    def is_shared(self) -> bool:
        return settings.JOBS_SHARE_DATABASE

    def lives_here(self, app_label: str, model_name: str | None) -> bool:
        return app_label in JOBS_APPS or (app_label, model_name) in JOBS_MODELS
