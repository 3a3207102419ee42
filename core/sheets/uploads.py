"""Sheets that people send through the pages: kept, checked, decided, imported; large ones in the background."""

from __future__ import annotations

import datetime as dt
import logging
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import PurePath
from tempfile import TemporaryFile
from typing import Any, BinaryIO, Final, cast

from django.core.files import File
from django.core.files.storage import storages
from django.db import Error, connections
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django_tasks import task
from django_tasks.base import Task

from core.models import Operation, Role, UploadLog, User
from core.operations import run as operations
from core.operations.errors import (
    NOTHING_CHANGED,
    Cancelled,
    DataMoved,
    NotKnown,
    OperationFailed,
    RegisterBusy,
    SheetRefused,
    as_failure,
    not_known,
    sentences,
)
from core.operations.run import JOBS
from core.operations.wording import shown_value
from core.preview.folders import ABANDONED
from core.register.declared import ATTENDANCE_RECORDS
from core.sheets.columns import COLUMNS
from core.sheets.dates import DateOrder
from core.sheets.heading import look
from core.sheets.import_service import ImportPreview, ImportService, Outcome
from core.sheets.refused_rows import write_refused
from recordsync.errors import CommitUnknown, LockLost
from recordsync.system import locks
from recordsync.system.progress import Progress
from recordsync.system.transactions import committed

logger = logging.getLogger(__name__)

KEPT_DAYS: Final = 14
"""How long a sheet that nobody decides about, and refused rows, are kept."""

KEPT_OF_ONE: Final = 20
"""Sheets of one account whose files are kept, their refused rows included."""

_PUT_AWAY: Final = gettext_lazy("It was put away. Nothing was changed.")
_CHANGES_KEPT: Final = 100
_SECONDS_BETWEEN_WRITES: Final = 1.0
_SECONDS_TO_WAIT: Final = 5
_HEADINGS: Final = {column.field: column.heading for column in COLUMNS}

State = UploadLog.State


def receive(user: User, file: File[bytes]) -> UploadLog:
    """Keep a sheet and have it checked in the background. What is certainly none is refused at once: its row says so.

    Of the sheet only its head is read here. Raises OperationFailed for who may not import, or has too many sheets that
    wait for the worker, and where its row cannot be written.
    """
    ImportService(user=user)
    sweep()
    _make_room(user)
    upload = UploadLog(
        actor_id=user.pk,
        actor_name=user.get_username(),
        company_id=None if user.role == Role.ROOT else user.company_id,
        filename=PurePath(file.name or "sheet").name[-255:],
        size=file.size,
    )
    logger.info("%s sent the sheet %s (%s bytes)", user.get_username(), upload.pk, upload.size)
    try:
        look(cast(BinaryIO, file))
    except SheetRefused as refused:
        _finish(upload, State.FAILED, str(refused))
    else:
        upload.file = _kept(f"{upload.pk}.sheet", file)
        with _queue():
            upload.task_id = _enqueued(check_upload, upload, user)
            upload.save()
    return upload


def decide(upload: UploadLog, user: User) -> None:
    """Import what was previewed, in the background. What somebody else decided already is left alone.

    Raises OperationFailed where its row cannot be written.
    """
    _wait_again(upload, user, UploadLog.objects.filter(state=State.CHECKED), State.QUEUED, apply_upload)


def try_again(upload: UploadLog, user: User) -> None:
    """Have a sheet checked anew that failed for what is no fault of it. Raises OperationFailed as :func:`decide`."""
    failed = UploadLog.objects.filter(state=State.FAILED).exclude(file="")
    _wait_again(upload, user, failed, State.WAITING, check_upload)


def read_dates(upload: UploadLog, user: User, order: DateOrder) -> None:
    """Have a sheet that nobody has decided about checked once more, with its dates read in this order. Raises
    OperationFailed as :func:`decide`."""
    undecided = UploadLog.objects.filter(state=State.CHECKED)
    _wait_again(upload, user, undecided, State.WAITING, check_upload, summary={"date_order": str(order)})


