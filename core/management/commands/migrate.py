"""``manage.py migrate`` migrates all databases of the project."""

from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.core.management.commands import migrate
from django.db import DEFAULT_DB_ALIAS, Error, connections, router

from core.management.console import OutputCommand
from core.operations.errors import explain
from recordsync.models import Commit


class Command(OutputCommand, migrate.Command):
    """Django's own command, which here runs for each database in turn unless ``--database`` chooses one."""

    help = (
        "Bring the schema of the register, of the jobs database and of the history database, or of the database given, "
        "up to date."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.set_defaults(database=None)

    def get_check_kwargs(self, options: dict[str, Any]) -> Any:
        return {**super().get_check_kwargs(options), "databases": _aliases(options)}

    def execute(self, *args: Any, **options: Any) -> str | None:
        _open(_aliases(options))  # before the system checks, which open some of them
        return super().execute(*args, **options)

    def handle(self, *args: Any, **options: Any) -> None:
        _refuse_one_database_under_two_addresses()
        for alias in _aliases(options):
            super().handle(*args, **options | {"database": alias})

    def unwritten(self, options: dict[str, Any]) -> str:
        return "The migration stopped, because its messages could not be written. Run it again for the rest."


def _open(aliases: list[str]) -> None:
    """Open these databases. Raises CommandError for one that cannot be opened, before any of them is migrated."""
    for alias in aliases:
        try:
            connections[alias].ensure_connection()
        except Error as error:
            raise CommandError(f"{explain(error, alias)} Nothing was migrated.") from error


def _refuse_one_database_under_two_addresses() -> None:
    """Raise CommandError if two aliases lead to one PostgreSQL database and the settings do not know it.

    Each alias would make its own tables only, and the second would find every migration applied already.
    """
    aliases = [alias for alias in _separate() if connections[alias].vendor == "postgresql"]
    if len(aliases) == 1:
        return
    found: dict[Any, str] = {}
    for alias in aliases:
        try:
            with connections[alias].cursor() as cursor:
                cursor.execute("SELECT pg_postmaster_start_time(), current_database(), current_schema()")
                first = found.setdefault(cursor.fetchone(), alias)
        except Error:  # it is not to be migrated now, or it would have been opened
            continue
        if first != alias:
            one, other = settings.DATABASE_VARIABLES[first], settings.DATABASE_VARIABLES[alias]
            alike = "Write both addresses alike" if first == DEFAULT_DB_ALIAS else "Name another database"
            raise CommandError(
                f"{other} leads to the database of {one} by another address. {alike}, or remove {other}. "
                "Nothing was migrated."
            )


def _aliases(options: dict[str, Any]) -> list[str]:
    return [options["database"]] if options["database"] else _separate()


def _separate() -> list[str]:
    """The aliases of databases, without those that are further connections to the register's: each has a table of
    commits."""
    return [alias for alias in settings.DATABASES if router.allow_migrate_model(alias, Commit)]
