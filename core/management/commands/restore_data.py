"""``manage.py restore_data`` merges a backup file into the register, or shows what a restore would do."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from core.history.snapshots import find
from core.management.console import file_name
from core.management.merging import MergingCommand
from core.models import Kind
from core.restores.incoming import BaseChoice, Mode
from core.services.restore_service import RestoreService
from recordsync.merge import Strategy
from recordsync.system.progress import Progress

EXAMPLES = """\
examples:
  manage.py restore_data --input full.json --preview
      what restoring it would do: counts and the first differences; nothing is written
  manage.py restore_data --input full.json
      merge it: what changed there is taken, what changed here stays; where both changed the same, the backup wins
  manage.py restore_data --input today.json.zst --strategy database_wins --json
      where both changed the same, keep what is here; print the summary as JSON
  manage.py restore_data --input full.json --strategy manual
      list what a person has to decide; restore only if there is nothing to decide
  manage.py restore_data --snapshot 3fa92c81d0 --mode exact --preview
      what would change if the register became as it was in that snapshot
  manage.py restore_data --input full.json --base none
      bring its values back: every difference is a conflict, and nothing is deleted
  manage.py restore_data --input full.json --keep-closed
      merge it, and leave the closed months that it would change as they are (--reopen: reopen and change them)
  ssh elsewhere 'cat full.json' | manage.py restore_data --input -

A restore is one transaction: either all of it is done, or nothing is changed. What both sides last had in common
tells on which side a record was changed or deleted since; the preview says what that is.

exit status: 0 done (or nothing to do), 1 failed or conflicts left (nothing was changed), 2 wrong usage
"""


class Command(MergingCommand):
    help = "Merge a backup file into the register in one transaction, or preview it."
    operation = Kind.RESTORE.value
    examples = EXAMPLES

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        source = parser.add_mutually_exclusive_group(required=True)
        source.add_argument(
            "--input",
            type=file_name,
            metavar="PATH",
            help="the backup file (version 2.0 or 1.0; plain, gzip or zstd), or - for standard input",
        )
        source.add_argument(
            "--snapshot",
            metavar="ID",
            help="a snapshot of this register's history (manage.py history), by the beginning of its id",
        )
        parser.add_argument(
            "--mode",
            choices=[mode.value for mode in Mode],
            default=Mode.MERGE.value,
            help="merge (default): merge it into the register; exact: make the register exactly as it is, which "
            "deletes what it does not have (look at it with --preview, then say --yes)",
        )
        parser.add_argument(
            "--strategy",
            choices=[strategy.value for strategy in Strategy],
            default=Strategy.BACKUP_WINS.value,
            help="who wins where both sides changed the same: backup_wins (default), database_wins, or manual: list "
            "the conflicts and write nothing",
        )
        parser.add_argument(
            "--base",
            choices=[choice.value for choice in BaseChoice],
            default=BaseChoice.ANCESTRY.value,
            help="what both sides had in common: ancestry (default): what their snapshots prove; none: nothing, so "
            "that every difference is a conflict and nothing is deleted",
        )
        parser.add_argument(
            "--yes",
            action="store_true",
            help="delete what --mode exact deletes, or a large part of a company's records that was deleted there",
        )
        parser.add_argument(
            "--exclusive",
            action="store_true",
            help="on PostgreSQL, let nobody read the register until the restore has ended: a restore into an empty "
            "register then takes less time (SQLite needs no such thing)",
        )

    def run(self, progress: Progress, **options: Any) -> dict[str, Any]:
        if options["exclusive"] and options["preview"]:
            raise CommandError("--exclusive does not go with --preview, which locks nothing.", returncode=2)
        source = self.source(options) if options["snapshot"] is None else find(options["snapshot"])
        chosen = {"base": options["base"], "mode": options["mode"], "closed": options["closed"]}
        service = RestoreService()
        tell = not options["json"]
        if options["preview"]:
            with service.preview_changes(source, options["strategy"], **chosen, progress_callback=progress) as preview:
                if tell:
                    self.tell_preview(preview)
                return preview.summary()
        result = service.restore_backup(
            source,
            options["strategy"],
            progress,
            **chosen,
            yes=options["yes"],
            exclusive=options["exclusive"],
        )
        if tell:
            self.tell_done(result)
        return result.summary()
