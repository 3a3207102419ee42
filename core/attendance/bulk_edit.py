"""One change to many days: a status, a shift, or their deletion. It is previewed, and then done in one transaction."""

from __future__ import annotations

import datetime as dt
import hashlib
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, NamedTuple

from django.db import models
from django.db.models import Max
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from core.attendance.seals import require_open
from core.backups import catalogue
from core.models import AttendanceRecord, Company, Kind, Phase, Role, Status, User
from core.operations import holding
from core.operations import run as operations
from core.operations.errors import NOTHING_CHANGED, DataMoved, OperationFailed
from core.operations.run import Actor
from core.register.database import DEFAULT, Register
from core.register.declared import ATTENDANCE_RECORDS
from recordsync.model.records import Key, canonical_json
from recordsync.plan import apply_changes
from recordsync.stores import Store
from recordsync.streams import Change
from recordsync.system.progress import EVERY

MOST: Final = 5_000
"""How many days one bulk edit may concern."""
_SHAPE: Final = ATTENDANCE_RECORDS.shape()


class Doing(models.TextChoices):
    """What is done to each of the days."""

    STATUS = "status", gettext_lazy("Set the status")
    SHIFT = "shift", gettext_lazy("Set the shift")
    DELETE = "delete", gettext_lazy("Delete")


class SelectedDay(NamedTuple):
    """A person's day, whether there is a record of it or not. ``company``: its primary key."""

    company: int
    date: dt.date
    ep_no: str


@dataclass(frozen=True)
class BulkEdit:
    """One change to many days. ``value``: the status or the shift; blank for a deletion."""

    days: Sequence[SelectedDay]
    doing: Doing
    value: str = ""


@dataclass(frozen=True)
class BulkEditPreview:
    """What a bulk edit would do.

    ``changes``: in key order. ``same``: how many days are so already. ``unmarked``: of how many days there is no record
    that could be changed. ``with_times``: how many of those that are said to be away have times, which stay.
    ``digest``: of all this, and of what it was made from.
    """

    changes: Sequence[Change]
    same: int
    unmarked: int
    with_times: int
    digest: str

    @property
    def counts(self) -> Mapping[str, int]:
        """The number of changes of each kind: ``add``, ``update``, ``delete``."""
        return Counter(change.kind for change in self.changes)


def preview_bulk_edit(user: User, edit: BulkEdit, register: Register = DEFAULT) -> BulkEditPreview:
    """What a bulk edit by ``user`` would do now. Reads the database. Raises OperationFailed, PermissionError for a
    company outside the scope."""
    _check(user, edit, register)
    with register.read() as store:
        return _planned(user, edit, register, store)


def apply_bulk_edit(user: User, edit: BulkEdit, digest: str, register: Register = DEFAULT) -> uuid.UUID:
    """The id of the operation that did a bulk edit: in one transaction, with a row in the audit trail and a snapshot.

    ``digest``: of the preview that the person saw. Raises DataMoved where something has changed since, OperationFailed,
    and PermissionError for a company outside the scope.
    """
    _check(user, edit, register)
    with (
        operations.running(Kind.BULK_EDIT, Actor.of(user), register) as run,
        holding.holding_register(run) as (store, _keeper),
    ):
        planned = _planned(user, edit, register, store)
        if planned.digest != digest:
            raise DataMoved(
                _("Some of these days changed after the preview."),
                undone=NOTHING_CHANGED,
                then=_("Look at a new preview first."),
            )
        now, total = catalogue.stamp(register), len(planned.changes)
        batches = ((ATTENDANCE_RECORDS, some) for some in _batches(planned.changes))
        for done in apply_changes(store, batches, now, total):
            run(Phase.APPLY, done, total)
        run.log.filename = told(edit)
        run.log.records_added = planned.counts["add"]
        run.log.records_updated = planned.counts["update"]
        run.log.records_deleted = planned.counts["delete"]
        run.complete(total)
        run.operation.filename = run.log.filename
    return run.operation.pk


def told(edit: BulkEdit) -> str:
    """What a bulk edit is, such as ``Status: Absent, 12 days``."""
    days = ngettext("%(count)s day", "%(count)s days", len(edit.days)) % {"count": f"{len(edit.days):,}"}
    match edit.doing:
        case Doing.STATUS:
            return _("Status: %(status)s, %(days)s") % {"status": Status(edit.value).label, "days": days}
        case Doing.SHIFT:
            return _("Shift: %(shift)s, %(days)s") % {"shift": edit.value or _("none"), "days": days}
        case Doing.DELETE:
            return _("Deletion, %(days)s") % {"days": days}


