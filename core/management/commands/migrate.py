"""``manage.py migrate`` for a project of two databases."""

from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser
from django.core.management.commands import migrate
from django.db import DEFAULT_DB_ALIAS

from core.management.console import OutputCommand
from core.services.operations import JOBS


class Command(OutputCommand, migrate.Command):
    """Django's own command, run for each database in turn unless ``--database`` chooses one."""

    help = "Brings the schema up to date: of the register and of the jobs database, or of the one given."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.set_defaults(database=None)

    def get_check_kwargs(self, options: dict[str, Any]) -> Any:
        return {**super().get_check_kwargs(options), "databases": _aliases(options)}

    def handle(self, *args: Any, **options: Any) -> None:
        for alias in _aliases(options):
            super().handle(*args, **options | {"database": alias})

    def untold(self, options: dict[str, Any]) -> str:
        return "What was migrated could not be written: run it again, for the rest."


def _aliases(options: dict[str, Any]) -> list[str]:
    if options["database"]:
        return [options["database"]]
    if settings.JOBS_SHARE_DATABASE:
        return [DEFAULT_DB_ALIAS]
    return [DEFAULT_DB_ALIAS, JOBS]
