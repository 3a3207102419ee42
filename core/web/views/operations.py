"""The page of each operation, which stays, and the backup log."""

from __future__ import annotations

import datetime as dt
import logging
import uuid
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, NoReturn

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from core.models import JOBS, Backup, BackupLog, Installation, Kind, Operation, Role, User
from core.operations import queue as jobs
from core.operations import recovery
from core.operations.closed import choice_in, decision_in
from core.operations.errors import OperationFailed
from core.operations.run import Actor
from core.operations.traits import WRITERS, label_of, phase_label
from core.operations.wording import by_section
from core.preview import changes as preview_changes
from core.preview import folders as preview_folders
from core.register.database import DEFAULT
from core.restores import jobs as restore_jobs
from core.restores.incoming import BaseChoice, Helps
from core.restores.jobs import Comes
from core.restores.undo import How, offer, undo_of, undoable, undone_by
from core.sheets import export_jobs
from core.web import merges
from core.web.decorators import role_required
from core.web.forms.backups import BackupLogFilterForm
from core.web.views.request import signed_in
from recordsync.errors import FileError
from recordsync.history.relation import Kinship
from recordsync.merge import Strategy

logger = logging.getLogger(__name__)

_LOGS_ON_A_PAGE = 50
_SECTIONS: Final[Mapping[str, str]] = {
    Kind.BACKUP_FULL: "backup_data",
    Kind.BACKUP_INCREMENTAL: "backup_data",
    Kind.VERIFY: "backup_data",
    Kind.CHECK: "restore_data",
    Kind.RESTORE: "restore_data",
    Kind.UNDO: "history",
    Kind.EXPORT: "attendance_list",
    Kind.BULK_EDIT: "attendance_list",
    Kind.CLOSE_MONTH: "roll",
    Kind.REOPEN_MONTH: "roll",
}
"""The entry of the navigation that the page of an operation belongs to, by kind."""


