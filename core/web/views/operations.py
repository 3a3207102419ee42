"""The page of each operation, which stays, and the backup log."""

from __future__ import annotations

import datetime as dt
import logging
import uuid
from collections.abc import Mapping
from typing import Any, Final

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from core.models import JOBS, Backup, BackupLog, Kind, Operation, Role, User
from core.operations import queue as jobs
from core.operations import recovery
from core.operations.traits import label_of, phase_label
from core.operations.wording import SECTIONS, by_section
from core.preview import changes as preview_changes
from core.preview import folders as preview_folders
from core.restores import jobs as restore_jobs
from core.sheets import export_jobs
from core.web.decorators import role_required
from core.web.forms.backups import BackupLogFilterForm
from core.web.views.request import signed_in
from recordsync.errors import FileError

logger = logging.getLogger(__name__)

_LOGS_ON_A_PAGE = 50
_SECTIONS: Final[Mapping[str, str]] = {
    Kind.BACKUP_FULL: "backup_data",
    Kind.BACKUP_INCREMENTAL: "backup_data",
    Kind.VERIFY: "backup_data",
    Kind.CHECK: "restore_data",
    Kind.RESTORE: "restore_data",
    Kind.EXPORT: "attendance_list",
}
"""The entry of the navigation that the page of an operation belongs to, by kind."""


