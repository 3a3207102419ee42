"""Sheets that people send through the pages. The worker checks and imports them, each as an operation."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import PurePath
from tempfile import TemporaryFile
from typing import Any, BinaryIO, Final, cast

from django.core.files import File
from django.core.files.storage import storages
from django.db import Error
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from core.models import JOBS, Kind, Operation, Role, UploadLog, User
from core.operations import queue as jobs
from core.operations import recovery
from core.operations import run as operations
from core.operations.closed import MonthsAreClosed
from core.operations.errors import (
    NOTHING_CHANGED,
    Cancelled,
    DataMoved,
    NotKnown,
    OperationFailed,
    RegisterBusy,
    SheetRefused,
    as_failure,
)
from core.operations.run import Actor, Run
from core.operations.wording import shown_value
from core.preview.folders import ABANDONED
from core.register.database import Register
from core.register.declared import ATTENDANCE_RECORDS
from core.sheets.columns import COLUMNS
from core.sheets.dates import DateOrder
from core.sheets.heading import look
from core.sheets.import_service import ImportPreview, ImportService, ImportSummary
from core.sheets.refused_rows import write_refused
from recordsync.errors import LockLost

logger = logging.getLogger(__name__)

KEPT_DAYS: Final = 14
"""How many days refused rows are kept, and sheets that nobody decides about."""

KEPT_OF_ONE: Final = 20
"""How many sheets of one account are kept, with their refused rows."""

_SAVED: Final = gettext_lazy("this was saved")
_LOOK: Final = gettext_lazy("Look at the sheets that were sent when it does, before you try again.")
_CHANGES_KEPT: Final = 100
_HEADINGS: Final = {column.field: column.heading for column in COLUMNS}

Stage = UploadLog.Stage
PutAway = UploadLog.PutAway


def receive(user: User, file: File[bytes]) -> UploadLog:
    """The row of a sheet that is kept and queued for its check. A file that is certainly no sheet is refused at once.

    Only the beginning of the sheet is read here. Raises OperationFailed if the person may not import or has too many
    sheets that wait for the worker, or if the row cannot be written.
    """
    ImportService(user=user)
    sweep()
    _make_room(user)
    actor = Actor.of(user)
    upload = UploadLog(
        actor_id=user.pk,
        actor_name=actor.name,
        company_id=None if user.role == Role.ROOT else user.company_id,
        filename=PurePath(file.name or "sheet").name[-255:],
        size=file.size,
    )
    logger.info("%s sent the sheet %s (%s bytes)", actor.name, upload.pk, upload.size)
    refused: SheetRefused | None = None
    try:
        look(cast(BinaryIO, file))
    except SheetRefused as error:
        refused = error
    else:
        upload.file = _kept(f"{upload.pk}.sheet", file)
    with jobs.asking(_SAVED, _LOOK):
        if refused is None:
            upload.operation = jobs.enqueue(Kind.CHECK_SHEET, actor, filename=upload.filename)
        else:
            upload.operation = Operation.objects.using(JOBS).create(
                kind=Kind.CHECK_SHEET,
                state=Operation.State.FAILED,
                message=str(refused),
                finished_at=timezone.now(),
                actor_id=actor.user_id,
                actor_name=actor.name,
                filename=upload.filename,
            )
        upload.save(force_insert=True)
    return upload


def decide(upload: UploadLog, user: User) -> None:
    """Queue the import of a sheet as it was previewed, unless somebody has decided about it already.

    Raises OperationFailed if its row cannot be written.
    """
    _ask(upload, user, Kind.IMPORT, where=Stage.CHECKED)


def try_again(upload: UploadLog, user: User) -> None:
    """Queue another check of a sheet that failed through no fault of its own, or that would change closed months.
    Raises OperationFailed."""
    if upload.summary.get("closed") and upload.stage == Stage.CHECKED:
        _ask(upload, user, Kind.CHECK_SHEET, where=Stage.CHECKED, summary={})
    elif upload.file:
        _ask(upload, user, Kind.CHECK_SHEET, where=Stage.FAILED)


def read_dates(upload: UploadLog, user: User, order: DateOrder) -> None:
    """Queue another check of a sheet that nobody has decided about, with its dates read in this order.

    Raises OperationFailed as :func:`decide`.
    """
    _ask(upload, user, Kind.CHECK_SHEET, where=Stage.CHECKED, date_order=order.value, summary={})


class _Overtaken(Exception):
    """Somebody else has just decided about the sheet."""


def _ask(upload: UploadLog, user: User, kind: Kind, *, where: Stage, **known: Any) -> None:
    """Queue an operation about a sheet, if it is at the stage ``where``. ``known``: other columns to set."""
    upload.refresh_from_db()
    if upload.stage != where:
        return
    as_it_is = UploadLog.objects.filter(pk=upload.pk, operation=upload.operation, put_away="")
    with suppress(_Overtaken), jobs.asking(_SAVED, _LOOK):
        operation = jobs.enqueue(kind, Actor.of(user), filename=upload.filename)
        if not as_it_is.update(operation=operation, **known):
            raise _Overtaken
    upload.refresh_from_db()


def cancel(upload: UploadLog) -> None:
    """Stop a check or a running import, which then changes nothing, or put away a sheet before its import begins."""
    while True:
        jobs.cancel(upload.operation)
        upload.refresh_from_db()
        operation = upload.operation
        ended = (Stage.FAILED, Stage.IMPORTED)
        if upload.put_away or upload.stage in ended or upload.stage == Stage.APPLYING:
            return  # a running import ends by itself
        if _put_away(upload, PutAway.BY_SOMEBODY):
            break
    operation.refresh_from_db()
    if operation.state != Operation.State.RUNNING:  # otherwise the worker, which has the file open, deletes it
        _forget_file(upload)


def _put_away(upload: UploadLog, why: PutAway) -> bool:
    """Mark a sheet as put away. Returns whether that was done: somebody may have decided otherwise meanwhile."""
    as_it_is = UploadLog.objects.filter(pk=upload.pk, operation=upload.operation, put_away="")
    updated = as_it_is.update(put_away=why)
    upload.refresh_from_db()
    return bool(updated)


# --- In the worker


def check(operation: Operation) -> None:
    """Check a sheet, and keep what an import would do. Raises OperationFailed."""
    with _file_of(operation) as upload:
        register = Register(operation.database)
        with operations.running(Kind.CHECK_SHEET, operations.actor_of(operation), register, operation=operation) as run:
            _check(upload, ImportService(operation=operation), run)


def apply(operation: Operation) -> None:
    """Import a sheet as it was previewed. If the register has changed since, check it again. Raises OperationFailed."""
    with _file_of(operation) as upload:
        service = ImportService(operation=operation)
        try:
            with storages["uploads"].open(upload.file) as sheet:
                result = service.apply(
                    File(sheet.file, upload.filename), plan_digest=upload.plan, date_order=_date_order(upload)
                )
        except DataMoved as moved:
            with operations.running(Kind.CHECK_SHEET, service.actor, service.register, filename=upload.filename) as run:
                UploadLog.objects.filter(pk=upload.pk).update(operation=run.operation)
                _check(upload, service, run)
                run.operation.result = {UploadLog.LOOK_AGAIN: str(moved)}
        else:
            UploadLog.objects.filter(pk=upload.pk).update(summary=upload.summary | counts(result))


@contextmanager
def _file_of(operation: Operation) -> Iterator[UploadLog]:
    """The sheet that an operation is about; its file is deleted when it is of no use any more."""
    upload = UploadLog.objects.filter(operation=operation).first()
    if upload is None:
        raise OperationFailed(_("The sheet is not here any more."), undone=NOTHING_CHANGED)
    try:
        yield upload
    except NotKnown:  # if it was not imported, somebody may try again
        raise
    except OperationFailed as failure:
        if isinstance(failure, Cancelled) or not _is_no_fault_of_the_sheet(failure):
            _forget_file(upload)
        raise
    upload.refresh_from_db()
    if upload.stage in (Stage.IMPORTED, Stage.PUT_AWAY):
        _forget_file(upload)


def _check(upload: UploadLog, service: ImportService, run: Run) -> None:
    """Check a sheet and keep its preview. Raises Cancelled if the sheet was put away meanwhile."""
    rows = UploadLog.objects.filter(pk=upload.pk)
    order = _date_order(upload)
    with storages["uploads"].open(upload.file) as sheet:
        named = File(sheet.file, upload.filename)  # under the name that it was sent with, which says what it should be
        with service.preview(named, date_order=order, progress_callback=run) as preview:
            summary = {**counts(preview), **_details(preview), "changes": list(_changes(preview))}
            rows.update(refused_file=_refused(upload, cast(BinaryIO, sheet), preview))
            plan = preview.plan_digest
    if not rows.filter(put_away="").update(plan=plan, summary=summary):
        raise Cancelled(_("It was put away."), undone=NOTHING_CHANGED)


def _date_order(upload: UploadLog) -> DateOrder | None:
    """The order of dates that was chosen for a sheet."""
    return DateOrder(upload.date_order) if upload.date_order else None


def _is_no_fault_of_the_sheet(failure: OperationFailed) -> bool:
    """Whether trying again may help: somebody held the register or has closed a month, a disk was full, a database did
    not answer."""
    is_of_the_register = isinstance(failure, RegisterBusy | MonthsAreClosed)
    return is_of_the_register or isinstance(failure.__cause__, Error | OSError | LockLost)


# --- What is kept of a preview


def counts(summary: ImportSummary) -> dict[str, int]:
    """The counts of rows, which add up to ``rows``, and of new companies."""
    return {
        "rows": summary.rows,
        "added": summary.records.added,
        "updated": summary.records.updated,
        "unchanged": summary.records.skipped,
        "repeated": summary.sheet.repeated,
        "refused": summary.sheet.rejected,
        "companies": summary.new_companies,
        "closed": summary.records.undecided,
    }


def _details(preview: ImportPreview) -> dict[str, Any]:
    sheet = preview.sheet
    return {
        "problems": [[p.row, _stored(p.column), _stored(p.value), p.reason] for p in sheet.problems],
        "repeats": sheet.repeats[:10],
        "notices": [_stored(notice) for notice in sheet.notices()],
        "offered_order": sheet.dates.offered and str(sheet.dates.offered),
        "new_companies": sheet.new_companies,
        "closed_months": [one.sentence for one in preview.closed.months],
    }


def _stored(text: str) -> str:
    """Text of a sheet, outside of records, as PostgreSQL can keep it."""
    return text.replace("\0", "\ufffd")


def _changes(preview: ImportPreview) -> Iterator[dict[str, Any]]:
    """The first changes: their kind, their key, and the value before and after in each changed column."""
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
        yield {"kind": change.kind, "key": list(ATTENDANCE_RECORDS.spelt(change.key)), "cells": cells}


def _refused(upload: UploadLog, sheet: BinaryIO, preview: ImportPreview) -> str:
    """The name of the file with the refused rows of a preview, which it writes; blank if there are none."""
    storage = storages["uploads"]
    if upload.refused_file:
        storage.delete(upload.refused_file)
    if not preview.sheet.rejected:
        return ""
    with TemporaryFile() as out:
        write_refused(sheet, preview.sheet, out)
        out.seek(0)
        return storage.save(f"{upload.pk}.refused", File(out))


# --- The files


def _kept(name: str, file: File[bytes]) -> str:
    """The name in the storage of a sheet, which it keeps there. Raises OperationFailed if the disk refuses."""
    try:
        return storages["uploads"].save(name, file)
    except OSError as error:
        with suppress(OSError):
            storages["uploads"].delete(name)  # as far as it was written
        raise as_failure(error, NOTHING_CHANGED) from error


def _forget_file(upload: UploadLog) -> None:
    """Delete the file of a sheet that is not needed any more."""
    name, upload.file = upload.file, ""
    UploadLog.objects.filter(pk=upload.pk).update(file="")
    if name:
        _delete(name)  # if that fails, sweep() tries again


def _delete(name: str) -> bool:
    """Delete a kept file. Returns whether that worked."""
    try:
        storages["uploads"].delete(name)
    except OSError:
        logger.warning("The kept file %s cannot be deleted", name, exc_info=True)
        return False
    return True


def sweep() -> None:
    """Delete sheets and refused rows that nobody came back for, and files that killed processes left behind."""
    recovery.settle_accounts()
    limit = timezone.now() - dt.timedelta(days=KEPT_DAYS)
    for upload in UploadLog.objects.filter(created_at__lt=limit).exclude(file="", refused_file=""):
        if not upload.is_at_work:
            _forget(upload, PutAway.UNDECIDED)
    for upload in UploadLog.objects.exclude(file=""):
        if upload.stage in (Stage.IMPORTED, Stage.PUT_AWAY):
            _forget_file(upload)
    storage = storages["uploads"]
    kept = {name for row in UploadLog.objects.values_list("file", "refused_file") for name in row}
    for name in storage.listdir("")[1] if storage.exists("") else ():
        with suppress(FileNotFoundError):
            if name not in kept and storage.get_modified_time(name) < timezone.now() - ABANDONED:
                _delete(name)


def _make_room(user: User) -> None:
    """Put away the oldest sheets of an account, so that there is room for another.

    Raises OperationFailed if all of them wait for the worker.
    """
    files = UploadLog.objects.filter(actor_id=user.pk).exclude(file="", refused_file="")
    newest_first = list(files.order_by("-created_at"))
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
        _forget(upload, PutAway.NEWER_SENT)


def _forget(upload: UploadLog, why: PutAway) -> None:
    """Delete the files of a sheet. ``why``: the reason to show if nobody has decided about it."""
    if upload.stage == Stage.CHECKED and not _put_away(upload, why):
        return  # somebody decided about it just now
    if upload.refused_file and _delete(upload.refused_file):
        UploadLog.objects.filter(pk=upload.pk).update(refused_file="")
    _forget_file(upload)
