"""The pages of the history: the snapshots of the register, and what changed in one of them."""

from __future__ import annotations

import logging
from typing import Final

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from core.history import snapshots
from core.history.snapshots import Shown
from core.models import Role
from core.operations.errors import OperationFailed
from core.web.decorators import role_required
from recordsync.errors import HistoryDamaged

logger = logging.getLogger(__name__)

_SNAPSHOTS_ON_A_PAGE: Final = 50
_COMPANIES_ON_A_PAGE: Final = 200


@require_safe
@role_required([Role.ROOT])
def history_view(request: HttpRequest) -> HttpResponse:
    """The list of the snapshots, newest first."""
    page = Paginator(snapshots.newest_first(), _SNAPSHOTS_ON_A_PAGE).get_page(request.GET.get("page"))
    entries, unusable = snapshots.entries(page.object_list)
    context = {"page": page, "entries": entries, "unusable": _told(unusable)}
    return render(request, "history.html", context)


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