def _wait_again(upload: UploadLog, user: User, rows: QuerySet[UploadLog], state: State, job: Job, **known: Any) -> None:
    """Have a worker do something about a sheet, if it is still one of the rows. ``known``: other columns to set."""
    again = known | {"state": state, "message": "", "done": 0, "total": None, "finished_at": None, "operation_id": None}
    with _queue():
        if rows.filter(pk=upload.pk).update(**again):
            UploadLog.objects.filter(pk=upload.pk).update(task_id=_enqueued(job, upload, user))
    upload.refresh_from_db()


def cancel(upload: UploadLog) -> None:
    """Ask a check or a running import to stop: it changes nothing then. What has not begun, or is not decided, is put
    away."""
    if upload.operation_id is not None:
        Operation.objects.using(JOBS).filter(pk=upload.operation_id).update(cancel_requested=True)
    stopped = {"state": State.PUT_AWAY, "message": str(_PUT_AWAY), "finished_at": timezone.now()}
    rows = UploadLog.objects.filter(pk=upload.pk)
    if rows.filter(state__in=[State.WAITING, State.CHECKED, State.QUEUED]).update(**stopped):
        upload.refresh_from_db()
        _forget_file(upload)
    else:
        rows.filter(state=State.CHECKING).update(**stopped)  # the worker, which has the file open, puts it away


def settle(uploads: Iterable[UploadLog]) -> None:
    """Bring the rows to the truth about work whose process died, or that no worker will begin any more."""
    rows = list(uploads)
    _settle_waiting([upload for upload in rows if upload.state in (State.WAITING, State.QUEUED)])
    at_work = [upload for upload in rows if upload.state in (State.CHECKING, State.APPLYING)]
    dead = locks.abandoned([_lock(upload) for upload in at_work], JOBS)
    for upload in at_work:
        if _lock(upload) not in dead:
            continue
        upload.refresh_from_db()
        if upload.state in (State.CHECKING, State.APPLYING):
            operations.settle_accounts()
            operation = Operation.objects.using(JOBS).filter(pk__in=[upload.operation_id]).first()
            if operation is None:
                why = _("The process was killed before it finished. Nothing was changed.")
                _finish(upload, State.FAILED, why, keep_file=True)
            elif operation.state == Operation.State.SUCCEEDED:
                _finish(upload, State.IMPORTED)
            elif operation.state != Operation.State.RUNNING:
                _finish(upload, State.FAILED, operation.message, keep_file=True)


def _settle_waiting(waiting: list[UploadLog]) -> None:
    lost = operations.lost_tasks(upload.task_id for upload in waiting)
    ended = {
        "state": State.FAILED,
        "message": sentences(operations.NEVER_BEGUN, NOTHING_CHANGED),
        "finished_at": timezone.now(),
    }
    for upload in waiting:
        if upload.task_id in lost:
            # Unless it was begun, or asked for again, since it was looked at.
            as_it_was = UploadLog.objects.filter(pk=upload.pk, state=upload.state, task_id=upload.task_id)
            if as_it_was.update(**ended):
                logger.warning("The sheet %s was never begun", upload.pk)
            upload.refresh_from_db()


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
Job = Task[[str, int], None]


def _enqueued(job: Job, upload: UploadLog, user: User) -> uuid.UUID:
    return uuid.UUID(str(job.enqueue(str(upload.pk), user.pk).id))


def _kept(name: str, file: File[bytes]) -> str:
    """The name in the storage under which a sheet is kept. Raises OperationFailed where the disk refuses."""
    try:
        return storages["uploads"].save(name, file)
    except OSError as error:
        with suppress(OSError):
            storages["uploads"].delete(name)  # as far as it was written
        raise as_failure(error, _("Nothing was changed.")) from error


