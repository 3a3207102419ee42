"""The pages that import sheets (upload, preview, decide) and export them."""

from __future__ import annotations

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

from core.models import JOBS, Operation, Role, UploadLog
from core.operations import recovery
from core.operations.errors import OperationFailed
from core.register.database import DEFAULT
from core.restores.undo import offer
from core.sheets import export, export_jobs, uploads
from core.sheets.columns import COLUMNS
from core.sheets.dates import DateOrder
from core.sheets.spreadsheets import too_large
from core.web.bodies import takes_files
from core.web.decorators import role_required
from core.web.filters import AttendanceFilter
from core.web.views.failures import because_of
from core.web.views.operations import undoings_for
from core.web.views.request import signed_in

_CSV = "text/csv; charset=utf-8"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_PER_PAGE = 50

EDITORS = [Role.ROOT, Role.ADMIN]
editors_only = role_required(EDITORS)


def _too_large(request: HttpRequest) -> HttpResponse:
    return _upload_page(request, str(too_large()), status=413)


@require_http_methods(["GET", "HEAD", "POST"])
@takes_files(EDITORS, "MUSTER_MAX_SHEET_UPLOAD_BYTES", _too_large)
def upload_view(request: HttpRequest) -> HttpResponse:
    """The page that uploads a sheet. A POST queues its check; the sheet's page then shows what an import would do."""
    if request.method != "POST":
        return _upload_page(request)
    file = request.FILES.get("file")
    if file is None:
        return _upload_page(request, _("Choose a file first."))
    try:
        upload = uploads.receive(signed_in(request), file)
    except OperationFailed as failure:
        return because_of(failure, _upload_page(request, str(failure), status=409))
    return redirect("upload_detail", upload.pk)


def _upload_page(request: HttpRequest, error: str = "", status: int = 200) -> HttpResponse:
    context = {"columns": COLUMNS, "error": error, "is_root": signed_in(request).role == Role.ROOT}
    return render(request, "upload.html", context, status=status)


@require_GET
@editors_only
def upload_template_view(request: HttpRequest) -> HttpResponse:
    """A sheet with the headings and an example row, as CSV."""
    return HttpResponse(export.template(), content_type=_CSV, headers=attachment("attendance-template.csv"))


@require_GET
@editors_only
def upload_logs_view(request: HttpRequest) -> HttpResponse:
    """The import log: the sheets that were uploaded; for an administrator those of the own company."""
    recovery.settle_accounts()
    page = Paginator(UploadLog.objects.visible_to(request.user), _PER_PAGE).get_page(request.GET.get("page"))
    return render(request, "upload_logs.html", {"page": page})


@require_GET
@editors_only
def upload_detail_view(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The page of one sheet: its check, its preview with the decision, its outcome."""
    recovery.settle_accounts()
    upload = _upload(request, pk)
    operation, summary = upload.operation, upload.summary
    is_imported = upload.stage == upload.Stage.IMPORTED
    return render(
        request,
        "upload_detail.html",
        {
            "upload": upload,
            "summary": summary,
            "problems": summary.get("problems", []),
            "changes": summary.get("changes", []),
            "percent": min(100, 100 * operation.done // operation.total) if operation.total else None,
            "no_worker": upload.is_waiting and recovery.is_overdue(operation.task_id),
            "operation": operation,
            "undone": undoings_for(signed_in(request), operation.pk) if is_imported else [],
            "undo": offer(operation.pk, signed_in(request), DEFAULT) if is_imported else None,
        },
    )


@require_POST
@editors_only
def upload_apply_view(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Queues the import of the sheet as its preview shows it."""
    try:
        uploads.decide(_upload(request, pk), signed_in(request))
    except OperationFailed as error:
        messages.error(request, str(error))
    return redirect("upload_detail", pk)


@require_POST
@editors_only
def upload_again_view(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Queues another check of a sheet that failed through no fault of its own."""
    try:
        uploads.try_again(_upload(request, pk), signed_in(request))
    except OperationFailed as error:
        messages.error(request, str(error))
    return redirect("upload_detail", pk)


@require_POST
@editors_only
def upload_dates_view(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Queues another check of the sheet, with its dates read in the other order."""
    upload = _upload(request, pk)
    order = request.POST.get("order")
    if order in [known.value for known in DateOrder]:
        try:
            uploads.read_dates(upload, signed_in(request), DateOrder(order))
        except OperationFailed as error:
            messages.error(request, str(error))
    return redirect("upload_detail", pk)


@require_POST
@editors_only
def upload_cancel_view(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Stops a running import, or puts a preview away."""
    uploads.cancel(_upload(request, pk))
    return redirect("upload_detail", pk)


@require_GET
@editors_only
def upload_refused_view(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    """The refused rows as CSV, to correct and upload again. Raises Http404 if there are none."""
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
    """The records that the list shows, as CSV. If a filter is not valid, it leads to the list, which says so."""
    filters = AttendanceFilter(request.GET, user=signed_in(request))
    if not filters.is_valid():
        return redirect(_list_with(request))
    headers = attachment(f"attendance_{timezone.localtime():%Y%m%d_%H%M%S}.csv")
    return StreamingHttpResponse(export.csv_chunks(filters.rows()), content_type=_CSV, headers=headers)


@require_POST
@login_required
def export_workbook_view(request: HttpRequest) -> HttpResponse:
    """Queues a workbook (XLSX) of the records that the list shows. The operation's page says when it is ready."""
    user = signed_in(request)
    if open_export := export_jobs.open_export(user):
        messages.warning(request, _("You have an export that is not done yet. Wait for it, or cancel it."))
        return redirect("operation", pk=open_export.pk)
    filters = AttendanceFilter(request.GET, user=user)
    if not filters.is_valid():
        return redirect(_list_with(request))
    try:
        operation = export_jobs.submit_export(user, request.GET.urlencode(), filters.rows())
    except export.TooManyRows as error:
        messages.error(request, str(error))
        return redirect(_list_with(request))
    return redirect("operation", pk=operation.pk)


@require_GET
@login_required
def exported_workbook_view(request: HttpRequest, pk: UUID) -> FileResponse:
    """The workbook that an export has written. Raises Http404 unless it exists and this account asked for it."""
    operation = Operation.objects.using(JOBS).filter(pk=pk).first()
    file = operation and export_jobs.file_of(operation, signed_in(request))
    if operation is None or file is None:
        raise Http404
    name = f"attendance_{timezone.localtime(operation.started_at):%Y%m%d_%H%M%S}.xlsx"
    return FileResponse(file, as_attachment=True, filename=name, content_type=XLSX)


def _upload(request: HttpRequest, pk: UUID) -> UploadLog:
    upload = UploadLog.objects.visible_to(request.user).filter(pk=pk).first()
    if upload is None:
        raise Http404
    return upload


def attachment(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"'}


def _list_with(request: HttpRequest) -> str:
    """The address of the list with the same filters."""
    return f"{reverse('attendance_list')}?{request.GET.urlencode()}"
