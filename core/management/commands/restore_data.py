"""``manage.py restore_data`` merges a backup file into the register, or shows what a restore would do."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from core.management.console import ReadingCommand, file_name
from core.models import Kind
from core.operations.results import Preview, RestoreSummary
from core.operations.wording import describe
from core.services.restore_service import RestoreService
from recordsync.merge import Strategy
from recordsync.system.progress import Progress

EXAMPLES = """\
examples:
  manage.py restore_data --input full.json --preview
      what restoring it would do: counts and the first differences; nothing is written
  manage.py restore_data --input full.json
      merge it; where both sides differ, the backup wins
  manage.py restore_data --input today.json.zst --strategy database_wins --json
      where both sides differ, keep what is here; print the summary as JSON
  manage.py restore_data --input full.json --strategy manual
      list what a person has to decide; restore only if there is nothing to decide
  ssh elsewhere 'cat full.json' | manage.py restore_data --input -

A restore is one transaction: either all of it is done, or nothing is changed. Records that the file does not
list stay as they are.

exit status: 0 done (or nothing to do), 1 failed or conflicts left (nothing was changed), 2 wrong usage
"""

_SHOWN = 20


class Command(ReadingCommand):
    help = "Merge a backup file into the register in one transaction, or preview it."
    operation = Kind.RESTORE.value
    examples = EXAMPLES

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--input",
            required=True,
            type=file_name,
            metavar="PATH",
            help="the backup file (version 2.0 or 1.0; plain, gzip or zstd), or - for standard input",
        )
        parser.add_argument(
            "--strategy",
            choices=[strategy.value for strategy in Strategy],
            default=Strategy.BACKUP_WINS.value,
            help="who wins where both sides differ: backup_wins (default), database_wins, or manual: list the "
            "conflicts and write nothing",
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
        source = self.source(options)
        service = RestoreService()
        tell = not options["json"]
        if options["preview"]:
            with service.preview_changes(source, options["strategy"], progress_callback=progress) as preview:
                if tell:
                    self._tell_preview(preview)
                return preview.summary()
        result = service.restore_backup(source, options["strategy"], progress, exclusive=options["exclusive"])
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
        for name, counts in summary.models.items():
            added = counts.added + counts.created
            parts = [
                f"{added:,} {'added' if done else 'to add'}",
                f"{counts.updated:,} {'updated' if done else 'to update'}",
                f"{counts.deleted + counts.absent_deleted:,} {'deleted' if done else 'to delete'}",
                f"{counts.skipped:,} skipped",
                f"{counts.kept:,} kept as here",
                *([f"{counts.undecided:,} to decide"] if counts.undecided else []),
                f"{counts.conflicts:,} conflicts",
            ]
            self.say(f"{name.replace('_', ' ').capitalize()}: {counts.read:,} read; {', '.join(parts)}.")
            if counts.created:
                self.say(f"  {counts.created:,} of these are not listed in the file: only records name them.")
