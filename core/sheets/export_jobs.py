"""Exports in the background: a workbook takes its time to write, and is fetched when it is there."""

from __future__ import annotations

from collections.abc import Callable
from tempfile import TemporaryFile
from typing import IO, Any

from django.core.files import File
from django.core.files.storage import storages
from django.utils.translation import gettext as _

from core.models import JOBS, AttendanceQuerySet, Kind, Operation, User
from core.operations import queue as jobs
from core.operations import recovery
from core.operations import run as operations
from core.operations.errors import OperationFailed
from core.operations.run import Actor
from core.register.database import Register
from core.sheets import export

SelectRows = Callable[[str, User, Register], AttendanceQuerySet]
"""What a list shows: by the query string of its filters, to this account, of this register. Raises OperationFailed."""


def open_export(user: User) -> Operation | None:
    """The account's export that waits or is being written, of which it has one at a time."""
    recovery.settle_accounts()
    return _of(user).filter(state__in=jobs.OPEN).first()


def submit_export(user: User, filters: str, records: AttendanceQuerySet) -> Operation:
    """Have the workbook written that a list with these filters, a query string, shows.

    Raises :class:`core.sheets.export.TooManyRows`.
    """
    export.require_few(records)
    return jobs.submit(Kind.EXPORT, Actor.of(user), parameters={"filters": filters})


def write_export(operation: Operation, rows: SelectRows) -> None:
    """Write the workbook of a waiting operation, of what the account may see by now."""
    actor = operations.actor_of(operation)
    register = Register(operation.database)
    with operations.running(Kind.EXPORT, actor, register, operation=operation) as run:
        user = register.rows(User).filter(pk=actor.user_id or 0, is_active=True).first()
        if user is None:
            raise OperationFailed(_("The account that asked for it is gone, or not active. No file was written."))
        storage = storages["uploads"]
        with TemporaryFile() as out:
            with register.read():
                count = export.write_xlsx(rows(operation.parameters["filters"], user, register), out, run)
            out.seek(0)
            name = storage.save(f"{operation.pk}.export", File(out))
        operation.result = {"file": name, "rows": count, "scope": _scope(user)}
        for other in _of(user).exclude(pk=operation.pk):
            if file := other.result.get("file"):  # the newest is kept
                storage.delete(file)


def file_of(operation: Operation, user: User) -> IO[bytes] | None:
    """The workbook of an operation, for the account that asked for it; None if it is not there, or no more, or the
    account may see something else by now."""
    name, scope = operation.result.get("file"), operation.result.get("scope")
    if operation.kind != Kind.EXPORT or operation.actor_id != user.pk or scope != _scope(user) or not name:
        return None
    storage = storages["uploads"]
    return storage.open(name) if storage.exists(name) else None


def _of(user: User) -> Any:
    return Operation.objects.using(JOBS).filter(kind=Kind.EXPORT, actor_id=user.pk)


def _scope(user: User) -> list[Any]:
    """What decides which records an account may see, as JSON has it."""
    days = [day and day.isoformat() for day in (user.assigned_date_from, user.assigned_date_to)]
    return [user.is_active, user.role, user.company_id, *days]
