"""``manage.py backup_data`` backs up the register, or what changed in it, into one file."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any, cast, get_args

from django.core.management.base import CommandError, CommandParser

from core.backups.parents import ParentChoice
from core.backups.scope import unfit, unfit_for_1_0
from core.formats.v1_0 import VERSION as OLD
from core.history.snapshots import SHOWN
from core.management.console import ServiceCommand, StandardOutput, counted, day_argument, file_name, moment_argument
from core.operations.traits import BACKUPS
from core.register.declared import Selection
from core.services.backup_service import BackupService, FileFormat
from recordsync.errors import printable
from recordsync.system.files import compression_of_name
from recordsync.system.progress import Progress

EXAMPLES = """\
examples:
  manage.py backup_data --output full.json
      everything, into this file (replaced, if it exists, only when the new one is whole)
  manage.py backup_data
      everything, into the backups folder, named by kind and time
  manage.py backup_data --type incremental --output today.json.zst
      exactly what changed since the last backup, deletions included, compressed
  manage.py backup_data --type incremental --parent 3f9a2c41d0 --output since.json
      what changed since that snapshot, which manage.py history lists
  manage.py backup_data --type incremental --for "Site A office PC" --output for-a.json.zst
      what changed since what Site A is known to have
  manage.py backup_data --type incremental --since 2026-11-01
      what is dated since that day began (in the TIME_ZONE of the settings), without deletions
  manage.py backup_data --company "ABC Corp" --date-from 2026-01-01 --date-to 2026-03-31 --output abc.json
      one company's first quarter
  manage.py backup_data --format 1.0 --output old.json
      for an older installation that reads only version 1.0: times to the minute, no deletions
  manage.py backup_data --output - --quiet | ssh elsewhere 'cat > full.json'

exit status: 0 done, 1 failed (no file was written), 2 wrong usage
"""


class Command(ServiceCommand):
    help = "Back up companies and attendance records into one file, as they are at one moment."
    operation = "backup"
    interrupted = "Interrupted. No backup was written."
    takes_paths = True
    examples = EXAMPLES

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--type",
            choices=["full", "incremental"],
            default="full",
            help="full (default): everything; incremental: what changed since the snapshot of the last backup, of "
            "--parent or of what --for is known to have, deletions included; or since --since",
        )
        parser.add_argument(
            "--output",
            type=file_name,
            metavar="PATH",
            help="the file to write, or - for standard output; default: a new file in the backups storage (BACKUP_DIR)",
        )
        parser.add_argument(
            "--since",
            type=moment_argument,
            metavar="WHEN",
            help="with --type incremental: records that are dated at or after this date or date and time, and no "
            "deletions; it trusts the clock, and no later backup continues it",
        )
        parser.add_argument(
            "--parent",
            metavar="ID",
            help="with --type incremental: what changed since this snapshot (the beginning of its id), or since the "
            "snapshot of this backup (its id)",
        )
        parser.add_argument(
            "--for",
            dest="installation",
            metavar="INSTALLATION",
            help="with --type incremental: what changed since the last snapshot that this installation (its name or "
            "id) is known to have as well",
        )
        parser.add_argument(
            "--company", action="append", metavar="NAME", help="only this company; may be given several times"
        )
        parser.add_argument("--date-from", type=day_argument, metavar="DATE", help="only records from this day on")
        parser.add_argument(
            "--date-to", type=day_argument, metavar="DATE", help="only records up to this day, included"
        )
        parser.add_argument(
            "--format",
            choices=get_args(FileFormat),
            default="2.0",
            help="the version of the file: 2.0 (default), or 1.0 for an older installation (times to the minute; full, "
            "or with --since; no later backup continues it)",
        )
        parser.add_argument(
            "--compress",
            choices=["gzip", "zstd"],
            help="compress the file; a PATH that ends in .gz or .zst is compressed without this option",
        )

    def named(self, options: dict[str, Any]) -> str:
        return BACKUPS[options["type"]].value

    def run(self, progress: Progress, **options: Any) -> dict[str, Any]:
        for name in ("since", "parent", "installation"):
            if options[name] and options["type"] == "full":
                option = {"installation": "for"}.get(name, name)
                text = f"--{option} goes with --type incremental: a full backup holds everything."
                raise CommandError(text, returncode=2)
        if options["date_from"] and options["date_to"] and options["date_from"] > options["date_to"]:
            raise CommandError("--date-from is after --date-to.", returncode=2)
        chosen = options["company"], options["date_from"], options["date_to"]
        selection = Selection(*chosen) if any(chosen) else None
        asked = ParentChoice(options["parent"], options["installation"])
        if false := unfit(options["type"], options["since"], selection, asked):
            raise CommandError(false, returncode=2)
        if options["format"] == OLD and (false := unfit_for_1_0(options["type"], options["since"], selection)):
            raise CommandError(false, returncode=2)
        output: Path | IO[bytes] | None = None
        compression = options["compress"]
        if options["output"] == "-":
            output = cast(IO[bytes], StandardOutput())
        elif options["output"] is not None:
            output = Path(options["output"])
            try:
                by_name = compression_of_name(output.name)
            except ValueError as error:
                raise CommandError(f"--output: {error}", returncode=2) from error
            if compression and by_name and compression != by_name:
                raise CommandError(f"--compress {compression} does not fit the name {output.name}.", returncode=2)
            compression = compression or by_name
        result = BackupService().create_backup(
            options["type"],
            options["since"],
            parent=options["parent"],
            for_installation=options["installation"],
            output=output,
            selection=selection,
            compression=compression,
            file_format=options["format"],
            progress_callback=progress,
        )
        for warning in () if options["json"] else result.warnings:
            self.warn(warning)
        if not options["json"] and options["output"] != "-":
            self.say(
                f"Backed up {counted(result.records, 'attendance record', 'attendance records')} and "
                f"{counted(result.companies, 'company', 'companies')} in {result.seconds:.1f} s "
                f"to {printable(result.file)} ({result.size:,} bytes)."
            )
            if result.metadata.parent is not None:
                self.say(
                    f"They changed after snapshot {result.metadata.parent[:SHOWN]}; "
                    f"{counted(result.deleted, 'deletion', 'deletions')} beside them."
                )
        return result.summary()
