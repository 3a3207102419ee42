"""The pages of the history: the snapshots of the register, and what changed in one of them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final, NamedTuple
from uuid import UUID

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from core.history import snapshots
from core.history.snapshots import MovedBy, Shown
from core.models import Kind, Operation, Role
from core.operations.errors import OperationFailed
from core.operations.run import Actor
from core.operations.traits import UNDOABLE
from core.register.database import DEFAULT
from core.restores import jobs as restore_jobs
from core.restores.incoming import Mode
from core.restores.undo import How, undoings, ways_of
from core.web.decorators import role_required
from core.web.views.operations import failed
from core.web.views.request import signed_in
from recordsync.errors import HistoryDamaged
from recordsync.merge import Strategy
from recordsync.models import HeadMove

logger = logging.getLogger(__name__)

_SNAPSHOTS_ON_A_PAGE: Final = 50
_MOVES_ON_A_PAGE: Final = 10
_COMPANIES_ON_A_PAGE: Final = 200


@require_safe
@role_required([Role.ROOT])
def history_view(request: HttpRequest) -> HttpResponse:
    """The list of the snapshots, newest first."""
    page = Paginator(snapshots.newest_first(), _SNAPSHOTS_ON_A_PAGE).get_page(request.GET.get("page"))
    entries, unusable = snapshots.entries(page.object_list)
    moves = Paginator(snapshots.moves_of_writers(), _MOVES_ON_A_PAGE).get_page(request.GET.get("moves"))
    done = _done(list(moves))
    hows = [how for how in How if any(how in one.ways for one in done)]
    context = {
        "page": page, "entries": entries, "unusable": _told(unusable), "moves": moves, "done": done, "hows": hows,
    }  # fmt: skip
    return render(request, "history.html", context)


class _Done(NamedTuple):
    """Something that was done. ``doing``: what is known of it. ``renames``: those of a renaming, each with the name
    before and after. ``undone``: its newest undo, if it was undone. ``ways``: how it can be undone; none: the history
    does not have it any more. ``is_undoable``: whether anything of its kind is undone."""

    move: HeadMove
    what: str
    doing: MovedBy
    renames: Sequence[tuple[str, str]]
    undone: Operation | None
    ways: Sequence[How]
    is_undoable: bool


def _done(moves: Sequence[HeadMove]) -> list[_Done]:
    operations = [move.operation for move in moves if move.operation]
    known = snapshots.operations_of(moves)
    undone = undoings(operations, DEFAULT)
    return [
        _Done(
            move,
            snapshots.cause_label(move.cause),
            known.get(move.operation or UUID(int=0), MovedBy()),
            snapshots.renames_in(move.after) if move.cause == Kind.RENAME_COMPANY else (),
            undone.get(move.operation or UUID(int=0)),
            ways if move.operation and move.after.is_kept and (move.before is None or move.before.is_kept) else (),
            move.cause in UNDOABLE,
        )
        for move, ways in zip(moves, ways_of(moves, DEFAULT) if moves else (), strict=True)
    ]


@require_POST
@role_required([Role.ROOT])
def restore_snapshot_view(request: HttpRequest, pk: str) -> HttpResponse:
    """Queues the check of a snapshot that is to be merged, or that the register is to become."""
    row = get_object_or_404(snapshots.newest_first(), pk=pk)
    mode = request.POST.get("mode")
    if mode not in list(Mode):
        return redirect("snapshot", pk=pk)
    try:
        actor = Actor.of(signed_in(request))
        operation = restore_jobs.submit_check(actor, Strategy.MANUAL, snapshot=row, mode=Mode(mode))
    except OperationFailed as error:
        failed(request, error)
        return redirect("snapshot", pk=pk)
    return redirect("operation", pk=operation.pk)


@require_safe
@role_required([Role.ROOT])
def snapshot_view(request: HttpRequest, pk: str) -> HttpResponse:
    """The page of one snapshot: what it says, and by company what changed in it since its parent."""
    row = get_object_or_404(snapshots.newest_first(), pk=pk)
    try:
        shown = snapshots.show(row, most=_COMPANIES_ON_A_PAGE)
    except OperationFailed as failure:
        is_damaged = isinstance(failure.__cause__, HistoryDamaged)
        (entry,), _unusable = snapshots.entries([row])
        shown = Shown(entry, None, unknown=str(failure) if is_damaged else _told(str(failure)))
    return render(request, "snapshot.html", {"shown": shown, "entry": shown.entry, "section": "history"})


def _told(reason: str) -> str:
    """What a page says of a history store that does not answer; blank if there is no reason. Only the log has the
    reason, which may name machines and files."""
    if not reason:
        return ""
    logger.warning("The history cannot be shown: %s", reason)
    return _("The history database does not answer as it should. The log says why.")