@require_safe
@role_required(Role.values)
def operation_view(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """The page of an operation: its progress, then its outcome. htmx updates it; without scripts it reloads."""
    recovery.settle_accounts()
    operation = own_operation(request, pk)
    context = _context_of(operation, signed_in(request))
    if operation.kind == Kind.EXPORT:
        context |= _context_of_export(operation, signed_in(request))
    if request.headers.get("HX-Request"):
        return render(request, "partials/operation.html", context)
    return render(request, "operation.html", context)


@require_POST
@role_required(Role.values)
def cancel_operation_view(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    jobs.cancel(own_operation(request, pk))
    return redirect("operation", pk=pk)


@require_POST
@role_required([Role.ROOT, Role.ADMIN])
def undo_operation_view(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Queues the check of what undoes an operation, as one of its buttons says. A preview follows."""
    user, how = signed_in(request), request.POST.get("how", "")
    try:
        move = undoable(DEFAULT, pk, user=user)
        undo = undo_of(move, DEFAULT, How(how) if how in list(How) else None)
        operation = restore_jobs.submit_check(Actor.of(user), Strategy.MANUAL, undo=undo)
    except OperationFailed as error:
        if user.role != Role.ROOT:
            refuse(request)
        failed(request, error)
        return redirect("history")
    return redirect("operation", pk=operation.pk)


@require_POST
@role_required([Role.ROOT])
def check_again_view(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Queues a check of what a check or a preview was of: without a base, with one, or to merge it."""
    chosen: dict[str, dict[str, Any]] = {
        Helps.NO_BASE: {"base": BaseChoice.NONE},
        Helps.MERGE: {},
    }
    checked = _operation(pk)
    if checked.kind == Kind.CHECK and (choice := chosen.get(request.POST.get("with", ""))) is not None:
        try:
            again = restore_jobs.again_with(Actor.of(signed_in(request)), checked.pk, **choice)
            return redirect("operation", pk=again.pk)
        except OperationFailed as error:
            failed(request, error)
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


def own_operation(request: HttpRequest, pk: uuid.UUID) -> Operation:
    """The operation. Raises PermissionDenied unless the person is root, or asked for it and it is an export, a bulk
    edit, or the undo of an own change; Http404 if root asks for one that is not there."""
    user = signed_in(request)
    if user.role == Role.ROOT:
        return _operation(pk)
    own = Operation.objects.using(JOBS).filter(pk=pk, actor_id=user.pk).first()
    if own is None or not (own.kind in (Kind.EXPORT, Kind.BULK_EDIT) or restore_jobs.may_see(user, own)):
        refuse(request)
    return own


def refuse(request: HttpRequest) -> NoReturn:
    """Raises PermissionDenied, and logs who was refused what."""
    user = signed_in(request)
    logger.warning("%s (%s) was refused: %s %s", user.get_username(), user.role, request.method, request.path)
    raise PermissionDenied


def _context_of_export(operation: Operation, user: User) -> dict[str, Any]:
    """What the page of an export shows in addition."""
    file = export_jobs.file_of(operation, user)
    if file is not None:
        file.close()
    return {
        "has_file": file is not None,
        "list_url": f"{reverse('attendance_list')}?{operation.parameters.get('filters', '')}",
    }


def _context_of(operation: Operation, user: User) -> dict[str, Any]:
    """What the page of every operation shows."""
    is_root = user.role == Role.ROOT
    is_offered = is_root or operation.kind == Kind.BULK_EDIT
    in_phase = (
        operation.heartbeat_at - operation.phase_started_at
    ).total_seconds()  # up to the last report of progress
    rate = operation.done / in_phase if in_phase >= 1 else 0.0
    left = (operation.total - operation.done) / rate if rate and operation.total else None
    is_open = operation.state in jobs.OPEN
    succeeded = operation.state == Operation.State.SUCCEEDED
    waiting = operation.state == Operation.State.WAITING
    again = operation.kind in (Kind.RESTORE, Kind.UNDO) and not is_open and not succeeded
    try_again = operation.parameters.get("preview") if again else None
    backup = None
    if succeeded and operation.result.get("id"):
        backup = Backup.objects.filter(pk=operation.result["id"]).first()
    return {
        "operation": operation,
        "title": _title(operation),
        "is_root": is_root,
        "comes": restore_jobs.what_comes(operation),
        "undone": undoings_for(user, operation.pk) if succeeded and operation.kind in WRITERS else [],
        "undo": offer(operation.pk, user, DEFAULT) if is_offered and succeeded and operation.kind in WRITERS else None,
        "phase": phase_label(operation.phase),
        "is_open": is_open,
        "section": _section(operation, is_root=is_root),
        "wizard_step": _wizard_step(operation, is_open=is_open),
        "succeeded": succeeded,
        "waiting": waiting,
        "no_worker": waiting and recovery.is_overdue(operation.task_id),
        "rate": rate,
        "left": left,
        "percent": min(100, 100 * operation.done // operation.total) if operation.total else None,
        "log": BackupLog.objects.filter(operation_id=operation.pk).first(),
        "has_changes": is_root and succeeded and preview_changes.changes_file(operation.pk).is_file(),
        "preview_ready": operation.kind == Kind.CHECK
        and succeeded
        and preview_folders.folder_of(operation.pk).is_dir(),
        "try_again": try_again,
        "decided": restore_jobs.decided(uuid.UUID(try_again)) if try_again else 0,
        "problems": by_section(FileError(**error) for error in operation.result.get("errors", [])),
        "backup": backup,
        **_what_it_did(operation, is_root=is_root),
    }


class Undoing(NamedTuple):
    """An undo of something, or of an undo. ``how``: its button; ``is_linked``: whether the person may see its page."""

    operation: Operation
    how: How
    is_linked: bool


def undoings_for(user: User, operation: uuid.UUID) -> list[Undoing]:
    """What a page tells a person of an operation that was undone: its undo, the undo of that, and so on."""
    found = []
    for one in undone_by(operation, DEFAULT):
        how = restore_jobs.how_undone(one)
        assert how is not None  # it is an undo
        found.append(Undoing(one, how, restore_jobs.may_see(user, one)))
    return found


def _title(operation: Operation) -> str:
    """The heading of an operation's page."""
    if operation.kind == Kind.CHECK:
        match restore_jobs.what_comes(operation):
            case Comes.UNDO:
                return _("Checking what an undo would change")
            case Comes.SNAPSHOT:
                return _("Checking a snapshot")
    if operation.kind == Kind.UNDO and (how := restore_jobs.how_undone(operation)):
        return f"{label_of(operation.kind)}: {how.label}"
    return label_of(operation.kind)


def _section(operation: Operation, *, is_root: bool) -> str | None:
    """The entry of the navigation that the page belongs to; None: to none."""
    if not is_root and operation.kind not in (Kind.EXPORT, Kind.BULK_EDIT):
        return "upload_logs"
    if operation.kind == Kind.CHECK and restore_jobs.what_comes(operation) is not Comes.FILE:
        return "history"
    return _SECTIONS.get(operation.kind)


def _what_it_did(operation: Operation, *, is_root: bool) -> dict[str, Any]:
    """What the page of a restore or an undo that is done shows of what was merged; blank for others, and where nothing
    is known."""
    models = merges.counts_in(operation.result.get("models", {}))
    if operation.kind not in (Kind.RESTORE, Kind.UNDO) or not models:
        return {}
    base = operation.result.get("base", {})
    told = merges.Told(
        comes=restore_jobs.what_comes(operation),
        origin=operation.result.get("origin", ""),
        is_own=operation.result.get("installation") == str(Installation.without_writing().id),
        is_exact=base.get("is_exact", False),
        models=models,
        strategy=Strategy(operation.result["strategy"]),
        kinship=Kinship(base["kinship"]) if base.get("kinship") else None,
        is_whole=is_root,
        closed=choice_in(operation.result),
    )
    return {
        "told": told,
        "closed_months": decision_in(operation.result),
        "clauses": told.clauses(is_done=True),
        "why": base.get("why", ""),
        "rows": merges.rows(models),
    }


def _wizard_step(operation: Operation, *, is_open: bool) -> int | None:
    """The step of the restore wizard that the page shows; None if it belongs to no wizard."""
    if operation.kind == Kind.CHECK:
        return 2
    return (
        (4 if is_open else 5)
        if operation.kind in (Kind.RESTORE, Kind.UNDO) and "preview" in operation.parameters
        else None
    )


def failed(request: HttpRequest, error: Exception) -> None:
    """Show the person a sentence that says what failed, and log who asked for what."""
    logger.warning("%s %s by %s: %s", request.method, request.path, request.user.get_username(), error)
    messages.error(request, str(error))
