"""The restore wizard: choose a file, check it, look at the preview and decide, apply."""

from __future__ import annotations

import datetime as dt
import logging
import uuid
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods

from core import moments
from core.models import JOBS, Backup, Installation, Kind, Operation, Role
from core.operations import recovery
from core.operations.closed import ClosedChoice, ClosedMonth
from core.operations.errors import NOTHING_CHANGED, OperationFailed
from core.operations.run import Actor
from core.preview import stored as stored_preview
from core.preview.decisions import DecidedMeanwhile, Many
from core.preview.filters import UNITS, Filter
from core.preview.stored import StoredPreview
from core.register.database import DEFAULT
from core.restores import jobs as restore_jobs
from core.restores.incoming import BaseChoice, Mode
from core.restores.jobs import Comes
from core.web.bodies import takes_files
from core.web.decorators import role_required
from core.web.forms.backups import FILTER_FIELDS, PreviewFilterForm, RestoreForm
from core.web.forms.records import ConfirmForm
from core.web.merges import KEPT, WORDS, Told, Words, rows, strategies
from core.web.views.operations import failed, refuse
from core.web.views.request import signed_in
from recordsync.merge import Side, Strategy
from recordsync.models import Snapshot

logger = logging.getLogger(__name__)

_CLOSED_SHOWN: Final = 20
"""How many closed months are named."""
_REMOVED_SHOWN: Final = 20
"""How many companies are named whose records are deleted."""


def _too_large(request: HttpRequest) -> HttpResponse:
    error = restore_jobs.too_large(settings.MUSTER_MAX_UPLOAD_BYTES)
    logger.warning("A file of %s was refused: %s", signed_in(request).get_username(), error)
    return render(request, "restore_data.html", {"form": RestoreForm(), "refused": str(error)}, status=413)


@require_http_methods(["GET", "HEAD", "POST"])
@takes_files(["root"], "MUSTER_MAX_UPLOAD_BYTES", _too_large)
def restore_data_view(request: HttpRequest) -> HttpResponse:
    """The page that asks for a file to upload or a backup from the catalogue. A valid POST queues its check."""
    form = RestoreForm(request.POST or None, request.FILES or None, initial={"backup": request.GET.get("backup", "")})
    if request.method == "POST" and form.is_valid():
        restore_jobs.sweep()
        actor, strategy = Actor.of(signed_in(request)), Strategy(form.cleaned_data["strategy"])
        mode = Mode(form.cleaned_data["mode"] or Mode.MERGE)
        upload = form.cleaned_data["file"]
        try:
            if upload:
                pk = restore_jobs.receive(upload.chunks(), settings.MUSTER_MAX_UPLOAD_BYTES)
                operation = restore_jobs.submit_check(actor, strategy, uploaded=pk, name=upload.name, mode=mode)
            else:
                backup = get_object_or_404(Backup.objects.exclude(file=""), pk=form.cleaned_data["backup"])
                operation = restore_jobs.submit_check(actor, strategy, backup=backup, mode=mode)
            return redirect("operation", pk=operation.pk)
        except OperationFailed as error:
            failed(request, error)
    recovery.settle_accounts()
    recent = (
        Operation.objects.using(JOBS)
        .filter(kind__in=(Kind.CHECK, Kind.RESTORE, Kind.UNDO))
        .order_by("-started_at")[:10]
    )
    return render(request, "restore_data.html", {"form": form, "recent": recent})


