"""Companies: adding, renaming, deleting. A name is a natural key, so a rename concerns every record."""

from __future__ import annotations

import logging
import uuid
from typing import Final, NamedTuple

from django.db import IntegrityError
from django.db.models import ProtectedError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from core.attendance.seals import delete_reopened
from core.backups import catalogue
from core.models import AttendanceRecord, Company, Kind, Seal, User
from core.operations import holding
from core.operations import run as operations
from core.operations.by_hand import changing
from core.operations.errors import NOTHING_CHANGED, OperationFailed
from core.operations.run import Actor
from core.register.database import DEFAULT, Register
from core.register.declared import COMPANIES
from recordsync.history.headers import Rename

logger = logging.getLogger(__name__)

_DELETED: Final = gettext_lazy("This company was deleted meanwhile. Nothing was changed.")
_TAKEN: Final = gettext_lazy("There is a company named %(name)s already. Nothing was changed.")


class Renamed(NamedTuple):
    """What a renaming did. ``records``: how many records the company has; ``operation``: the id of the operation."""

    records: int
    operation: uuid.UUID


def add_company(name: str, *, user: User, register: Register = DEFAULT) -> Company:
    """The new company. Writes one row. Raises OperationFailed where the name is taken."""
    try:
        with changing(register, [Company], NOTHING_CHANGED):
            now = catalogue.stamp(register)
            company = register.rows(Company).create(name=name, created_at=now, updated_at=now)
    except IntegrityError as error:
        raise OperationFailed(_TAKEN % {"name": name}) from error
    logger.info("%s added company %s", user, company.pk)
    return company


def rename_company(pk: int, name: str, *, user: User, seen: str | None = None, register: Register = DEFAULT) -> Renamed:
    """What the renaming did. Gives the company another name. ``seen``: the name that the person saw
    (None: any).

    The header of the next snapshot says it, so that a merge follows it. To a reader of single records it is the
    deletion of one company and the addition of another, so ``updated_at`` of every record is set. It takes the
    register's lock, and writes in one transaction, with a row in the audit trail. Raises OperationFailed.
    """
    with (
        operations.running(Kind.RENAME_COMPANY, Actor.of(user), register) as run,
        holding.holding_register(run) as (_store, keeper),
    ):
        companies = register.rows(Company)
        company = companies.filter(pk=pk).first()
        if company is None:
            raise OperationFailed(str(_DELETED))
        if seen is not None and seen.split() != company.name.split():  # a browser changes line breaks
            raise OperationFailed(
                _(
                    "Somebody renamed this company to %(name)s meanwhile. Nothing was changed. Rename it again to give "
                    "it your name."
                )
                % {"name": company.name}
            )
        if companies.exclude(pk=pk).filter(name=name).exists():
            raise OperationFailed(_TAKEN % {"name": name})
        before, now = company.name, catalogue.stamp(register)
        if before == name:
            raise OperationFailed(_("It is named %(name)s already. Nothing was changed.") % {"name": name})
        company.name, company.updated_at = name, now
        company.save(using=register.alias, update_fields=["name", "updated_at"])
        moved = register.rows(AttendanceRecord).filter(company_id=pk).update(updated_at=now)
        register.rows(Seal).filter(company_id=pk).update(updated_at=now)
        run.log.companies_count, run.log.records_updated = 1, moved
        run.log.filename = f"{before} → {name}"
        keeper.renames.append(Rename(COMPANIES.name, before, name))
        run.complete(moved)
    return Renamed(moved, run.operation.pk)


def delete_company(pk: int, *, user: User, register: Register = DEFAULT) -> None:
    """Delete a company, and the seals of months that were reopened. Raises MonthsAreClosed where a month of it is
    closed, OperationFailed where records or accounts refer to it, or it is not there."""
    company = register.rows(Company).filter(pk=pk).first()
    if company is None:
        raise OperationFailed(str(_DELETED))
    try:
        with changing(register, [Company], NOTHING_CHANGED):
            undone = _("%(name)s was not deleted.") % {"name": company.name}
            delete_reopened([pk], register, undone)
            company.delete(using=register.alias)
    except (ProtectedError, IntegrityError) as error:
        raise OperationFailed(
            _("%(name)s has attendance records or accounts. It was not deleted.") % {"name": company.name}
        ) from error
    logger.info("%s deleted company %s", user, pk)
