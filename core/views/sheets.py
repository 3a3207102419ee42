"""Sheets in and out: import (send, look, decide) and export."""

from __future__ import annotations

from tempfile import TemporaryFile
from typing import cast
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.files.storage import storages
from django.core.paginator import Paginator
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from core.decorators import role_required
from core.filters import AttendanceFilter
from core.models import AttendanceQuerySet, Role, UploadLog, User
from core.services import export, uploads
from core.services.sheet_columns import COLUMNS

_CSV = "text/csv; charset=utf-8"
_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_PER_PAGE = 50

editors_only = role_required([Role.ROOT, Role.ADMIN])


@require_http_methods(["GET", "POST"])
@editors_only
def upload_view(request: HttpRequest) -> HttpResponse:
    """Send a sheet: it is checked, and its page says what importing it would do."""
    assert isinstance(request.user, User)
    error = ""
    if request.method == "POST":
        file = request.FILES.get("file")
        if file is not None:
            return redirect("upload_detail", uploads.receive(request.user, file).pk)
        error = _("Choose a file first.")
    context = {"columns": COLUMNS, "error": error, "is_root": request.user.role == Role.ROOT}
    return render(request, "upload.html", context)


@require_GET
@editors_only
def upload_template_view(request: HttpRequest) -> HttpResponse:
    """A sheet with the headings and an example row."""
    return HttpResponse(export.template(), content_type=_CSV, headers=_attachment("attendance-template.csv"))


@require_GET
@editors_only
def upload_logs_view(request: HttpRequest) -> HttpResponse:
    """The sheets that were sent: all for root, the own company's for an administrator."""
    page = Paginator(UploadLog.objects.visible_to(request.user), _PER_PAGE).get_page(request.GET.get("page"))
    for upload in page:
        uploads.settled(upload)
    return render(request, "upload_logs.html", {"page": page})


@require_GET
@editors_only
def upload_detail_view(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One sheet: its check, the preview and the decision, what became of it."""
    upload = uploads.settled(_upload(request, pk))
    summary = upload.summary
    changes = summary.get("changes", [])
    return render(
        request,
        "upload_detail.html",
        {
            "upload": upload,
            "summary": summary,
            "problems": summary.get("problems", []),
            "companies": [change["key"][0] for change in changes if change["kind"] == "company"],
            "changes": [change for change in changes if change["kind"] != "company"],
            "percent": 100 * upload.done // upload.total if upload.total else None,
            "to_import": summary.get("added", 0) + summary.get("updated", 0),
        },
    )


@require_POST
@editors_only
def upload_apply_view(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Import what the preview showed."""
    assert isinstance(request.user, User)
    uploads.decide(_upload(request, pk), request.user)
    return redirect("upload_detail", pk)


@require_POST
@editors_only
def upload_cancel_view(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Stop a running import, or put a preview away."""
    uploads.cancel(_upload(request, pk))
    return redirect("upload_detail", pk)


@require_GET
@editors_only
def upload_refused_view(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    """The refused rows, to correct and send again."""
    upload = _upload(request, pk)
    if not upload.refused_file:
        raise Http404
    name = f"{upload.filename.rpartition('.')[0] or upload.filename}-refused.csv"
    return FileResponse(
        storages["uploads"].open(upload.refused_file), as_attachment=True, filename=name, content_type=_CSV
    )


@require_GET
@login_required
def attendance_export_view(request: HttpRequest) -> HttpResponseBase:
    """What the list shows, as ``?format=csv`` (streamed) or ``xlsx``."""
    records = _listed(request)
    stamp = f"{timezone.localtime():%Y%m%d_%H%M%S}"
    if request.GET.get("format") != "xlsx":
        headers = _attachment(f"attendance_{stamp}.csv")
        return StreamingHttpResponse(export.csv_chunks(records), content_type=_CSV, headers=headers)
    out = TemporaryFile()  # noqa: SIM115 - FileResponse closes it
    try:
        export.write_xlsx(records, out)
    except export.TooManyRows as error:
        out.close()
        messages.error(request, str(error))
        filters = request.GET.copy()
        del filters["format"]
        return redirect(f"{reverse('attendance_list')}?{filters.urlencode()}")
    out.seek(0)
    return FileResponse(out, as_attachment=True, filename=f"attendance_{stamp}.xlsx", content_type=_XLSX)


def _upload(request: HttpRequest, pk: UUID) -> UploadLog:
    upload = UploadLog.objects.visible_to(request.user).filter(pk=pk).first()
    if upload is None:
        raise Http404
    return upload


def _attachment(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"'}


def _listed(request: HttpRequest) -> AttendanceQuerySet:
    """What the person's list holds with these filters, in its order."""
    return AttendanceFilter(request.GET, user=cast(User, request.user)).rows()
