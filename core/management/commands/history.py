"""``manage.py history`` lists the snapshots of the register, and shows what changed from one to the next."""

from __future__ import annotations

import re
from argparse import ArgumentTypeError
from typing import Any, Final

from django.core.management.base import CommandError, CommandParser

from core import moments
from core.history import snapshots, verification
from core.history.snapshots import OPERATION, BlockCounts, Shown, SnapshotEntry, SnapshotList
from core.management.console import Error, ServiceCommand, counted
from recordsync.errors import printable
from recordsync.history.verify import Verified
from recordsync.system.progress import Progress

_LIMIT: Final = 20
_SHOWN: Final = 100
"""How many things that are wrong are listed."""
_LOST: Final = "cannot be shown any more"
_ID: Final = re.compile(r"[0-9a-fA-F]{1,64}", re.ASCII)

EXAMPLES = """\
examples:
  manage.py history
      the last 20 snapshots and the last 20 moves of the head, newest first
  manage.py history --limit 100
      more of them; --all lists all
  manage.py history --all --json > history.json
      the same for a script, with whole ids
  manage.py history show 3f2a91c04b
      what changed in a snapshot since its parent, by company and month; a few characters of the id are enough
  manage.py history verify
      read every block of the history again, and compare it with its digest
  manage.py history verify --register
      and every record of the register, to see that it is what the history says
  manage.py history --size
      how much the history takes on disk

What changed is told by blocks, which are the records of one company in one week of a month. Nothing is written. Only
verify --register makes the next snapshot read everything, if the register is not what the history says.

exit status: 0 done, 1 failed or something is wrong, 2 wrong usage
"""


class Command(ServiceCommand):
    help = "List the snapshots of the register, show what changed in one of them, or verify them."
    operation = OPERATION
    interrupted = "Interrupted. Nothing was changed."
    examples = EXAMPLES

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "action",
            nargs="?",
            choices=["show", "verify"],
            help="show: what changed in the snapshot ID; verify: read everything again",
        )
        parser.add_argument("id", nargs="?", type=_id, metavar="ID", help="the first characters of a snapshot's id")
        listed = parser.add_mutually_exclusive_group()
        listed.add_argument("--limit", type=_limit, metavar="N", help=f"list the last N of each kind ({_LIMIT})")
        listed.add_argument("--all", action="store_true", help="list all")
        listed.add_argument("--size", action="store_true", help="how much the history takes on disk")
        parser.add_argument("--register", action="store_true", help="with verify: also every record of the register")

    def named(self, options: dict[str, Any]) -> str:
        if options["action"] == "verify":
            return verification.VERIFY
        return verification.SIZE if options["size"] else OPERATION

    def unwritten(self, options: dict[str, Any]) -> str:
        return "The history could not be written out to its end."

    def run(self, progress: Progress, **options: Any) -> dict[str, Any]:
        is_listed = options["limit"] is not None or options["all"] or options["size"]
        if options["register"] and options["action"] != "verify":
            raise CommandError("--register is for verify.", returncode=2)
        if options["action"] == "verify":
            if options["id"] is not None or is_listed:
                raise CommandError("verify reads everything: it takes --register only.", returncode=2)
            return self._verify(progress, with_register=options["register"], is_json=options["json"])
        if options["action"] is None and options["size"]:
            return self._size(is_json=options["json"])
        if options["action"] is None:
            most = None if options["all"] else options["limit"] or _LIMIT
            return self._list(most, is_json=options["json"])
        if options["id"] is None:
            raise CommandError("show needs the ID of a snapshot. manage.py history lists them.", returncode=2)
        if is_listed:
            raise CommandError("--limit, --all and --size are for the list.", returncode=2)
        return self._show(options["id"], is_json=options["json"])

    def _verify(self, progress: Progress, *, with_register: bool, is_json: bool) -> dict[str, Any]:
        found = verification.verify(with_register=with_register, progress=progress)
        self._wrong = len(found.errors)
        if not is_json:
            self.say(
                f"Read again: {_amount(found.store)} of {counted(found.store.snapshots, 'snapshot', 'snapshots')}."
            )
            if found.register is not None:
                changed = f"{counted(found.register.dirty, 'block', 'blocks')} written to since."
                if not found.register.is_compared:
                    changed = "there is no snapshot yet to compare them with."
                self.say(f"Read again: {_amount(found.register)} of the register; {changed}")
            for error in found.errors[:_SHOWN]:
                self.say(f"  {printable(error)}")
            if self._wrong > _SHOWN:
                self.say(f"  … and {self._wrong - _SHOWN:,} more")
            if not found.errors:
                self.say("Nothing is wrong.")
        for warning in found.warnings:
            self.warn(warning)
        return found.summary()

    def handle(self, *args: Any, **options: Any) -> None:
        self._wrong = 0
        super().handle(*args, **options)
        if self._wrong:
            raise Error(f"{counted(self._wrong, 'thing is', 'things are')} wrong with the history.")

    def _size(self, *, is_json: bool) -> dict[str, Any]:
        found = verification.size()
        if not is_json:
            self.say(
                f"{counted(found.shown, 'snapshot', 'snapshots')} of {found.snapshots:,} can be shown. The history has "
                f"{counted(found.blocks, 'block', 'blocks')} with {counted(found.records, 'record', 'records')}, and "
                f"{counted(found.nodes, 'node', 'nodes')}."
            )
            self.say(f"On disk: {found.on_disk:,} bytes. Blocks and nodes have {found.stored:,} of them.")
            self.say(f"Before compression, the blocks have {found.raw:,}.")
            if found.unreachable:
                what = counted(found.unreachable, "block or node belongs", "blocks and nodes belong")
                self.say(f"{what} to no snapshot any more, and can be removed after a day.")
        return verification.size_summary(found)

    def _list(self, most: int | None, *, is_json: bool) -> dict[str, Any]:
        listing = snapshots.list_snapshots(most)
        if listing.unusable:
            self.warn(f"{listing.unusable} The list is without what snapshots hold.")
        if not is_json:
            self._say_entries(listing)
            self._say_moves(listing)
        return listing.summary()

    def _say_entries(self, listing: SnapshotList) -> None:
        if not listing.entries:
            self.say("There are no snapshots yet. The first one is taken with the next backup, restore or import.")
            return
        self.say(f"{counted(listing.total, 'snapshot', 'snapshots')}, newest first (* is what the register is at):")
        lost = "cannot be shown now" if listing.unusable else _LOST
        for entry in listing.entries:
            self.say(f"{'*' if entry.is_head else ' '} {entry.short}  {_told(entry, lost)}")
        self._say_more(len(listing.entries), listing.total)

    def _say_moves(self, listing: SnapshotList) -> None:
        if listing.moves:
            self.say(f"{counted(listing.total_moves, 'move', 'moves')} of the head, newest first:")
        for move in listing.moves:
            ids = f"{move.before[: snapshots.SHOWN] or 'nothing'} → {move.after[: snapshots.SHOWN]}"
            undo = f"  (undo {move.operation})" if move.operation else ""
            what = f"{move.why} ({printable(move.of)})" if move.of else move.why
            self.say(f"  {ids}  {moments.moment(move.moment)}  {printable(move.actor)}: {what}{undo}")
            if move.closed:
                self.say(f"    {printable(move.closed)}")
        self._say_more(len(listing.moves), listing.total_moves)

    def _say_more(self, listed: int, total: int) -> None:
        if listed < total:
            self.say(f"  … and {total - listed:,} more: --limit {2 * listed} or --all")

    def _show(self, beginning: str, *, is_json: bool) -> dict[str, Any]:
        shown = snapshots.show(snapshots.find(beginning))
        if not is_json:
            self._say_shown(shown)
        return shown.summary()

    def _say_shown(self, shown: Shown) -> None:
        entry, parent = shown.entry, shown.parent
        self.say(f"Snapshot {entry.id}")
        self.say(f"  {_told(entry)}")
        if entry.message:
            self.say(f"  {printable(entry.message)}")
        for pk in entry.parents:
            self.say(f"  parent {pk}")
        for old, new in entry.renames:
            self.say(f"  {printable(old)} was renamed to {printable(new)}")
        if shown.unknown:
            self.warn(shown.unknown)
            return
        since = "It is the first one" if parent is None else f"Since {parent.short}"
        if not shown.changes and not shown.companies_changed and not shown.seals_changed:
            self.say(f"{since}: nothing changed.")
            return
        self.say(f"{since}:")
        if shown.companies_changed:
            before = 0 if parent is None or parent.companies is None else parent.companies
            self.say(f"  companies: {before:,} before, {entry.companies or 0:,} after")
        if shown.seals_changed:
            self.say("  closed months: a month was closed or reopened")
        for company in shown.changes:
            for month, counts in company.months.items():
                self.say(f"  {printable(company.company)}, {month}: {_in_words(counts)}")


