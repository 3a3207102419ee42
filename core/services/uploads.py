"""Sheets that people send through the pages: kept, checked, decided, imported; large ones in the background."""

from __future__ import annotations

import datetime as dt
import logging
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import PurePath
from tempfile import TemporaryFile
from typing import Any, BinaryIO, Final, cast

from django.core.files import File
from django.core.files.storage import storages
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django_tasks import task

from core.models import Operation, Role, UploadLog, User
from core.register import ATTENDANCE_RECORDS
from core.services import operations
from core.services.errors import DataMoved, OperationFailed, SheetRefused
from core.services.import_service import ImportPreview, ImportService, Outcome, write_refused
from core.services.operations import JOBS
from core.services.sheet_columns import COLUMNS
from core.services.spreadsheets import unpacked_size
from core.services.stored_preview import ABANDONED
from recordsync import locks
from recordsync.progress import Progress

logger = logging.getLogger(__name__)

IN_REQUEST_BYTES: Final = 256 * 1024
"""Larger sheets, unpacked, are checked and imported in the background."""

KEPT_DAYS: Final = 14
"""How long a sheet that nobody decides about, and refused rows, are kept."""

_CHANGES_KEPT: Final = 100
_SECONDS_BETWEEN_WRITES: Final = 1.0
_HEADINGS: Final = {column.field: column.heading for column in COLUMNS}

State = UploadLog.State


def receive(user: User, file: File[bytes]) -> UploadLog:
    """Keep a sheet and check it, now or in the background. Never raises for what is wrong with it: its row says so.

    Raises OperationFailed for who may not import.
    """
    ImportService(user=user)
    sweep()
    upload = UploadLog(
        actor_id=user.pk,
        actor_name=user.get_username(),
        company_id=None if user.role == Role.ROOT else user.company_id,
        filename=PurePath(file.name or "sheet").name[-255:],
        size=file.size,
    )
    upload.file = storages["uploads"].save(f"{upload.pk}.sheet", file)
    upload.save()
    logger.info("%s sent the sheet %s (%s bytes)", user.get_username(), upload.pk, upload.size)
    _do(upload, user, _check, check_upload)
    return upload


def decide(upload: UploadLog, user: User) -> None:
    """Import what was previewed, now or in the background. What somebody else decided already is left alone."""
    with transaction.atomic(using=JOBS):
        waiting = UploadLog.objects.filter(pk=upload.pk, state=State.CHECKED)
        if not waiting.update(state=State.QUEUED, message="", done=0, total=None):
            return
    upload.refresh_from_db()
    _do(upload, user, _apply, apply_upload)


def cancel(upload: UploadLog) -> None:
    """Ask a running import to stop: it changes nothing then. What has not begun, or is not decided, is put away."""
    if upload.operation_id is not None:
        Operation.objects.using(JOBS).filter(pk=upload.operation_id).update(cancel_requested=True)
    discarded = {
        "state": State.PUT_AWAY,
        "message": _("It was put away. Nothing was changed."),
        "finished_at": timezone.now(),
    }
    idle = [State.WAITING, State.CHECKED, State.QUEUED]
    if UploadLog.objects.filter(pk=upload.pk, state__in=idle).update(**discarded):
        upload.refresh_from_db()
        _forget_file(upload)


def settled(upload: UploadLog) -> UploadLog:
    """The row, with the truth about work whose process died."""
    if upload.state in (State.CHECKING, State.APPLYING) and locks.is_free(_lock(upload), JOBS):
        upload.refresh_from_db()
        if upload.state in (State.CHECKING, State.APPLYING):
            operations.settle_accounts()
            done = {"pk": upload.operation_id, "outcome": Operation.Outcome.SUCCEEDED}
            if upload.operation_id is not None and Operation.objects.using(JOBS).filter(**done).exists():
                _finish(upload, State.IMPORTED)
            else:
                _finish(upload, State.FAILED, _("The process was killed before it finished. Nothing was changed."))
    return upload


# --- Background


@task()
def check_upload(upload_id: str, user_id: int) -> None:
    """A worker checks a sheet."""
    _in_background(upload_id, user_id, _check, State.WAITING)


@task()
def apply_upload(upload_id: str, user_id: int) -> None:
    """A worker imports a sheet."""
    _in_background(upload_id, user_id, _apply, State.QUEUED)


Work = Callable[[UploadLog, User], None]


def _in_background(upload_id: str, user_id: int, work: Work, begins: State) -> None:
    upload = UploadLog.objects.filter(pk=uuid.UUID(upload_id), state=begins).first()
    if upload is None:  # it was put away
        return
    user = User.objects.filter(pk=user_id).first()
    if user is None:
        _finish(upload, State.FAILED, _("The account that asked for it is gone. Nothing was changed."))
    else:
        work(upload, user)


def _do(upload: UploadLog, user: User, work: Work, job: Any) -> None:
    if _size_to_read(upload) <= IN_REQUEST_BYTES:
        work(upload, user)
    else:
        arguments = (str(upload.pk), user.pk)
        transaction.on_commit(lambda: job.enqueue(*arguments), using=JOBS)


def _size_to_read(upload: UploadLog) -> int:
    try:
        with storages["uploads"].open(upload.file) as sheet:
            return unpacked_size(cast(BinaryIO, sheet.file))
    except (SheetRefused, OSError):
        return 0  # whoever reads it will say why


def _check(upload: UploadLog, user: User) -> None:
    with _at_work(upload, State.CHECKING) as progress, storages["uploads"].open(upload.file) as sheet:
        named = File(sheet.file, upload.filename)  # as it was sent: its name says what it should be
        with ImportService(user=user).preview(named, progress_callback=progress) as preview:
            upload.plan = preview.plan_digest
            upload.summary = {**counts(preview), **_details(preview), "changes": list(_changes(preview))}
            _keep_refused(upload, sheet, preview)
        upload.state = State.CHECKED


