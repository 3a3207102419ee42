"""``manage.py print_file_schema`` prints the JSON Schema of a 2.0 backup file, as published in docs/."""

from __future__ import annotations

import json
from typing import Any

from core.management.console import OutputCommand
from core.register.declared import SCHEMA
from recordsync.backupfile.json_schema import file_schema


class Command(OutputCommand):
    help = (
        "Print the JSON Schema (2020-12) of a version 2.0 backup file. It is made from the types that check a file. "
        "docs/backup-2.0.schema.json is a copy of it."
    )
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(json.dumps(file_schema(SCHEMA), indent=2, ensure_ascii=True))

    def unwritten(self, options: dict[str, Any]) -> str:
        return "The schema could not be written out to its end."
