"""``manage.py undo`` undoes what a restore, an import or the like did."""

from __future__ import annotations

import uuid
from argparse import ArgumentTypeError
from typing import Any

from django.core.management.base import CommandError, CommandParser

from core.management.merging import MergingCommand
from core.models import Kind
from core.operations.errors import NOTHING_CHANGED, OperationFailed
from core.register.database import DEFAULT
from core.restores.undo import How, undo_of, undoable
from core.services.restore_service import RestoreService
from recordsync.errors import printable
from recordsync.merge import Strategy
from recordsync.system.progress import Progress

EXAMPLES = """\
examples:
  manage.py undo --preview
      what undoing the newest restore, import, rename or deletion of all would do; nothing is written
  manage.py undo --yes
      do it
  manage.py undo 6f1c2d0e-5d8c-4a57-9a43-0c8b5b0a1f52 --everywhere --yes
      undo this operation (manage.py history names it) so that other installations get it with the next backup

What was edited since stays. Where an edit and the undo concern the same, it is a conflict: with --strategy
database_wins the edit stays, with backup_wins it is undone, too. To undo an undo, undo it again.

exit status: 0 done (or a preview), 1 failed, conflicts left or not confirmed (nothing was changed), 2 wrong usage
"""


def _operation(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not the id of an operation") from None


class Command(MergingCommand):
    help = "Undo what a restore, an import, a rename or the like did, in one transaction, or preview it."
    operation = Kind.UNDO.value
    examples = EXAMPLES

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "undone",
            nargs="?",
            type=_operation,
            metavar="OPERATION",
            help="the id of the operation; default: the newest that wrote",
        )
        parser.add_argument(
            "--everywhere",
            action="store_true",
            help="undo it as a change like any other, which your next backup carries to other installations; default: "
            "what came in a restore is withdrawn here alone, where that is still possible",
        )
        parser.add_argument("--yes", action="store_true", help="do it; without this, only say what it would do")
        parser.add_argument(
            "--strategy",
            choices=[strategy.value for strategy in Strategy],
            default=Strategy.MANUAL.value,
            help="who wins where something was edited since: manual (default): list the conflicts and write nothing; "
            "database_wins: the edit; backup_wins: what was before",
        )

    def run(self, progress: Progress, **options: Any) -> dict[str, Any]:
        if options["yes"] and options["preview"]:
            raise CommandError("--yes does not go with --preview, which writes nothing.", returncode=2)
        move = undoable(DEFAULT, options["undone"])
        undo = undo_of(move, DEFAULT, How.EVERYWHERE if options["everywhere"] else None)
        service = RestoreService()
        tell = not options["json"]
        if tell:
            self.say(f"Undo: {printable(undo.name)}")
        if not options["yes"]:
            with service.preview_changes(
                undo, options["strategy"], closed=options["closed"], progress_callback=progress
            ) as preview:
                if tell:
                    self.tell_preview(preview)
                if options["preview"]:
                    return preview.summary()
            raise OperationFailed("It was not confirmed.", undone=NOTHING_CHANGED, then="Say --yes to do this.")
        result = service.restore_backup(undo, options["strategy"], progress, yes=True, closed=options["closed"])
        if tell:
            self.tell_done(result)
        return result.summary()
