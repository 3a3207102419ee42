"""``manage.py renew_installation`` makes an installation of its own of a copied database."""

from __future__ import annotations

import uuid
from argparse import ArgumentTypeError
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser
from django.db import Error

from core.management.console import OutputCommand
from core.models import Installation
from core.operations.errors import NOTHING_CHANGED, as_failure
from core.register.database import DEFAULT
from recordsync.errors import CommitUnknown, is_one_line


def _name(text: str) -> str:
    name = text.strip()
    if not is_one_line(name):
        raise ArgumentTypeError(f"{text!r} holds a line break or another control character. Nothing was changed.")
    return name


class Command(OutputCommand):
    help = (
        "Give this database a new installation id. Run it once on a copy of another installation's database, "
        "before the first backup. Two installations with one id would take each other's backups for their own."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--name",
            type=_name,
            help="also give it a new name, such as 'Site A office PC' (at most 100 characters); if the environment "
            "sets INSTALLATION_NAME, change the name there",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["name"] is not None and settings.INSTALLATION_NAME not in ("", options["name"]):
            raise CommandError(
                f"--name: the environment's INSTALLATION_NAME, {settings.INSTALLATION_NAME}, wins over it. Change it "
                "there. Nothing was changed.",
                returncode=2,
            )
        try:
            installation = Installation.current()
            installation.id = uuid.uuid4()
            if options["name"] is not None:
                installation.name = options["name"]
            installation.full_clean()
            with DEFAULT.commit():
                installation.save()
        except ValidationError as error:
            raise CommandError(f"--name: {' '.join(error.messages)} Nothing was changed.", returncode=2) from error
        except (Error, CommitUnknown) as error:
            raise CommandError(str(as_failure(error, NOTHING_CHANGED))) from error
        self.stdout.write(f"This installation is now {installation.id} ({installation.name}).")

    def unwritten(self, options: dict[str, Any]) -> str:
        return "This installation has a new id, but the command could not print it."
