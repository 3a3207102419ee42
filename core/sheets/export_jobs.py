"""Exports in the background: a workbook takes long to write, and a person fetches it when it is ready."""

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
"""A function that returns the records that a list shows, by its query string, to an account, of a register.

Raises OperationFailed."""


def open_export(user: User) -> Operation | None:
    """The export of the account that waits or runs; None if there is none. An account has one at a time."""
    recovery.settle_accounts()
    return _of(user).filter(state__in=jobs.OPEN).first()


def submit_export(user: User, filters: str, records: AttendanceQuerySet) -> Operation:
    """A new operation that writes the workbook of a list. ``filters``: the query string of the list.

    Raises :class:`core.sheets.export.TooManyRows`. Reads the register and writes to the jobs database.
    """
    export.require_few(records)
    return jobs.submit(Kind.EXPORT, Actor.of(user), parameters={"filters": filters})


def write_export(operation: Operation, rows: SelectRows) -> None:
    """Write the workbook of a waiting operation, with records that the account may see now. Raises OperationFailed."""
    actor = operations.actor_of(operation)
    register = Register(operation.database)
    with operations.running(Kind.EXPORT, actor, register, operation=operation) as run:
        user = register.rows(User).filter(pk=actor.user_id or 0, is_active=True).first()
        if user is None:
            raise OperationFailed(_("The account that asked for it was deleted or is not active. No file was written."))
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
    """The workbook of an operation, for the account that asked for it; None if it does not exist (any more), or if the
    account may see other records by now."""
    name, scope = operation.result.get("file"), operation.result.get("scope")
    if operation.kind != Kind.EXPORT or operation.actor_id != user.pk or scope != _scope(user) or not name:
        return None
    storage = storages["uploads"]
    return storage.open(name) if storage.exists(name) else None


def _of(user: User) -> Any:
    return Operation.objects.using(JOBS).filter(kind=Kind.EXPORT, actor_id=user.pk)


def _scope(user: User) -> list[Any]:
    """The values that decide which records an account may see, for JSON."""
    days = [day and day.isoformat() for day in (user.assigned_date_from, user.assigned_date_to)]
    return [user.is_active, user.role, user.company_id, *days]
