"""The restore wizard: choose a file, look at the preview, decide, apply."""

from __future__ import annotations

import logging
import uuid
from typing import Any, NamedTuple
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.core.files.uploadhandler import TemporaryFileUploadHandler
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_http_methods

from core.backup_forms import FILTER_FIELDS, STRATEGIES, PreviewFilterForm, RestoreForm
from core.decorators import role_required
from core.models import Backup, Installation, Operation
from core.services import operations, restore_jobs, stored_preview
from core.services.errors import OperationFailed
from core.services.operations import JOBS, Actor
from core.services.stored_preview import UNITS, Filter, StoredPreview
from core.views.operations import failed
from core.views.request import sends_more_than, signed_in
from recordsync.merge import Side, Strategy

logger = logging.getLogger(__name__)


@csrf_exempt  # checked below: who may upload and how much is asked before anything of it is read
@require_http_methods(["GET", "HEAD", "POST"])
@role_required(["root"])
def restore_data_view(request: HttpRequest) -> HttpResponse:
    """Choose: a file to upload, or one of the catalogue."""
    limit = settings.MUSTER_MAX_UPLOAD_BYTES
    if request.method == "POST":
        if sends_more_than(limit, request):
            error = restore_jobs.too_large(limit)
            logger.warning("A file of %s was refused: %s", signed_in(request).get_username(), error)
            return render(request, "restore_data.html", {"form": RestoreForm(), "refused": str(error)}, status=413)
        request.upload_handlers = [TemporaryFileUploadHandler(request)]
    return _choose(request)


@csrf_protect
def _choose(request: HttpRequest) -> HttpResponse:
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
    operations.settle_accounts()
    recent = Operation.objects.using(JOBS).filter(kind__in=("check", "restore")).order_by("-started_at")[:10]
    return render(request, "restore_data.html", {"form": form, "recent": recent})


@require_http_methods(["GET", "HEAD", "POST"])
@role_required(["root"])
def preview_restore_view(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """What restoring would do, line by line; a POST decides, changes the strategy, or has it all compared again."""
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
    """Apply the preview as the person saw it; a GET leads back to it."""
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
    """What is applied is what the person saw, not what another tab made of it since."""
    if request.POST.get("version") != str(preview.version):
        raise OperationFailed(
            _(
                "Something was decided in another tab or by somebody else since this page was loaded. "
                "Nothing was changed. Look at it again as it is now."
            )
        )


def _decide(request: HttpRequest, preview: StoredPreview) -> HttpResponse:
    data = request.POST
    if "strategy" in data and data["strategy"] in list(Strategy):
        preview.choose(Strategy(data["strategy"]))
    elif one := _one_decided(data):
        preview.decide(one.side, item=one.item, unit=one.unit)
    elif data.get("side") in ("ours", "theirs", "none"):
        side, scope = None if data["side"] == "none" else Side(data["side"]), data.get("scope")
        if scope in ("filtered", "chosen"):
            if scope == "filtered" and not PreviewFilterForm(data).is_valid():
                raise OperationFailed(_("The filter cannot be read. Nothing was decided. Correct it first."))
            chosen = _filter(data) if scope == "filtered" else Filter(company=data.get("of_company", ""))
            n = preview.decide(side, unit=data.get("unit" if scope == "filtered" else "of_unit", ""), chosen=chosen)
            messages.success(request, _many(side, n))
    return redirect(_back(request, preview.pk))


class _One(NamedTuple):
    """A decision about one line: in all of its units or in one."""

    side: Side
    item: int
    unit: str


def _one_decided(data: QueryDict) -> _One | None:
    """What a line's button says, ``SIDE LINE`` or ``SIDE LINE UNIT``; None where none was pressed."""
    match data.get("decide", "").split(" "):
        case [Side.OURS | Side.THEIRS as side, line, *unit] if len(unit) < 2 and (item := _number(line)) is not None:
            return _One(Side(side), item, "".join(unit))
    return None


def _number(text: str) -> int | None:
    """The number of a line; None for what cannot be one."""
    return int(text) if text.isdecimal() and len(text) < 19 else None


def _many(side: Side | None, n: int) -> str:
    if side is None:
        return ngettext("%(n)d decision was taken back.", "%(n)d decisions were taken back.", n) % {"n": n}
    if side is Side.OURS:
        return ngettext("%(n)d difference: this server’s is kept.", "%(n)d differences: this server’s are kept.", n) % {
            "n": n
        }
    return ngettext("%(n)d difference: the backup’s is taken.", "%(n)d differences: the backup’s are taken.", n) % {
        "n": n
    }


def _filter(data: Any) -> Filter:
    form = PreviewFilterForm(data)
    form.is_valid()
    values = {name: str(form.cleaned_data.get(name) or "") for name in FILTER_FIELDS}
    return Filter(**values, undecided=bool(form.cleaned_data.get("undecided")))


def _back(request: HttpRequest, pk: uuid.UUID) -> str:
    """The preview with the filter and place that the form carries, at the line that was decided."""
    names = (*FILTER_FIELDS, "undecided", "after", "before")
    kept = {name: request.POST[name] for name in names if request.POST.get(name)}
    one = _one_decided(request.POST)
    at = "#lines" if one or "scope" in request.POST else ""
    if one and "undecided" not in kept:  # else it is not among the lines any more
        at = f"#line-{one.item}"
    return f"{reverse('preview_restore', kwargs={'pk': pk})}?{urlencode(kept)}{at}"


def _shown(request: HttpRequest, preview: StoredPreview) -> dict[str, Any]:
    form = PreviewFilterForm(request.GET)
    chosen = _filter(request.GET)
    place = {name: at for name in ("after", "before") if (at := _number(request.GET.get(name, ""))) is not None}
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
        "place": place,
        "page": page,
        "here": here,
        "is_own": preview.origin.installation == str(here.id),
        "units": UNITS,
        "company_names": preview.conflicting_companies() if manual else [],
        "counts": [(_("Attendance records"), counts["attendance_records"]), (_("Companies"), counts["companies"])],
        "companies": preview.companies(),
        "manual": manual,
        "can_decide": manual and preview.conflicting and not preview.applying,
        "undecided": preview.undecided if manual else 0,
        "conflicting": preview.conflicting,
        "differing": preview.count(Filter(kind="conflict"))[0],
        "strategies": STRATEGIES,
    }
