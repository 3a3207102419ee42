"""What a day counts as, and what the days of a person, a day or a company add up to.

Every page that counts days counts them by this, so a half day is counted once, and everywhere the same.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from django.db import models
from django.utils.translation import gettext_lazy as _

from core.models import Status

SHIFT_MINUTES: Final = 480
"""Minutes of overtime that make a manday."""


class CountsAs(models.TextChoices):
    """What a day counts as. A day without a record is unmarked, which is not absent."""

    PRESENT = "present", _("Present")
    HALF = "half", _("Half days")
    LEAVE = "leave", _("Leave")
    ABSENT = "absent", _("Absent")
    OFF = "off", _("Days off")
    HOLIDAY = "holiday", _("Holidays")
    UNMARKED = "unmarked", _("Unmarked")


COUNTS_AS: Final[Mapping[str, CountsAs]] = MappingProxyType(
    {
        Status.PRESENT: CountsAs.PRESENT,
        Status.PARTIAL_DAY: CountsAs.PRESENT,
        Status.HALF_DAY: CountsAs.HALF,
        Status.LEAVE: CountsAs.LEAVE,
        Status.FULL_DAY_LEAVE: CountsAs.LEAVE,
        Status.ABSENT: CountsAs.ABSENT,
        Status.WEEK_OFF: CountsAs.OFF,
        Status.PUBLIC_HOLIDAY: CountsAs.HOLIDAY,
    }
)
"""What each status counts as: each as one thing, and a partial day as present."""

NO_RECORD: Final = "·"
"""The code of a day that is unmarked."""
CODES: Final[Mapping[str, str]] = MappingProxyType(
    {status: status for status in Status.values} | {Status.HALF_DAY: "½", Status.FULL_DAY_LEAVE: "FL"}
)
"""The code of each status, as a roll, a calendar and a print show it."""
GONE_AFTER: Final = dt.timedelta(days=30)
"""Whoever has no record for so long is taken to have left."""


def unmarked_until(last: dt.date, until: dt.date) -> dt.date:
    """The last day on which somebody is unmarked who has no record of it. ``last``: the day of their last record;
    ``until``: the last day of the month, or today while the month lasts.

    They are unmarked from their first record on: up to the last one, and after it while it is not long ago.
    """
    return until if last > until - GONE_AFTER else last


def statuses(*kinds: CountsAs) -> list[str]:
    """The statuses that count as one of these, in the order in which pages list them."""
    return [status for status in Status.values if COUNTS_AS[status] in kinds]


@dataclass
class Tally:
    """What some days add up to. ``overtime`` and ``overtime_to_mandays`` in minutes."""

    days: Counter[CountsAs] = field(default_factory=Counter)
    overtime: int = 0
    overtime_to_mandays: int = 0

    def add(self, status: str, overtime: int | None, overtime_to_mandays: int | None) -> None:
        """Count a record."""
        self.add_days(status, 1)
        self.add_overtime(overtime, overtime_to_mandays)

    def add_days(self, status: str, number: int) -> None:
        """Count so many days with this status, or without a record (:data:`NO_RECORD`).

        A status that nobody knows counts as nothing: SQL has written it past the checks of the table.
        """
        kind = CountsAs.UNMARKED if status == NO_RECORD else COUNTS_AS.get(status)
        if kind is not None:
            self.days[kind] += number

    def add_overtime(self, overtime: int | None, overtime_to_mandays: int | None) -> None:
        """Add the overtime of a record, in minutes."""
        self.overtime += overtime or 0
        self.overtime_to_mandays += overtime_to_mandays or 0

    def add_tally(self, other: Tally) -> None:
        """Count what another tally counts."""
        self.days.update(other.days)
        self.overtime += other.overtime
        self.overtime_to_mandays += other.overtime_to_mandays

    @property
    def worked(self) -> float:
        """Whole days present, and half of each half day."""
        return self.days[CountsAs.PRESENT] + self.days[CountsAs.HALF] / 2

    @property
    def mandays(self) -> float:
        """The days worked, and the overtime that is paid in mandays."""
        return self.worked + self.overtime_to_mandays / SHIFT_MINUTES