def _in_background(upload_id: str, user_id: int, work: Work, begins: State) -> None:
    upload = UploadLog.objects.filter(pk=uuid.UUID(upload_id), state=begins).first()
    if upload is None:  # it was put away
        return
    user = User.objects.filter(pk=user_id).first()
    if user is None:
        _finish(upload, State.FAILED, _("The account that asked for it is gone. Nothing was changed."))
    else:
        with suppress(Cancelled):  # it was put away just now
            work(upload, user)


@contextmanager
def _queue() -> Iterator[None]:
    """A transaction in which a sheet's row and the task of a worker are written: both or neither.

    Raises OperationFailed.
    """
    try:
        with committed(JOBS, _SECONDS_TO_WAIT):
            yield
    except CommitUnknown as error:
        look = _("Look at the sheets that were sent when it does, before you try again.")
        raise not_known(_("this was saved"), look) from error
    except Error as error:
        raise as_failure(error, _("Nothing was changed.")) from error


def _check(upload: UploadLog, user: User) -> None:
    with _at_work(upload, State.CHECKING) as progress, storages["uploads"].open(upload.file) as sheet:
        named = File(sheet.file, upload.filename)  # as it was sent: its name says what it should be
        order = _date_order(upload)
        with ImportService(user=user).preview(named, date_order=order, progress_callback=progress) as preview:
            upload.plan = preview.plan_digest
            upload.summary = {**counts(preview), **_details(preview), "changes": list(_changes(preview))}
            upload.summary["date_order"] = order and str(order)
            _keep_refused(upload, cast(BinaryIO, sheet), preview)
        upload.state = State.CHECKED


def _date_order(upload: UploadLog) -> DateOrder | None:
    """The order of dates that was chosen for a sheet."""
    chosen = upload.summary.get("date_order")
    return DateOrder(chosen) if chosen else None


