"""Undoing what an operation did, by the move of the head that it made.

What was after it is the base, what was before it comes in, and what is now stays where it has changed since.
"""

from __future__ import annotations

import datetime as dt
import logging
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import IO, Any, Final, NamedTuple

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from core import moments
from core.models import JOBS, BackupLog, Company, Kind, Operation, Role, User
from core.operations.errors import NOTHING_CHANGED, OperationFailed
from core.operations.traits import UNDOABLE, WRITERS, label_of
from core.register.database import Register
from core.register.declared import SCHEMA
from core.restores.incoming import Incoming, from_undo, related_in, tree_of
from recordsync.errors import HistoryDamaged, HistoryUnusable
from recordsync.history.compare import differences
from recordsync.history.lineage import Lineage, after_change, after_withdrawal
from recordsync.history.relation import Kinship, with_ancestors
from recordsync.history.snapshots import header_of
from recordsync.models import HeadMove, Snapshot

logger = logging.getLogger(__name__)

_OWN: Final = (Kind.IMPORT, Kind.BULK_EDIT)
"""What an administrator may undo, where they did it themselves."""
_UNDOINGS: Final = 5
"""How many undos of undos are told."""


class How(StrEnum):
    """How an operation is undone."""

    WITHDRAW = "withdraw"
    """What came from elsewhere counts as not merged here."""
    EVERYWHERE = "everywhere"
    """It is a change like any other, which travels onward."""
    REDO = "redo"
    """What was withdrawn comes back, and counts as merged again."""

    @property
    def label(self) -> str:
        """What it is called on a button."""
        return str(LABELS[self])

    @property
    def sentence(self) -> str:
        """What it means, said before it is done."""
        return str(SENTENCES[self])


SENTENCES: Final[Mapping[How, str | Promise]] = {
    How.WITHDRAW: gettext_lazy(
        "What came is withdrawn here. It stays where it came from, and the next file from there brings it again."
    ),
    How.EVERYWHERE: gettext_lazy(
        "This is a change like any other: your next backup carries it to every installation that restores it."
    ),
    How.REDO: gettext_lazy("What was withdrawn comes back, and counts as merged here again."),
}
"""What each of them means, said before it is done."""

LABELS: Final[Mapping[How, str | Promise]] = {
    How.WITHDRAW: gettext_lazy("Withdraw"),
    How.EVERYWHERE: gettext_lazy("Undo everywhere"),
    How.REDO: gettext_lazy("Bring it back"),
}
"""What each of them is called on a button."""


@dataclass(frozen=True)
class Undo:
    """The undoing of an operation, made by :func:`undo_of`."""

    move: HeadMove
    how: How
    register: Register

    @property
    def name(self) -> str:
        """What is undone, for people."""
        return told(self.move)

    @property
    def parameters(self) -> dict[str, Any]:
        """What an operation that does it keeps of it, as JSON values: ``move`` and ``how``."""
        return {"move": self.move.pk, "how": self.how.value}

    def incoming(self, spool: IO[bytes]) -> Incoming:
        """What is merged into the register. Reads headers and the history store, and writes ``spool``, an empty
        temporary file that stays open. Raises OperationFailed where the records that it needs are not at hand."""
        rows = self.register.rows(Snapshot)
        before = None if self.move.before_id is None else rows.get(pk=self.move.before_id)
        lineage = self._lineage(before)
        after, why = rows.get(pk=self.move.after_id), str(SENTENCES[self.how])
        incoming = from_undo(before, after, self.register, lineage, why, spool)
        is_own = self.how is not How.EVERYWHERE
        return replace(incoming, needs_snapshot=is_own, withdraws=self.how is How.WITHDRAW)

    def _lineage(self, before: Snapshot | None) -> Lineage:
        head = self.register.history.head()
        assert head is not None  # it moved
        if self.how is How.EVERYWHERE:
            return after_change(head.pk)
        if before is None:
            return Lineage([], [])
        if self.how is How.WITHDRAW:
            return after_withdrawal(before.pk)
        kinship = related_in(self.register.history.ancestry(), head.pk, header_of(before)).kinship
        if kinship is Kinship.MERGED:
            return after_change(head.pk)  # it came back already
        return Lineage([head.pk, before.pk], [before.pk] if kinship is Kinship.AHEAD else [])


