"""The stop before a merge deletes a large part of a company's records.

A file's ancestry is a claim, and a peer that lost its records looks like one that deleted them. So a person looks
first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final, NamedTuple

from django.db.models import Count
from django.utils.translation import gettext as _

from core.models import AttendanceRecord
from core.operations.errors import NOTHING_CHANGED, OperationFailed
from core.register.database import Register
from core.register.declared import ATTENDANCE_RECORDS
from recordsync.merge import Decide, Effect
from recordsync.plan import Plan, Step

_MOST: Final = 100
_PART: Final = 10
"""A deletion is large that concerns more than so many records of a company, and more than one in so many."""
_SHOWN: Final = 5


class Large(NamedTuple):
    """A company of which many records are deleted, and how many it has."""

    company: str
    deleted: int
    of: int


class LargeDeletion(OperationFailed):
    """A restore would delete a large part of a company's records, and nobody has said that it may."""

    def __init__(self, found: list[Large]) -> None:
        shown = "; ".join(
            _("%(deleted)s of %(of)s records of %(company)s")
            % {"deleted": f"{one.deleted:,}", "of": f"{one.of:,}", "company": one.company}
            for one in found[:_SHOWN]
        )
        more = _(", and of %(n)s more companies") % {"n": f"{len(found) - _SHOWN:,}"} if len(found) > _SHOWN else ""
        super().__init__(
            _("This would delete %(what)s here, because they were deleted there.") % {"what": shown + more},
            undone=NOTHING_CHANGED,
            then=_("Ask whoever deleted them. If they are to go, restore it with --yes."),
        )


def with_counts(deleted: Mapping[str, int], register: Register) -> list[Large]:
    """These numbers of records by company, each with how many the company has. Counts rows."""
    rows = register.rows(AttendanceRecord).filter(company__name__in=list(deleted)).order_by()
    have = dict(rows.values_list("company__name").annotate(Count("pk")))
    return [Large(company, count, have.get(company, 0)) for company, count in sorted(deleted.items())]


def large_deletions(deleted: Mapping[str, int], register: Register) -> list[Large]:
    """The large deletions among these, which are numbers of records by company. Counts rows of the register."""
    many = {company: count for company, count in deleted.items() if count > _MOST}
    return [one for one in with_counts(many, register) if one.deleted * _PART > one.of] if many else []


def deleted_by_company(plan: Plan, decide: Decide) -> Mapping[str, int]:
    """How many records a plan that is decided so deletes, by company; nothing where no company can lose many of them.
    Pure."""
    deleted: Counter[str] = Counter()
    if max(plan.deletions[ATTENDANCE_RECORDS.name].values(), default=0) <= _MOST:
        return deleted
    for step in plan.decided(decide):
        if isinstance(step, Step) and step.model is ATTENDANCE_RECORDS and step.effect is Effect.DELETE:
            deleted.update({company: count for (company,), count in step.names().items()})
    return deleted
