"""``manage.py restore_data`` merges a backup file into the register, or shows what a restore would do."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from core.history.snapshots import find
from core.management.console import ReadingCommand, file_name
from core.models import Kind
from core.operations.results import Preview, RestoreSummary
from core.operations.wording import describe
from core.restores.incoming import BaseChoice, Mode
from core.services.restore_service import RestoreService
from recordsync.errors import printable
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
  ssh elsewhere 'cat full.json' | manage.py restore_data --input -

A restore is one transaction: either all of it is done, or nothing is changed. What both sides last had in common
tells on which side a record was changed or deleted since; the preview says what that is.

exit status: 0 done (or nothing to do), 1 failed or conflicts left (nothing was changed), 2 wrong usage
"""

_SHOWN = 20


class Command(ReadingCommand):
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
        source = find(options["snapshot"]) if options["snapshot"] else self.source(options)
        chosen = {"base": options["base"], "mode": options["mode"]}
        service = RestoreService()
        tell = not options["json"]
        if options["preview"]:
            with service.preview_changes(source, options["strategy"], **chosen, progress_callback=progress) as preview:
                if tell:
                    self._tell_preview(preview)
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
            self._tell(result, done=True)
            self.say(f"Done in {result.seconds:.1f} s.")
        return result.summary()

    def _tell_preview(self, preview: Preview) -> None:
        self._tell(preview, done=False)
        if preview.changes_nothing:
            self.say("Nothing to do.")
            return
        manual = preview.strategy is Strategy.MANUAL
        steps = preview.to_decide() if manual else iter(preview)
        shapes = preview.plan.shapes
        self.list_steps(
            steps,
            lambda step: describe(step, shapes[step.model.name], decided=not manual),
            None if manual else _SHOWN,
        )
        self.say("This was a preview: nothing was changed.")

    def _tell(self, summary: RestoreSummary, *, done: bool) -> None:
        """Write the counts, a line for each model, and before them the warnings, on standard error."""
        for warning in summary.warnings:
            self.warn(warning)
        self.say(printable(summary.base.why))
        for name, counts in summary.models.items():
            added = counts.added + counts.created
            only_here = f" ({counts.only_here:,} changed only here)" if counts.only_here else ""
            parts = [
                f"{added:,} {'added' if done else 'to add'}",
                f"{counts.updated:,} {'updated' if done else 'to update'}",
                f"{counts.deleted + counts.absent_deleted:,} {'deleted' if done else 'to delete'}",
                f"{counts.skipped:,} skipped",
                f"{counts.kept + counts.absent_kept:,} kept as here" + only_here,
                *([f"{counts.undecided:,} to decide"] if counts.undecided else []),
                f"{counts.conflicts:,} conflicts",
            ]
            self.say(f"{name.replace('_', ' ').capitalize()}: {counts.read:,} read; {', '.join(parts)}.")
            if counts.created:
                self.say(f"  {counts.created:,} of these are not listed in the file: only records name them.")