def undoable(register: Register, operation: uuid.UUID | None = None, *, user: User | None = None) -> HeadMove:
    """The move of the head by an operation, or by the newest that wrote. ``user``: who wants to undo it; None: somebody
    who may do everything. Reads the moves.

    Raises OperationFailed where there is nothing to undo, or not for this person.
    """
    moves = register.rows(HeadMove).filter(cause__in=WRITERS)
    if operation is not None:
        move = moves.filter(operation=operation).order_by("-pk").first()
        if move is None:
            raise OperationFailed(
                _(
                    "Nothing is known that this operation changed: it changed nothing, was not recorded, or is no "
                    "restore, import or the like."
                ),
                undone=NOTHING_CHANGED,
                then=_("The history lists what can be undone (manage.py history)."),
            )
    elif (move := moves.order_by("-pk").first()) is None:
        raise OperationFailed(_("No restore, import or the like is recorded here yet."), undone=NOTHING_CHANGED)
    elif (newer := _in_no_history_since(move, register)) is not None:
        raise OperationFailed(
            _("The newest is %(what)s, which is in no history and cannot be undone.")
            % {"what": _told(newer.operation, newer.actor_name, newer.created_at)},
            undone=NOTHING_CHANGED,
            then=_("To undo an older one, name it: manage.py history lists them."),
        )
    if move.cause not in UNDOABLE:
        raise OperationFailed(
            _("A month that was closed is reopened on its roll, and one that was reopened is closed again there."),
            undone=NOTHING_CHANGED,
            then=_("To undo something older, name it: manage.py history lists what can be undone."),
        )
    if user is not None and not may_undo(user, move, register):
        raise OperationFailed(_("Only root can undo this."), undone=NOTHING_CHANGED)
    return move


def _in_no_history_since(move: HeadMove, register: Register) -> BackupLog | None:
    """The audit row of the newest operation that changed records, if it is newer than a move and moved no head."""
    rows = register.rows(BackupLog).filter(operation__in=WRITERS, success=True)
    known = rows.filter(operation_id__in=[move.operation]).values_list("pk", flat=True).first()
    newest = rows.exclude(records_added=0, records_updated=0, records_deleted=0).order_by("-pk").first()
    if known is None or newest is None or newest.pk <= known:
        return None
    return None if register.rows(HeadMove).filter(operation=newest.operation_id).exists() else newest


def may_undo(user: User, move: HeadMove, register: Register) -> bool:
    """Whether a person may undo a move: root any, an administrator an own import or bulk edit that concerns the own
    company alone.
    Reads the jobs database, and the nodes of the two trees that differ."""
    if not user.is_active or user.role != Role.ADMIN:
        return user.is_active and user.role == Role.ROOT
    by = Operation.objects.using(JOBS).filter(pk__in=[move.operation]).values_list("actor_id", flat=True).first()
    company = register.rows(Company).filter(pk__in=[user.company_id]).values_list("name", flat=True).first()
    if move.cause not in _OWN or by != user.pk or company is None:
        return False
    trees = dict(register.rows(Snapshot).filter(pk__in=[move.before_id, move.after_id]).values_list("pk", "tree"))
    try:
        found = list(
            differences(register.history.store.nodes, SCHEMA, trees.get(move.before_id or ""), trees[move.after_id])
        )
    except (HistoryDamaged, HistoryUnusable):
        return False
    return all(difference.partition[:1] == (company,) for difference in found)


def ways(move: HeadMove, register: Register) -> list[How]:
    """How a move can be undone; first what is usual. Reads headers and moves."""
    return ways_of([move], register)[0]


