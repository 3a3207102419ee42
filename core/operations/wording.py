"""Steps of a plan as lines of text, and the names that people use for fields, units and parts of a file."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from core import moments
from core.models import TIME_FIELDS, Status
from recordsync.errors import FileError
from recordsync.merge import EXISTENCE, KEY_UNIT
from recordsync.model.fields import TIMESTAMP
from recordsync.model.records import Record
from recordsync.model.schema import Shape
from recordsync.plan import Step

FIELD_NAMES: Final = {
    "name": _("Name"),
    "company_name": _("Company"),
    "ep_no": _("Employee number"),
    "date": _("Date"),
    "ep_name": _("Employee name"),
    "shift": _("Shift"),
    "status": _("Status"),
    "in_time": _("In"),
    "out_time": _("Out"),
    "in_time_2": _("In (2)"),
    "out_time_2": _("Out (2)"),
    "in_time_3": _("In (3)"),
    "out_time_3": _("Out (3)"),
    "overstay": _("Overstay"),
    "overtime": _("Overtime"),
    "overtime_to_mandays": _("Overtime to mandays"),
    "month": _("Month"),
    "closed_at": _("Closed at"),
    "closed_by": _("Closed by"),
    "closed_as": _("Name when it was closed"),
    "digest": _("Proof code"),
    "reopened_at": _("Reopened at"),
    "reopened_by": _("Reopened by"),
}
UNIT_NAMES: Final = {
    "name": _("Employee name"),
    "shift": _("Shift"),
    "day": _("Status, times and overstay"),
    "overtime": _("Overtime"),
    "closing": _("Who closed it, and what it was"),
    "reopening": _("Who reopened it"),
    KEY_UNIT: _("Name of the company"),
    EXISTENCE: _("Whether it is there"),
}


SECTIONS: Final = {
    "companies": _("Companies"),
    "attendance_records": _("Attendance records"),
    "seals": _("Closed months"),
    "deleted.companies": _("Deleted companies"),
    "deleted.attendance_records": _("Deleted attendance records"),
    "deleted.seals": _("Deleted closed months"),
}
"""The names of the parts of a file."""


def shown_value(field: str, text: str | None) -> str | None:
    """A value as lists show it, made of its text in a file: a status by its name, a time without zero seconds."""
    if not text:
        return text
    if field == "status":
        return str(dict(Status.choices).get(text, text))
    if field in TIME_FIELDS:
        return moments.time_of_day(dt.time.fromisoformat(text))
    if field == "digest":
        return proof_code(text)
    return _shown_part(text) if field in ("date", "closed_at", "reopened_at") else text


def proof_code(digest: str) -> str:
    """The first ten characters of a digest in two groups, as people read them out to each other."""
    return f"{digest[:5]} {digest[5:10]}"


def shown_day(text: str) -> str:
    """The text of a day as lists show days; any other text as it is."""
    try:
        return moments.day(dt.date.fromisoformat(text))
    except ValueError:
        return text


def _shown_part(text: str) -> str:
    """The text of a day or a moment as lists show it; any other text as it is."""
    at = TIMESTAMP.to_python(text) if TIMESTAMP.is_legal(text) else None
    return shown_day(text) if at is None else moments.moment(at, seconds=True)


def month_of(company: str, month: dt.date) -> str:
    """A company's month, which a day is in, as sentences name it: ``November 2026 of Site A``."""
    return gettext("%(month)s of %(company)s") % {"month": moments.month(month), "company": company}


def shown_key(key: Sequence[str]) -> str:
    """The key of a record as people read it: ``ABC Corp · EMP001 · 2026-11-20``, or the name of a company.

    ``key``: its values in that order (:meth:`recordsync.model.schema.Model.spelt`).
    """
    parts = [*key[:2], *map(_shown_part, key[2:])]
    return " · ".join(part or "—" for part in parts)


def by_section(errors: Iterable[FileError]) -> Iterator[tuple[str, list[FileError]]]:
    """The name of each part of the file that has errors (blank for the file as a whole), with these errors."""
    sections: dict[str, list[FileError]] = {}
    for error in errors:
        sections.setdefault(error.section or "", []).append(error)
    for section, group in sections.items():
        yield str(SECTIONS.get(section, section)), group