def _apply(upload: UploadLog, user: User) -> None:
    def begun(operation: uuid.UUID) -> None:
        upload.operation_id = operation
        upload.save(update_fields=["operation_id"])

    try:
        with _at_work(upload, State.APPLYING) as progress, storages["uploads"].open(upload.file) as sheet:
            result = ImportService(user=user).apply(
                sheet,
                plan_digest=upload.plan,
                filename=upload.filename,
                progress_callback=progress,
                on_start=begun,
            )
            upload.summary |= counts(result)
            upload.state = State.IMPORTED
            upload.finished_at = timezone.now()
    except DataMoved as moved:
        _check(upload, user)
        if upload.state == State.CHECKED:
            upload.message = str(moved)
            upload.save()
    if upload.state == State.IMPORTED:
        _forget_file(upload)


@contextmanager
def _at_work(upload: UploadLog, state: State) -> Iterator[Progress]:
    """The sheet's row says what is going on and how it ended; the process holds its lock. DataMoved comes out."""
    with locks.held(_lock(upload), JOBS):
        upload.state, upload.done, upload.total, upload.message = state, 0, None, ""
        upload.save()
        last = time.monotonic()

        def progress(phase: str, done: int, total: int | None, /) -> None:
            nonlocal last
            if time.monotonic() - last >= _SECONDS_BETWEEN_WRITES:
                last = time.monotonic()
                UploadLog.objects.filter(pk=upload.pk).update(done=done, total=total)

        try:
            yield progress
        except DataMoved:
            raise
        except OperationFailed as failure:
            _finish(upload, State.FAILED, str(failure))
        except Exception:
            _finish(upload, State.FAILED, _("Unexpected error; the log has the details. Nothing was changed."))
            logger.exception("The sheet %s failed", upload.pk)
        else:
            upload.save()


def _finish(upload: UploadLog, state: State, message: str = "") -> None:
    upload.state, upload.message, upload.finished_at = state, message, timezone.now()
    _forget_file(upload)


def _lock(upload: UploadLog) -> str:
    return f"upload-{upload.pk}"


# --- What is kept of a preview


def counts(outcome: Outcome) -> dict[str, int]:
    """Of rows; they add up to ``rows``."""
    return {
        "rows": outcome.rows,
        "added": outcome.records.added,
        "updated": outcome.records.updated,
        "unchanged": outcome.records.skipped,
        "repeated": outcome.sheet.repeated,
        "refused": outcome.sheet.rejected,
        "companies": outcome.new_companies,
    }


def _details(preview: ImportPreview) -> dict[str, Any]:
    sheet = preview.sheet
    return {
        "problems": [[p.row, _stored(p.column), _stored(p.value), p.reason] for p in sheet.problems],
        "repeats": sheet.repeats[:10],
        "ignored": [_stored(heading) for heading in sheet.heading.unknown[:50]],
        "new_companies": sheet.new_companies,
        "other_sheets": sheet.other_sheets,
    }


def _stored(text: str) -> str:
    """Text of a sheet that is no record, as PostgreSQL can keep it."""
    return text.replace("\0", "\ufffd")


def _changes(preview: ImportPreview) -> Iterator[dict[str, Any]]:
    """The first changes: what, whose, and per changed column what it says now and what it will."""
    of_records = (step.change for step in preview if step.change is not None and step.model is ATTENDANCE_RECORDS)
    for change in islice(of_records, _CHANGES_KEPT):
        cells = []
        if change.before is not None and change.after is not None:
            names = preview.plan.shapes["attendance_records"].model.names
            pairs = zip(names, change.before.values, change.after.values, strict=True)
            cells = [[_HEADINGS[name], old, new] for name, old, new in pairs if old != new]
        yield {"kind": change.kind, "key": list(change.key), "cells": cells}


def _keep_refused(upload: UploadLog, sheet: Any, preview: ImportPreview) -> None:
    storage = storages["uploads"]
    if upload.refused_file:
        storage.delete(upload.refused_file)
        upload.refused_file = ""
    if preview.sheet.rejected:
        with TemporaryFile() as out:
            write_refused(sheet, preview.sheet, out)
            out.seek(0)
            upload.refused_file = storage.save(f"{upload.pk}.refused", File(out))


def _forget_file(upload: UploadLog) -> None:
    """The sheet is not needed any more."""
    name, upload.file = upload.file, ""
    upload.save()
    if name:
        with suppress(OSError):
            storages["uploads"].delete(name)


def sweep() -> None:
    """Remove sheets and refused rows that nobody came back for, and files of processes that were killed before they
    could enter them."""
    limit = timezone.now() - dt.timedelta(days=KEPT_DAYS)
    for upload in UploadLog.objects.filter(created_at__lt=limit).exclude(file="", refused_file=""):
        if upload.is_at_work:
            continue
        if upload.refused_file:
            storages["uploads"].delete(upload.refused_file)
            upload.refused_file = ""
        if upload.state == State.CHECKED:
            upload.state, upload.message = State.PUT_AWAY, _("Nobody decided about it. Nothing was changed.")
        _forget_file(upload)
    storage = storages["uploads"]
    kept = {name for row in UploadLog.objects.values_list("file", "refused_file") for name in row}
    for name in storage.listdir("")[1] if storage.exists("") else ():
        with suppress(FileNotFoundError):
            if name not in kept and storage.get_modified_time(name) < timezone.now() - ABANDONED:
                storage.delete(name)
