"""What the commands share that merge something into the register: how they tell what they do."""

from __future__ import annotations

from typing import Final

from django.core.management.base import CommandParser

from core.management.console import ReadingCommand
from core.operations.closed import ClosedChoice
from core.operations.results import Preview, RestoreResult, RestoreSummary, told_counts
from core.operations.wording import SECTIONS, describe
from recordsync.errors import printable
from recordsync.merge import Strategy

_SHOWN: Final = 20
"""How many differences a preview lists."""


class MergingCommand(ReadingCommand):
    """A command that merges something into the register, or previews it (``--preview``)."""

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        closed = parser.add_mutually_exclusive_group()
        closed.add_argument(
            "--keep-closed",
            dest="closed",
            action="store_const",
            const=ClosedChoice.KEEP,
            help="leave every closed month that this would change as it is here",
        )
        closed.add_argument(
            "--reopen",
            dest="closed",
            action="store_const",
            const=ClosedChoice.REOPEN,
            help="reopen every closed month that this would change, and change it",
        )

    def tell_preview(self, preview: Preview) -> None:
        """Write what a merge would do: the counts, and the first differences or all that somebody has to decide."""
        self.tell(preview, done=False)
        if preview.changes_nothing:
            self.say("Nothing to do.")
            return
        manual = preview.strategy is Strategy.MANUAL and preview.conflicts > 0
        steps = preview.to_decide() if manual else iter(preview)
        shapes = preview.plan.shapes
        self.list_steps(
            steps,
            lambda step: describe(step, shapes[step.model.name], decided=not manual),
            None if manual else _SHOWN,
        )
        self.say("This was a preview: nothing was changed.")
        if preview.stop:
            self.say(printable(f"Without --preview it stops first. {preview.stop}"))

    def tell_done(self, result: RestoreResult) -> None:
        """Write what a merge did: the counts, and the seconds that it took."""
        self.tell(result, done=True)
        self.say(f"Done in {result.seconds:.1f} s.")

    def tell(self, summary: RestoreSummary, *, done: bool) -> None:
        """Write the counts, a line for each model, and before them the warnings, on standard error."""
        for warning in summary.warnings:
            self.warn(warning)
        self.say(printable(summary.base.why))
        if summary.closed.choice is None:
            for month in summary.closed.months:
                self.say(printable(month.sentence))
        elif not done and summary.closed.months:
            self.say(printable(summary.closed.intention))
        if done and (decision := summary.closed.decision):
            self.say(printable(decision))
        for name, counts in told_counts(summary.models):
            added = counts.added + counts.created
            undecided = counts.undecided + counts.absent_undecided
            only_here = f" ({counts.only_here:,} changed only here)" if counts.only_here else ""
            parts = [
                f"{added:,} {'added' if done else 'to add'}",
                f"{counts.updated:,} {'updated' if done else 'to update'}",
                f"{counts.deleted + counts.absent_deleted:,} {'deleted' if done else 'to delete'}",
                f"{counts.skipped:,} skipped",
                f"{counts.kept + counts.absent_kept:,} kept as here" + only_here,
                *([f"{undecided:,} to decide"] if undecided else []),
                f"{counts.conflicts:,} conflicts",
            ]
            self.say(f"{SECTIONS[name]}: {counts.read:,} read; {', '.join(parts)}.")
            if counts.created:
                are = ("was" if done else "is") if counts.created == 1 else ("were" if done else "are")
                them = "it" if counts.created == 1 else "them"
                self.say(f"  {counts.created:,} of these {are} added because records name {them}.")