def where(error: FileError) -> str:
    """The place of an error in its file: its line or the number of its record; blank if neither is known."""
    if error.line is not None:
        return gettext("line %(number)s") % {"number": f"{error.line:,}"}
    return gettext("record %(number)s") % {"number": f"{error.number:,}"} if error.number is not None else ""


def told(error: FileError) -> str:
    """The error in one line, without the part of the file that it is in."""
    place = ", ".join(part for part in (where(error), shown_key(error.key or ())) if part)
    return f"{place}: {error.message}" if place else error.message


def describe(step: Step, theirs_shape: Shape, *, decided: bool) -> str:
    """A line that says what a step does to which record, or what a person has to decide about it.

    It does not name the model. ``theirs_shape``: the fields that the file has. ``decided``: whether a strategy has
    decided the conflicts.
    """
    key = step.change.key if step.change else step.merged.key if step.merged else ()
    what = shown_key(step.model.spelt(key)) if key else ""
    if step.blocked and step.merged is not None and step.merged.theirs is not None:
        name = step.merged.theirs.key[0]
        return f"{what}: renamed to {name} there, but another one here has that name; it keeps its name"
    if step.blocked:
        return f"{what}: deleted there, but records or accounts here still refer to it; it stays"
    if step.merged is None:
        return f"{what}: add, because records name it"
    if step.is_stopped:
        return f"{what}: {_CLOSED}{'' if step.undecided else '; stays as it is here'}"
    if step.sealed and step.change is None:
        return f"{what}: deleted there; {_CLOSED}, and is reopened"
    if step.is_conflict:
        return f"{what}: {conflict(step, theirs_shape)}{_decision(step) if decided else ''}"
    return f"{what}: {_change(step)}"


_CLOSED: Final = "its month is closed"


def describe_import(step: Step) -> str:
    """A line that says what a step of an import does to which record. It does not name the model."""
    if step.is_stopped and step.merged is not None:
        return f"{shown_key(step.model.spelt(step.merged.key))}: {_CLOSED}"
    assert step.change is not None
    return f"{shown_key(step.model.spelt(step.change.key))}: {_change(step)}"


def conflict(step: Step, shape: Shape) -> str:
    """What a person has to decide about a record. ``shape``: the fields that the file has."""
    assert step.merged is not None
    ours, theirs = step.merged.ours, step.merged.theirs
    if ours is None:
        return "conflict: deleted here, changed there"
    if theirs is None:
        return "conflict: changed here, deleted there"
    our_values = step.model.shape().content(ours)
    their_values = shape.content(theirs)
    fields = [
        shape.names[position]
        for unit in step.merged.conflicts
        for position in shape.positions(unit)
        if our_values[shape.names[position]] != their_values[shape.names[position]]
    ]
    differing = "; ".join(
        f"{name} here {_text(name, our_values[name])}, backup {_text(name, their_values[name])}" for name in fields
    )
    units = ", ".join("its name" if unit == KEY_UNIT else unit for unit in step.merged.conflicts)
    return f"conflict in {units}: {differing}"


def _decision(step: Step) -> str:
    if step.change is None:
        return "; stays as it is here"
    if step.change.kind == "update":
        return "; takes the backup's"
    return "; is added again" if step.change.kind == "add" else "; is deleted"


def _change(step: Step) -> str:
    change = step.change
    if change is None:
        return "keep"
    if change.before is None or change.after is None:
        return change.kind
    if change.is_rename:
        return f"renamed to {change.after.key[0]}"
    return f"update: {_differences(step.model.shape(), change.before, change.after)}"


def _differences(shape: Shape, before: Record, after: Record) -> str:
    pairs = zip(shape.names, before.values, after.values, strict=True)
    return "; ".join(f"{name} {_text(name, old)} → {_text(name, new)}" for name, old, new in pairs if old != new)


def _text(field: str, value: str | None) -> str:
    return "nothing" if value is None else json.dumps(shown_value(field, value), ensure_ascii=False)