def _apply(upload: UploadLog, user: User) -> None:
    def begun(operation: uuid.UUID) -> None:
        upload.operation_id = operation
        if not UploadLog.objects.filter(pk=upload.pk, state=State.APPLYING).update(operation_id=operation):
            raise LockLost(_("It could not be seen any more that this was being done, so that it counted as failed."))

    try:
        with _at_work(upload, State.APPLYING) as progress, storages["uploads"].open(upload.file) as sheet:
            result = ImportService(user=user).apply(
                sheet,
                plan_digest=upload.plan,
                date_order=_date_order(upload),
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
    """The sheet's row says what is going on and how it ended; the process holds its lock. DataMoved comes out, and
    Cancelled where the sheet was put away before it began."""
    rows = UploadLog.objects.filter(pk=upload.pk)
    with locks.held(_lock(upload), JOBS):
        if not rows.filter(state=upload.state).update(state=state, done=0, total=None, message=""):
            raise Cancelled(str(_PUT_AWAY))
        upload.state, upload.done, upload.total, upload.message = state, 0, None, ""
        last = time.monotonic()

        def progress(phase: str, done: int, total: int | None, /) -> None:
            nonlocal last
            if time.monotonic() - last >= _SECONDS_BETWEEN_WRITES:
                last = time.monotonic()
                try:
                    is_wanted = rows.filter(state=state).update(done=done, total=total)
                except Error:  # progress is a courtesy
                    logger.warning("The progress of the sheet %s could not be saved", upload.pk, exc_info=True)
                    connections[JOBS].close_if_unusable_or_obsolete()
                    return
                if not is_wanted:
                    raise Cancelled(str(_PUT_AWAY))

        try:
            yield progress
            if state == State.CHECKING and not rows.filter(state=state).exists():  # what is imported is imported
                raise Cancelled(str(_PUT_AWAY))
        except DataMoved:
            raise
        except Cancelled as cancelled:
            _finish(upload, State.PUT_AWAY, str(cancelled))
        except NotKnown as failure:  # left as it is, until `settle` finds out
            logger.warning("The sheet %s: %s", upload.pk, failure)
        except OperationFailed as failure:
            _finish(upload, State.FAILED, str(failure), keep_file=_is_no_fault_of_the_sheet(failure))
        except (Error, OSError) as error:
            logger.exception("The sheet %s failed", upload.pk)
            _finish(upload, State.FAILED, str(as_failure(error, _("Nothing was changed."))), keep_file=True)
        except Exception:
            _finish(upload, State.FAILED, _("Unexpected error; the log has the details. Nothing was changed."))
            logger.exception("The sheet %s failed", upload.pk)
        else:
            upload.save()


def _finish(upload: UploadLog, state: State, message: str = "", *, keep_file: bool = False) -> None:
    """``keep_file``: so that somebody can try again."""
    upload.state, upload.message, upload.finished_at = state, message, timezone.now()
    if keep_file:
        upload.save()
    else:
        _forget_file(upload)


def _is_no_fault_of_the_sheet(failure: OperationFailed) -> bool:
    """Whether trying again may help: somebody held the register, a disk was full, a database was gone."""
    return isinstance(failure, RegisterBusy) or isinstance(failure.__cause__, Error | OSError)


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
        "notices": [_stored(notice) for notice in sheet.notices()],
        "offered_order": sheet.dates.offered and str(sheet.dates.offered),
        "new_companies": sheet.new_companies,
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
            cells = [
                [_HEADINGS[name], shown_value(name, old), shown_value(name, new)]
                for name, old, new in pairs
                if old != new
            ]
        yield {"kind": change.kind, "key": list(change.key), "cells": cells}


def _keep_refused(upload: UploadLog, sheet: BinaryIO, preview: ImportPreview) -> None:
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
        _delete(name)  # what cannot be deleted now, sweep() tries again


def _delete(name: str) -> bool:
    """Delete a file that is kept; whether it is gone."""
    try:
        storages["uploads"].delete(name)
    except OSError:
        logger.warning("The kept file %s cannot be deleted", name, exc_info=True)
        return False
    return True


def sweep() -> None:
    """Remove sheets and refused rows that nobody came back for, and files of processes that were killed before they
    could enter them."""
    limit = timezone.now() - dt.timedelta(days=KEPT_DAYS)
    old = list(UploadLog.objects.filter(created_at__lt=limit).exclude(file="", refused_file=""))
    settle(old)
    for upload in old:
        if not upload.is_at_work:
            _forget(upload, _("Nobody decided about it. Nothing was changed."))
    storage = storages["uploads"]
    kept = {name for row in UploadLog.objects.values_list("file", "refused_file") for name in row}
    for name in storage.listdir("")[1] if storage.exists("") else ():
        with suppress(FileNotFoundError):
            if name not in kept and storage.get_modified_time(name) < timezone.now() - ABANDONED:
                _delete(name)


def _make_room(user: User) -> None:
    """Sheets of one account take up so much room, and no more: the oldest are put away.

    Raises OperationFailed where they all wait for the worker.
    """
    files = UploadLog.objects.filter(actor_id=user.pk).exclude(file="", refused_file="")
    newest_first = list(files.order_by("-created_at"))
    settle(newest_first)
    kept = [upload for upload in newest_first if upload.is_at_work]
    if len(kept) >= KEPT_OF_ONE:
        raise OperationFailed(
            _(
                "%(count)s of your sheets wait for the worker already. This one was not kept. Send it when they are "
                "done, or cancel some."
            )
            % {"count": len(kept)}
        )
    for upload in [upload for upload in newest_first if not upload.is_at_work][KEPT_OF_ONE - len(kept) - 1 :]:
        _forget(upload, _("You sent newer sheets, and this one was put away. Nothing was changed."))


def _forget(upload: UploadLog, why: str) -> None:
    """A sheet's files are not kept any more. ``why``: is told if nobody has decided about it."""
    if upload.refused_file and _delete(upload.refused_file):
        upload.refused_file = ""
    if upload.state == State.CHECKED:
        upload.state, upload.message = State.PUT_AWAY, why
    _forget_file(upload)
