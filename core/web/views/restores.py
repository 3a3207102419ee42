"""The restore wizard: choose a file, check it, look at the preview and decide, apply."""

from __future__ import annotations

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

from core.models import JOBS, Backup, Installation, Kind, Operation
from core.operations import recovery
from core.operations.errors import OperationFailed
from core.operations.run import Actor
from core.operations.wording import SECTIONS
from core.preview import stored as stored_preview
from core.preview.decisions import DecidedMeanwhile, Many
from core.preview.filters import UNITS, Filter
from core.preview.stored import StoredPreview
from core.restores import jobs as restore_jobs
from core.web.bodies import takes_files
from core.web.decorators import role_required
from core.web.forms.backups import FILTER_FIELDS, STRATEGIES, PreviewFilterForm, RestoreForm
from core.web.views.operations import failed
from core.web.views.request import signed_in
from recordsync.merge import Side, Strategy

logger = logging.getLogger(__name__)


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
        upload = form.cleaned_data["file"]
        try:
            if upload:
                pk = restore_jobs.receive(upload.chunks(), settings.MUSTER_MAX_UPLOAD_BYTES)
                operation = restore_jobs.submit_check(actor, strategy, uploaded=pk, name=upload.name)
            else:
                backup = get_object_or_404(Backup.objects.exclude(file=""), pk=form.cleaned_data["backup"])
                operation = restore_jobs.submit_check(actor, strategy, backup=backup)
            return redirect("operation", pk=operation.pk)
        except OperationFailed as error:
            failed(request, error)
    recovery.settle_accounts()
    recent = Operation.objects.using(JOBS).filter(kind__in=(Kind.CHECK, Kind.RESTORE)).order_by("-started_at")[:10]
    return render(request, "restore_data.html", {"form": form, "recent": recent})


@require_http_methods(["GET", "HEAD", "POST"])
@role_required(["root"])
def preview_restore_view(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """The preview of a restore, line by line. A POST decides, changes the strategy, or asks for a new preview."""
    try:
        with stored_preview.opened(pk) as preview:
            restore_jobs.free_if_ended(preview)
            if "again" in request.POST:
                return redirect("operation", pk=restore_jobs.check_again(Actor.of(signed_in(request)), preview).pk)
            if request.method == "POST":
                return _decide(request, preview)
            return render(request, "preview_restore.html", _shown(request, preview))
    except OperationFailed as error:
        failed(request, error)
        return redirect("restore_data" if request.method != "POST" else _back(request, pk))


@require_http_methods(["GET", "HEAD", "POST"])
@role_required(["root"])
def apply_restore_view(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Queues the restore of the preview as the person saw it. A GET leads back to the preview."""
    if request.method != "POST":
        return redirect("preview_restore", pk=pk)
    try:
        with stored_preview.opened(pk) as preview:
            restore_jobs.free_if_ended(preview)
            if preview.applying:
                return redirect("operation", pk=preview.applying)
            _require_same(request, preview)
            operation = restore_jobs.submit_apply(Actor.of(signed_in(request)), preview)
            return redirect("operation", pk=operation.pk)
    except OperationFailed as error:
        failed(request, error)
        return redirect("preview_restore", pk=pk)


def _require_same(request: HttpRequest, preview: StoredPreview) -> None:
    """Raise DecidedMeanwhile if somebody, in another tab perhaps, has changed the preview since the person saw it."""
    if _seen(request.POST) != preview.version:
        raise DecidedMeanwhile


def _decide(request: HttpRequest, preview: StoredPreview) -> HttpResponse:
    """Do what the form says. If that would change earlier decisions, the next page asks first and says how many."""
    data, back = request.POST, _back(request, preview.pk)
    if "strategy" in data and data["strategy"] in list(Strategy):
        return redirect(_choose_strategy(request, preview, Strategy(data["strategy"])))
    if decision := _decision(data):
        preview.decide(decision.side, decision.item, decision.unit, seen=_seen(data))
    elif data.get("side") in _SIDES and data.get("scope") in _SCOPES:
        if data["scope"] == "filtered" and not PreviewFilterForm(data).is_valid():
            raise OperationFailed(_("The filter cannot be read. Nothing was decided. Correct it first."))
        side, chosen = _SIDES[data["side"]], _scope(data)
        if "sure" not in data:
            ask = side is None
            if side is not None:
                many = preview.decide_many(side, chosen)
                ask = bool(many.left)
                messages.success(request, _decided(side, many))
            return redirect(_asking(request, preview.pk) if ask else back)
        n = preview.redecide_many(side, chosen, seen=_seen(data))
        messages.success(request, _redecided(side, n))
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


def _decided(side: Side, many: Many) -> str:
    """The sentence that says how many differences were decided, and for which side."""
    if side is Side.OURS:
        text = ngettext(
            "%(n)s difference was decided: this server’s is kept.",
            "%(n)s differences were decided: this server’s are kept.",
            many.decided,
        )
    else:
        text = ngettext(
            "%(n)s difference was decided: the backup’s is taken.",
            "%(n)s differences were decided: the backup’s are taken.",
            many.decided,
        )
    if not many.decided:
        text = _("Everything there was decided already.")
    return text % {"n": f"{many.decided:,}"}


def _redecided(side: Side | None, n: int) -> str:
    """The sentence that says how many decisions were changed or taken back."""
    if side is None:
        text = ngettext("%(n)s decision was taken back.", "%(n)s decisions were taken back.", n)
    elif side is Side.OURS:
        text = ngettext(
            "%(n)s decision was changed: this server’s is kept.",
            "%(n)s decisions were changed: this server’s are kept.",
            n,
        )
    else:
        text = ngettext(
            "%(n)s decision was changed: the backup’s is taken.",
            "%(n)s decisions were changed: the backup’s are taken.",
            n,
        )
    return text % {"n": f"{n:,}"}


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


def _shown(request: HttpRequest, preview: StoredPreview) -> dict[str, Any]:
    form = PreviewFilterForm(request.GET)
    chosen = _filter(request.GET)
    place = {name: line for name in ("after", "before") if (line := _number(request.GET.get(name, ""))) is not None}
    counts = preview.counts()
    page = preview.page(chosen, place.get("after"), place.get("before"))
    restore_jobs.look_up(page.lines)
    here = Installation.without_writing()
    manual = preview.strategy is Strategy.MANUAL
    return {
        "preview": preview,
        "form": form,
        "chosen": chosen,
        "kept": [(name, request.GET[name]) for name in (*FILTER_FIELDS, "undecided") if request.GET.get(name)],
        "question": _question(request, preview),
        "place": place,
        "page": page,
        "here": here,
        "is_own": preview.origin.installation == str(here.id),
        "units": UNITS,
        "company_names": preview.conflicting_companies() if manual else [],
        "counts": [(SECTIONS[name], counts[name]) for name in reversed(counts)],
        "companies": preview.results_by_company(),
        "overruled": 0 if manual else preview.overruled(preview.strategy),
        "manual": manual,
        "can_decide": manual and preview.conflicting and not preview.applying,
        "undecided": preview.undecided if manual else 0,
        "conflicting": preview.conflicting,
        "differing": preview.count(Filter(kind="conflict"))[0],
        "strategies": STRATEGIES,
    }