def ways_of(moves: Sequence[HeadMove], register: Register) -> list[list[How]]:
    """For each of these moves how it can be undone; first what is usual. Reads headers and moves.

    What others may have seen cannot be unseen: so something is withdrawn only where no later restore or undo followed,
    and no later snapshot left in a file. What was withdrawn and came back can be withdrawn again.
    """
    parents = register.history.ancestry().parents
    head = register.history.head()
    left = set(register.rows(Snapshot).filter(left_at__isnull=False).values_list("pk", flat=True))
    last = register.rows(HeadMove).filter(cause__in=(Kind.RESTORE, Kind.UNDO)).order_by("-pk").first()
    undone = dict(register.rows(HeadMove).filter(cause=Kind.UNDO).values_list("pk", "before_id"))
    found = []
    for move in moves:
        before = set() if move.before_id is None else with_ancestors(parents, [move.before_id])
        after = with_ancestors(parents, [move.after_id])
        is_undo = move.cause == Kind.UNDO and move.before_id is not None
        is_redo = is_undo and any(pk < move.pk and back in after - before for pk, back in undone.items())
        if is_undo and move.before_id not in after:
            found.append([How.REDO, How.EVERYWHERE])
        elif not (is_redo or move.cause == Kind.RESTORE) or head is None or (last is not None and last.pk > move.pk):
            found.append([How.EVERYWHERE])
        elif left.isdisjoint(with_ancestors(parents, [head.pk]) - before):
            found.append([How.WITHDRAW, How.EVERYWHERE])
        else:
            found.append([How.EVERYWHERE])
    return found


class Offer(NamedTuple):
    """How something can be undone; first what is usual. ``why_not``: a sentence that says why it cannot."""

    ways: Sequence[How] = ()
    why_not: str = ""


def offer(operation: uuid.UUID, user: User, register: Register) -> Offer:
    """How a person may undo what an operation did. Reads headers and moves, and two nodes of the history store."""
    try:
        move = undoable(register, operation, user=user)
        rows = register.rows(Snapshot).filter(pk__in=[move.before_id, move.after_id])
        for row in rows:
            tree_of(row, register)
    except OperationFailed as failure:
        return Offer(why_not=failure.what)
    except HistoryDamaged:
        return Offer(why_not=_("The history does not have the register any more as it was then."))
    except HistoryUnusable:
        logger.warning("It is not known whether %s can be undone", operation, exc_info=True)
        return Offer(why_not=_("The history database does not answer as it should. The log says why."))
    return Offer(ways(move, register))


def undoings(operations: Iterable[uuid.UUID], register: Register) -> dict[uuid.UUID, Operation]:
    """The newest undo of each of these operations that was undone. Reads moves and the jobs database."""
    moves = dict(register.rows(HeadMove).filter(operation__in=list(operations)).values_list("pk", "operation"))
    done = Operation.objects.using(JOBS).filter(kind=Kind.UNDO, state=Operation.State.SUCCEEDED)
    found = done.filter(database=register.alias, parameters__undo__move__in=list(moves)).order_by("started_at")
    return {operation: one for one in found if (operation := moves[one.parameters["undo"]["move"]])}


def undone_by(operation: uuid.UUID, register: Register) -> list[Operation]:
    """The undo of an operation, the undo of that, and so on. Reads moves and the jobs database."""
    found: list[Operation] = []
    while len(found) < _UNDOINGS and (one := undoings([operation], register).get(operation)):
        found.append(one)
        operation = one.pk
    return found


def undo_of(move: HeadMove, register: Register, how: How | None = None) -> Undo:
    """The undoing of a move. ``how``: None: as is usual. Raises OperationFailed where it cannot be undone so."""
    possible = ways(move, register)
    if how is not None and how not in possible:
        raise OperationFailed(
            _("This cannot be withdrawn any more: another restore followed, or a backup that has it left here."),
            undone=NOTHING_CHANGED,
            then=_("Press “%(button)s” instead.") % {"button": How.EVERYWHERE.label},
        )
    return Undo(move, how or possible[0], register)


def told(move: HeadMove) -> str:
    """What a move was, such as ``Restore by root (2026-11-20 18:40 IST)``."""
    return _told(move.cause, move.actor, move.moment)


def _told(cause: str, who: str, when: dt.datetime) -> str:
    return _("%(what)s by %(who)s (%(when)s)") % {"what": label_of(cause), "who": who, "when": moments.moment(when)}
