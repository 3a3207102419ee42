"""``manage.py migrate`` migrates both databases of the project."""

from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.core.management.commands import migrate
from django.db import DEFAULT_DB_ALIAS, Error, connections

from core.management.console import OutputCommand
from core.models import JOBS
from core.operations.errors import explain


class Command(OutputCommand, migrate.Command):
    """Django's own command, which here runs for each database in turn unless ``--database`` chooses one."""

    help = "Bring the schema of the register and of the jobs database, or of the database given, up to date."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.set_defaults(database=None)

    def get_check_kwargs(self, options: dict[str, Any]) -> Any:
        return {**super().get_check_kwargs(options), "databases": _aliases(options)}

    def handle(self, *args: Any, **options: Any) -> None:
        _refuse_one_database_under_two_addresses()
        for alias in _aliases(options):
            super().handle(*args, **options | {"database": alias})

    def unwritten(self, options: dict[str, Any]) -> str:
        return "The migration stopped, because its messages could not be written. Run it again for the rest."


def _refuse_one_database_under_two_addresses() -> None:
    """Raise CommandError if both aliases lead to one PostgreSQL database and the settings do not know it.

    Each alias would make its own tables only, and the second would find every migration applied already.
    """
    aliases = (DEFAULT_DB_ALIAS, JOBS)
    if settings.JOBS_SHARE_DATABASE or {connections[alias].vendor for alias in aliases} != {"postgresql"}:
        return
    databases = set()
    for alias in aliases:
        try:
            with connections[alias].cursor() as cursor:
                cursor.execute("SELECT pg_postmaster_start_time(), current_database(), current_schema()")
                databases.add(cursor.fetchone())
        except Error as error:
            raise CommandError(f"{explain(error)} Nothing was migrated.") from error
    if len(databases) == 1:
        raise CommandError(
            "JOBS_DATABASE_URL leads to the database of DATABASE_URL by another address. Write both addresses alike, "
            "or remove JOBS_DATABASE_URL. Nothing was migrated."
        )


def _aliases(options: dict[str, Any]) -> list[str]:
    if options["database"]:
        return [options["database"]]
    if settings.JOBS_SHARE_DATABASE:
        return [DEFAULT_DB_ALIAS]
    return [DEFAULT_DB_ALIAS, JOBS]