@require_safe
@role_required(Role.values)
def operation_view(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """The page of an operation: its progress, then its outcome. htmx updates it; without scripts it reloads."""
    recovery.settle_accounts()
    operation = _own_operation(request, pk)
    context = _context_of(operation)
    if operation.kind == Kind.EXPORT:
        context |= _context_of_export(operation, signed_in(request))
    if request.headers.get("HX-Request"):
        return render(request, "partials/operation.html", context)
    return render(request, "operation.html", context)


@require_POST
@role_required(Role.values)
def cancel_operation_view(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    jobs.cancel(_own_operation(request, pk))
    return redirect("operation", pk=pk)


@require_safe
@role_required(["root"])
def operation_changes_view(request: HttpRequest, pk: uuid.UUID) -> HttpResponseBase:
    """The list of the changes that a restore made, as compressed JSON lines. Raises Http404 if there is none."""
    operation = _operation(pk)
    path = preview_changes.changes_file(operation.pk)
    if operation.state != Operation.State.SUCCEEDED or not path.is_file():
        raise Http404
    return FileResponse(path.open("rb"), as_attachment=True, filename=f"restore_changes_{operation.pk}.jsonl.gz")


@require_safe
@role_required(["root"])
def operation_errors_view(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """All that was wrong with a file, as JSON, in the form of the command's summary."""
    operation = _operation(pk)
    errors = {name: operation.result.get(name) for name in ("errors", "error_count")}
    headers = {"Content-Disposition": f'attachment; filename="errors_{operation.pk}.json"'}
    return JsonResponse(errors, headers=headers, json_dumps_params={"indent": 2, "ensure_ascii": False})


@require_safe
@role_required(["root"])
def backup_log_view(request: HttpRequest) -> HttpResponse:
    """The backup log: the audit rows, filtered."""
    recovery.settle_accounts()
    form = BackupLogFilterForm(request.GET)
    rows = BackupLog.objects.all()
    if form.is_valid():
        chosen = form.cleaned_data
        if chosen["operation"]:
            rows = rows.filter(operation=chosen["operation"])
        if chosen["actor"]:
            rows = rows.filter(actor_name=chosen["actor"])
        if chosen["result"]:
            rows = rows.filter(success=chosen["result"] == "success")
        if chosen["date_from"]:
            rows = rows.filter(created_at__gte=_start_of(chosen["date_from"]))
        if chosen["date_to"]:
            rows = rows.filter(created_at__lt=_start_of(chosen["date_to"] + dt.timedelta(days=1)))
    page = Paginator(rows, _LOGS_ON_A_PAGE).get_page(request.GET.get("page"))
    ended = Operation.objects.using(JOBS).filter(
        pk__in=[row.operation_id for row in page], state=Operation.State.SUCCEEDED
    )
    seconds = {operation.pk: operation.seconds for operation in ended}
    for row in page:  # as on its own page: the audit row does not include its own commit
        row.duration = seconds.get(row.operation_id, row.duration)
    return render(request, "backup_logs.html", {"form": form, "page": page})


def _start_of(day: dt.date) -> dt.datetime:
    return timezone.make_aware(dt.datetime.combine(day, dt.time()))


def _operation(pk: uuid.UUID) -> Operation:
    operation = Operation.objects.using(JOBS).filter(pk=pk).first()
    if operation is None:
        raise Http404
    return operation


def _own_operation(request: HttpRequest, pk: uuid.UUID) -> Operation:
    """The operation. Raises PermissionDenied unless the person is root or asked for it and it is an export."""
    user = signed_in(request)
    if user.role != Role.ROOT:
        own = Operation.objects.using(JOBS).filter(pk=pk, kind=Kind.EXPORT, actor_id=user.pk)
        if not own.exists():
            logger.warning("%s (%s) was refused: %s %s", user.get_username(), user.role, request.method, request.path)
            raise PermissionDenied
    return _operation(pk)


def _context_of_export(operation: Operation, user: User) -> dict[str, Any]:
    """What the page of an export shows in addition."""
    file = export_jobs.file_of(operation, user)
    if file is not None:
        file.close()
    return {
        "has_file": file is not None,
        "list_url": f"{reverse('attendance_list')}?{operation.parameters.get('filters', '')}",
    }


def _context_of(operation: Operation) -> dict[str, Any]:
    """What the page of every operation shows."""
    in_phase = (
        operation.heartbeat_at - operation.phase_started_at
    ).total_seconds()  # up to the last report of progress
    rate = operation.done / in_phase if in_phase >= 1 else 0.0
    left = (operation.total - operation.done) / rate if rate and operation.total else None
    is_open = operation.state in jobs.OPEN
    succeeded = operation.state == Operation.State.SUCCEEDED
    waiting = operation.state == Operation.State.WAITING
    again = operation.kind == Kind.RESTORE and not is_open and not succeeded
    try_again = operation.parameters.get("preview") if again else None
    backup = None
    if succeeded and operation.result.get("id"):
        backup = Backup.objects.filter(pk=operation.result["id"]).first()
    return {
        "operation": operation,
        "title": label_of(operation.kind),
        "phase": phase_label(operation.phase),
        "is_open": is_open,
        "section": _SECTIONS.get(operation.kind),
        "wizard_step": _wizard_step(operation, is_open=is_open),
        "succeeded": succeeded,
        "waiting": waiting,
        "no_worker": waiting and recovery.is_overdue(operation.task_id),
        "rate": rate,
        "left": left,
        "percent": min(100, 100 * operation.done // operation.total) if operation.total else None,
        "log": BackupLog.objects.filter(operation_id=operation.pk).first(),
        "has_changes": succeeded and preview_changes.changes_file(operation.pk).is_file(),
        "preview_ready": operation.kind == Kind.CHECK
        and succeeded
        and preview_folders.folder_of(operation.pk).is_dir(),
        "try_again": try_again,
        "decided": restore_jobs.decided(uuid.UUID(try_again)) if try_again else 0,
        "problems": by_section(FileError(**error) for error in operation.result.get("errors", [])),
        "backup": backup,
        "models": [
            (SECTIONS.get(name, name), counts) for name, counts in reversed(operation.result.get("models", {}).items())
        ]
        if operation.kind == Kind.RESTORE
        else [],
    }


def _wizard_step(operation: Operation, *, is_open: bool) -> int | None:
    """The step of the restore wizard that the page shows; None if it belongs to no wizard."""
    if operation.kind == Kind.CHECK:
        return 2
    return (4 if is_open else 5) if operation.kind == Kind.RESTORE and "preview" in operation.parameters else None


def failed(request: HttpRequest, error: Exception) -> None:
    """Show the person a sentence that says what failed, and log who asked for what."""
    logger.warning("%s %s by %s: %s", request.method, request.path, request.user.get_username(), error)
    messages.error(request, str(error))