def _told(entry: SnapshotEntry, lost: str = _LOST) -> str:
    """A snapshot in one line, without its id. ``lost``: what stands for contents that are not at hand."""
    number = "merge" if entry.number is None else f"number {entry.number:,}"
    who = f"{printable(entry.author)}: {entry.why}" if entry.author else entry.why
    place = f" ({printable(entry.installation)})" if entry.installation else ""
    held = lost if entry.records is None else counted(entry.records, "record", "records")
    left = "" if entry.left_at is None else ", left in a file"
    return f"{number}  {moments.moment(entry.moment)}  {who}{place}  {held}{left}"


def _amount(found: Verified) -> str:
    blocks, records = counted(found.blocks, "block", "blocks"), counted(found.records, "record", "records")
    return f"{blocks} with {records}"


def _in_words(counts: BlockCounts) -> str:
    parts = []
    if counts.added:
        parts.append(f"{_weeks(counts.added)} new ({counted(counts.added_records, 'record', 'records')})")
    if counts.changed:
        records = counted(counts.changed_after, "record", "records")
        if counts.changed_before != counts.changed_after:
            records = f"{counts.changed_before:,} → {records}"
        parts.append(f"{_weeks(counts.changed)} changed ({records})")
    if counts.gone:
        parts.append(f"{_weeks(counts.gone)} gone ({counted(counts.gone_records, 'record', 'records')})")
    return ", ".join(parts)


def _weeks(number: int) -> str:
    return counted(number, "week", "weeks")


def _id(text: str) -> str:
    if not _ID.fullmatch(text):
        raise ArgumentTypeError(f"{text!r} is not the beginning of an id: 1 to 64 of the characters 0-9 and a-f")
    return text


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:10]) < 10**9):
        raise ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return int(text[:10])
