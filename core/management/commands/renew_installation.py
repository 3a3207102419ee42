"""``manage.py renew_installation``: a copied database becomes an installation of its own."""

from __future__ import annotations

import uuid
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from core.models import Installation


class Command(BaseCommand):
    help = (
        "Give this database a new installation id. Run it once on a copy of another installation's database, "
        "before the first backup: two installations with one id take each other's backups for their own."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--name", help="a new name as well, such as 'Site A office PC' (at most 100 characters)")

    def handle(self, *args: Any, **options: Any) -> None:
        installation = Installation.current()
        installation.id = uuid.uuid4()
        if options["name"]:
            installation.name = options["name"]
        installation.full_clean()
        installation.save()
        self.stdout.write(f"This installation is now {installation.id} ({installation.name}).")