def _check(user: User, edit: BulkEdit, register: Register) -> None:
    """Raises what :func:`preview_bulk_edit` raises."""
    _names(user, {day.company for day in edit.days}, register)
    if not edit.days:
        raise OperationFailed(_("No day was selected."), undone=NOTHING_CHANGED)
    if len(edit.days) > MOST:
        raise OperationFailed(
            _("More than %(most)s days were selected.") % {"most": f"{MOST:,}"},
            undone=NOTHING_CHANGED,
            then=_("Select fewer, or import a sheet."),
        )


def _planned(user: User, edit: BulkEdit, register: Register, store: Store) -> BulkEditPreview:
    """The plan of a bulk edit as the current transaction sees the register. Raises MonthsAreClosed."""
    names = _names(user, {day.company for day in edit.days}, register)
    require_open(((day.company, day.date) for day in edit.days), register, NOTHING_CHANGED)
    keys = {(names[day.company], day.date.isoformat(), day.ep_no): day for day in edit.days}
    there = {record.key: record for record in store.lookup(ATTENDANCE_RECORDS, sorted(keys))}
    new = [day for key, day in keys.items() if key not in there]
    people = _people(new, register) if edit.doing is Doing.STATUS else {}
    changes: list[Change] = []
    same = unmarked = with_times = 0
    for key in sorted(keys):
        record = there.get(key)
        if record is None:
            person = people.get((keys[key].company, key[2]))
            if person is None:
                unmarked += 1
            else:
                changes.append(Change(key, None, _SHAPE.from_mapping(_unmarked(key, person) | {"status": edit.value})))
            continue
        if edit.doing is Doing.DELETE:
            changes.append(Change(key, record, None))
            continue
        content = _SHAPE.content(record)
        if content[edit.doing.value] == edit.value:
            same += 1
            continue
        with_times += edit.doing is Doing.STATUS and edit.value in _AWAY and content["in_time"] is not None
        after = _SHAPE.from_mapping(content | {edit.doing.value: edit.value}, record.created_at)
        changes.append(Change(key, record, after))
    digest = hashlib.sha256(canonical_json({edit.doing.value: edit.value}))
    for change in changes:
        sides = {"before": change.before and change.before.values, "after": change.after and change.after.values}
        digest.update(canonical_json({"key": change.key, **sides}))
    return BulkEditPreview(changes, same, unmarked, with_times, digest.hexdigest())


_AWAY: Final = frozenset({Status.ABSENT, Status.LEAVE, Status.FULL_DAY_LEAVE, Status.WEEK_OFF, Status.PUBLIC_HOLIDAY})


def _names(user: User, companies: set[int], register: Register) -> dict[int, str]:
    """The names of companies, by primary key. Raises PermissionError for one that this person may not change."""
    rows = register.rows(Company).visible_to(user).filter(pk__in=companies)
    names = dict(rows.values_list("pk", "name")) if user.role in (Role.ROOT, Role.ADMIN) else {}
    if companies - names.keys():
        raise PermissionError("These days are not theirs to change.")
    return names


def _people(days: Sequence[SelectedDay], register: Register) -> dict[tuple[int, str], str]:
    """The name that each of the people whose days these are was last written with, by company and number. Who has no
    record in the company is not in it."""
    wanted: dict[int, set[str]] = {}
    for day in days:
        wanted.setdefault(day.company, set()).add(day.ep_no)
    found: dict[tuple[int, str], str] = {}
    for company, numbers in wanted.items():
        rows = register.rows(AttendanceRecord).filter(company=company, ep_no__in=numbers).order_by()
        last = dict(rows.values_list("ep_no").annotate(Max("date")))
        named = rows.filter(date__in=set(last.values())).values_list("ep_no", "date", "ep_name")
        found |= {(company, ep_no): name for ep_no, date, name in named if last[ep_no] == date}
    return found


def _unmarked(key: Key, name: str) -> dict[str, str | None]:
    """The content of a new record that says nothing but who it is of."""
    blank = {field.name: field.type.blank for field in ATTENDANCE_RECORDS.fields}
    return blank | dict(zip(ATTENDANCE_RECORDS.key_names, key, strict=True)) | {"ep_name": name}


def _batches(changes: Iterable[Change]) -> Iterable[list[Change]]:
    stream = iter(changes)
    while some := list(islice(stream, EVERY)):
        yield some