@require_http_methods(["GET", "HEAD", "POST"])
@role_required([Role.ROOT, Role.ADMIN])
def preview_restore_view(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """The preview of a restore or an undo, line by line. A POST decides, changes the strategy, or asks for a new
    preview. An administrator sees those of an undo of an own import."""
    checked = _checked(request, pk)
    try:
        with stored_preview.opened(pk) as preview:
            restore_jobs.free_if_ended(preview)
            if "again" in request.POST:
                return redirect("operation", pk=restore_jobs.check_again(Actor.of(signed_in(request)), preview).pk)
            if request.method == "POST":
                return _decide(request, preview, checked)
            return render(request, "preview_restore.html", _shown(request, preview, checked))
    except OperationFailed as error:
        failed(request, error)
        if request.method == "POST":
            return redirect(_back(request, pk))
        return redirect("restore_data" if signed_in(request).role == Role.ROOT else "upload_logs")


@require_http_methods(["GET", "HEAD", "POST"])
@role_required([Role.ROOT, Role.ADMIN])
def apply_restore_view(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Queues the restore or undo of the preview as the person saw it. A GET leads back to the preview. Where much is
    deleted, the person types the installation's name to confirm."""
    _checked(request, pk)
    if request.method != "POST":
        return redirect("preview_restore", pk=pk)
    try:
        with stored_preview.opened(pk) as preview:
            restore_jobs.free_if_ended(preview)
            if preview.applying:
                return redirect("operation", pk=preview.applying)
            _require_same(request, preview)
            is_confirmed = restore_jobs.to_confirm(preview) is not None and _confirmed(request)
            actor = Actor.of(signed_in(request))
            operation = restore_jobs.submit_apply(actor, preview, is_confirmed=is_confirmed)
            return redirect("operation", pk=operation.pk)
    except OperationFailed as error:
        failed(request, error)
        return redirect("preview_restore", pk=pk)


def _checked(request: HttpRequest, pk: uuid.UUID) -> Operation | None:
    """The check that made a preview; None: there is none. Raises PermissionDenied where the person may not see it."""
    checked = Operation.objects.using(JOBS).filter(pk=pk).first()
    user = signed_in(request)
    if user.role != Role.ROOT and (checked is None or not restore_jobs.may_see(user, checked)):
        refuse(request)
    return checked


def _confirmed(request: HttpRequest) -> bool:
    """True. Raises OperationFailed unless the person has typed the installation's name."""
    form = ConfirmForm(request.POST, expected=Installation.without_writing().name)
    if not form.is_valid():
        raise OperationFailed(
            _("What was typed is not the name of this installation."),
            undone=NOTHING_CHANGED,
            then=_("Look at what would change, then type the name."),
        )
    return True


def _require_same(request: HttpRequest, preview: StoredPreview) -> None:
    """Raise DecidedMeanwhile if somebody, in another tab perhaps, has changed the preview since the person saw it."""
    if _seen(request.POST) != preview.version:
        raise DecidedMeanwhile


def _decide(request: HttpRequest, preview: StoredPreview, checked: Operation | None) -> HttpResponse:
    """Do what the form says. If that would change earlier decisions, the next page asks first and says how many."""
    data, back = request.POST, _back(request, preview.pk)
    if data.get("closed") in list(ClosedChoice):
        _require_same(request, preview)
        restore_jobs.choose_closed(preview, ClosedChoice(data["closed"]))
        return redirect(f"{reverse('preview_restore', kwargs={'pk': preview.pk})}#closed")
    if "strategy" in data and data["strategy"] in list(Strategy):
        return redirect(_choose_strategy(request, preview, Strategy(data["strategy"])))
    if decision := _decision(data):
        preview.decide(decision.side, decision.item, decision.unit, seen=_seen(data))
    elif data.get("side") in _SIDES and data.get("scope") in _SCOPES:
        if data["scope"] == "filtered" and not PreviewFilterForm(data).is_valid():
            raise OperationFailed(_("The filter cannot be read. Nothing was decided. Correct it first."))
        side, chosen, words = _SIDES[data["side"]], _scope(data), _words(checked)
        if "sure" not in data:
            ask = side is None
            if side is not None:
                many = preview.decide_many(side, chosen)
                ask = bool(many.left)
                messages.success(request, _decided(side, many, words))
            return redirect(_asking(request, preview.pk) if ask else back)
        n = preview.redecide_many(side, chosen, seen=_seen(data))
        messages.success(request, _redecided(side, n, words))
    return redirect(back)


def _choose_strategy(request: HttpRequest, preview: StoredPreview, strategy: Strategy) -> str:
    """The address to go on at. If the strategy overrules decisions, the next page asks before it is chosen."""
    here = reverse("preview_restore", kwargs={"pk": preview.pk})
    if preview.strategy is Strategy.MANUAL and preview.overruled(strategy):
        if "sure" not in request.POST:
            return f"{here}?{urlencode({'ask': strategy.value})}"
        _require_same(request, preview)
    preview.choose(strategy)
    return here


_SIDES: Final[dict[str, Side | None]] = {"ours": Side.OURS, "theirs": Side.THEIRS, "none": None}
_SCOPES: Final = ("filtered", "chosen")


def _scope(data: QueryDict) -> Filter:
    """The lines that are decided together: those that the page's filter leaves, or those that the form chooses."""
    if data.get("scope") == "filtered":
        return _filter(data)
    return Filter(company=data.get("of_company", ""), unit=data.get("of_unit", ""))


class _Decision(NamedTuple):
    """A decision about one line: in one unit, or in all of them if ``unit`` is blank."""

    side: Side
    item: int
    unit: str


def _decision(data: QueryDict) -> _Decision | None:
    """The decision of a line's button, ``SIDE LINE`` or ``SIDE LINE UNIT``; None if no such button was pressed."""
    match data.get("decide", "").split(" "):
        case [Side.OURS | Side.THEIRS as side, line, *unit] if len(unit) < 2 and (item := _number(line)) is not None:
            return _Decision(Side(side), item, "".join(unit))
    return None


def _number(text: str) -> int | None:
    """The text as a line's number; None if it cannot be one."""
    return int(text) if text.isdecimal() and len(text) < 19 else None


def _seen(data: QueryDict) -> int:
    """The version of the preview that the form was made from; -1, which no preview has, if the form does not say."""
    version = _number(data.get("version", ""))
    return -1 if version is None else version


def _decided(side: Side, many: Many, words: Words) -> str:
    """The sentence that says how many differences were decided, and for which side."""
    if not many.decided:
        return _("Everything there was decided already.")
    text = ngettext(
        "%(n)s difference was decided: %(outcome)s.", "%(n)s differences were decided: %(outcome)s.", many.decided
    )
    return text % {"n": f"{many.decided:,}", "outcome": KEPT if side is Side.OURS else words.taken}


def _redecided(side: Side | None, n: int, words: Words) -> str:
    """The sentence that says how many decisions were changed or taken back."""
    if side is None:
        text = ngettext("%(n)s decision was taken back.", "%(n)s decisions were taken back.", n)
    else:
        text = ngettext("%(n)s decision was changed: %(outcome)s.", "%(n)s decisions were changed: %(outcome)s.", n)
    return text % {"n": f"{n:,}", "outcome": KEPT if side is Side.OURS else words.taken}


def _words(checked: Operation | None) -> Words:
    """What pages call that which a check is of."""
    return WORDS[_comes(checked)]


def _comes(checked: Operation | None) -> Comes:
    return Comes.FILE if checked is None else restore_jobs.what_comes(checked)


def _filter(data: Any) -> Filter:
    form = PreviewFilterForm(data)
    form.is_valid()
    values = {name: str(form.cleaned_data.get(name) or "") for name in FILTER_FIELDS}
    return Filter(**values, undecided=bool(form.cleaned_data.get("undecided")))


def _back(request: HttpRequest, pk: uuid.UUID) -> str:
    """The address of the preview with the filter and page that the form carries.

    It leads to the line that was decided, or to the top if many were.
    """
    kept = _kept(request.POST)
    anchor = ""
    if decision := _decision(request.POST):  # a list of what is not decided no longer has the line
        anchor = "#lines" if "undecided" in kept else f"#line-{decision.item}"
    return f"{reverse('preview_restore', kwargs={'pk': pk})}?{urlencode(kept)}{anchor}"


def _asking(request: HttpRequest, pk: uuid.UUID) -> str:
    """The address of the preview with the filter that the form carries, where it asks before it changes decisions."""
    data = request.POST
    asked = {"ask": data["side"], **{name: data[name] for name in ("scope", "of_company", "of_unit") if data.get(name)}}
    return f"{reverse('preview_restore', kwargs={'pk': pk})}?{urlencode(_kept(data) | asked)}"


def _kept(data: QueryDict) -> dict[str, str]:
    return {name: str(data[name]) for name in (*FILTER_FIELDS, "undecided", "after", "before") if data.get(name)}


class _Question(NamedTuple):
    """A question that the page asks before earlier decisions are changed."""

    kind: str
    """``ours``, ``theirs``, ``none`` or a strategy."""
    n: int
    """How many decisions would change."""
    scope: str = ""
    chosen: Filter | None = None


def _question(request: HttpRequest, preview: StoredPreview) -> _Question | None:
    """The question that the address asks, with how many decisions would change now; None if none would."""
    data, ask = request.GET, request.GET.get("ask", "")
    if preview.applying or preview.strategy is not Strategy.MANUAL:
        return None
    if ask in list(Strategy) and (n := preview.overruled(Strategy(ask))):
        return _Question(ask, n)
    if ask in _SIDES and data.get("scope") in _SCOPES:
        chosen = _scope(data)
        if n := preview.would_change(_SIDES[ask], chosen):
            return _Question(ask, n, data["scope"], chosen)
    return None


def _shown(request: HttpRequest, preview: StoredPreview, checked: Operation | None) -> dict[str, Any]:
    form = PreviewFilterForm(request.GET)
    chosen = _filter(request.GET)
    place = {name: line for name in ("after", "before") if (line := _number(request.GET.get(name, ""))) is not None}
    page = preview.page(chosen, place.get("after"), place.get("before"))
    restore_jobs.look_up(page.lines)
    here = Installation.without_writing()
    manual = preview.strategy is Strategy.MANUAL
    comes = _comes(checked)
    told = Told(
        comes=comes,
        origin=preview.origin.name,
        is_own=preview.origin.installation == str(here.id),
        is_exact=preview.base.is_exact,
        models=preview.counts(),
        strategy=preview.strategy,
        kinship=preview.base.kinship,
        is_whole=signed_in(request).role == Role.ROOT,
        closed=preview.closed,
    )
    closed = restore_jobs.closed_of(preview)
    return {
        "preview": preview,
        "form": form,
        "chosen": chosen,
        "kept": [(name, request.GET[name]) for name in (*FILTER_FIELDS, "undecided") if request.GET.get(name)],
        "question": _question(request, preview),
        "place": place,
        "page": page,
        "here": here,
        "told": told,
        "closed": closed,
        "closed_months": [(one, _days_of(one)) for one in closed.months[:_CLOSED_SHOWN]],
        "more_closed": max(0, len(closed.months) - _CLOSED_SHOWN),
        "comes": comes,
        "words": WORDS[comes],
        "how": None if checked is None else restore_jobs.how_undone(checked),
        "section": None if comes is Comes.FILE else "history" if told.is_whole else "upload_logs",
        "merged_at": _merged_at(preview) if told.is_merged else None,
        "may_choose_base": comes is not Comes.UNDO and not told.is_exact,
        "is_without_base": checked is not None and checked.parameters.get("base") == BaseChoice.NONE,
        "units": UNITS,
        "company_names": preview.conflicting_companies() if manual else [],
        "rows": rows(told.models),
        "clauses": told.clauses(),
        "companies": preview.results_by_company(),
        "overruled": 0 if manual else preview.overruled(preview.strategy),
        "manual": manual,
        "can_decide": manual and preview.conflicting and not preview.applying,
        "undecided": preview.undecided if manual else 0,
        "conflicting": preview.conflicting,
        "differing": preview.count(Filter(kind="conflict"))[0],
        "strategies": strategies(comes),
        **_to_confirm(preview, here),
    }


def _days_of(month: ClosedMonth) -> str:
    """The query by which the page lists the days of a closed month."""
    first = dt.date.fromisoformat(f"{month.month}-01")
    days = {"date_from": first.isoformat(), "date_to": moments.last_of_month(first).isoformat()}
    return urlencode({"company": month.company, **days})


def _to_confirm(preview: StoredPreview, here: Installation) -> dict[str, Any]:
    """What the person has to confirm before the preview is applied; blank: nothing."""
    removed = restore_jobs.to_confirm(preview)
    if removed is None:
        return {}
    return {
        "confirm": ConfirmForm(expected=here.name),
        "removed": removed[:_REMOVED_SHOWN],
        "more_removed": len(removed) - _REMOVED_SHOWN,
    }


def _merged_at(preview: StoredPreview) -> dt.datetime | None:
    """When what comes was merged here; None: nothing is known of it."""
    row = DEFAULT.rows(Snapshot).filter(pk__in=preview.base.snapshots).first()
    return None if row is None else row.received_at or row.recorded_at
