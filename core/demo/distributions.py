"""How people come and go: measured figures as tables to draw from, and figures that were chosen by hand.

The measured figures are in ``figures.json``, copied from public data sets that it names. They are aggregates: no row of
any person is in them. They describe an office. A contractor's register has other shares, more shifts and worse punch
clocks, so what the data sets do not tell is chosen by hand below.

A table is a list of equally likely values, so that a draw is one look-up.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean, pstdev
from typing import Final

import msgspec


class Percentiles(msgspec.Struct, frozen=True):
    """A distribution by five of its percentiles."""

    p5: float
    p25: float
    p50: float
    p75: float
    p95: float

    def draw(self, rng: random.Random) -> float:
        """A random value between p5 and p95, linear between the percentiles. The tails beyond them are cut off."""
        share = rng.random()
        knots = ((0.05, self.p5), (0.25, self.p25), (0.5, self.p50), (0.75, self.p75), (0.95, self.p95))
        for (low, below), (high, above) in pairwise(knots):
            if share < high:
                return below + (above - below) * max(0.0, share - low) / (high - low)
        return self.p95


class PresentRate(Percentiles, frozen=True):
    """Share of the working days on which an employee is present."""

    mean: float


class Office(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``presence_office_real``. Starts are minutes after midnight, durations minutes at work."""

    source: str
    unit: str
    rows_per_employee: Percentiles
    weekday_start_hist_15min: dict[str, float]
    weekday_duration_hist_15min: dict[str, float]
    employee_mean_start: Percentiles
    employee_within_sd_start: Percentiles
    employee_mean_duration: Percentiles
    employee_within_sd_duration: Percentiles
    corr_start_duration: float
    present_rate_on_working_days_by_employee: PresentRate
    absent_share_by_weekday_mon_fri: list[float]
    absence_run_length_share: dict[str, float]


class Factory(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``sick_spells_factory_real``."""

    source: str
    start_weekday_share: dict[str, float]


class Survey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``time_use_survey_real``."""

    source: str
    worked_share_mon_sun: list[float]
    worked_share_on_us_holidays_mon_fri: str


class Figures(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``figures.json``."""

    presence_office_real: Office
    sick_spells_factory_real: Factory
    time_use_survey_real: Survey


_FIGURES: Final = msgspec.json.decode(Path(__file__).with_name("figures.json").read_bytes(), type=Figures)
OFFICE: Final = _FIGURES.presence_office_real
_FACTORY: Final = _FIGURES.sick_spells_factory_real
_SURVEY: Final = _FIGURES.time_use_survey_real

_BIN_MINUTES = 15
_VALUES = 5000
_LONGEST_RUN = 20
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def _minutes(histogram: Mapping[str, float]) -> list[float]:
    """A table of minutes from a histogram by ``HH:MM``, spread evenly over each bin."""
    values: list[float] = []
    for clock, share in histogram.items():
        hours, minutes = clock.split(":")
        count = round(share * _VALUES)
        low = int(hours) * 60 + int(minutes)
        values += (low + _BIN_MINUTES * (i + 0.5) / count for i in range(count))
    return values


def _standardised(values: Sequence[float]) -> list[float]:
    """The same shape with mean 0 and standard deviation 1, to be laid over any employee's own mean and deviation."""
    mean, deviation = fmean(values), pstdev(values)
    return [(value - mean) / deviation for value in values]


def _run_lengths(shares: Mapping[str, float]) -> list[int]:
    """A table of working days that an absence lasts; the open end ``>=10`` (which holds ``10``) spread up to 20."""
    values: list[int] = []
    for length, share in shares.items():
        count = round(share * 1000)
        if length == ">=10":
            values += (10 + i * (_LONGEST_RUN - 10) // count for i in range(count))
        elif length != "10":
            values += [int(length)] * count
    return values


def _relative(weights: Sequence[float]) -> list[float]:
    mean = fmean(weights)
    return [weight / mean for weight in weights]


def _middle(span: str) -> float:
    """The middle of a span written ``.24-.37 (n=689)``."""
    low, high = span.split()[0].split("-")
    return fmean((float(low), float(high)))


START_SHAPE: Final = _standardised(_minutes(OFFICE.weekday_start_hist_15min))
DURATION_SHAPE: Final = _standardised(_minutes(OFFICE.weekday_duration_hist_15min))
RUN_LENGTHS: Final = _run_lengths(OFFICE.absence_run_length_share)

_ABSENT = OFFICE.absent_share_by_weekday_mon_fri
ABSENT_WEEKDAYS: Final = _relative([*_ABSENT, fmean(_ABSENT), fmean(_ABSENT)])
"""How likely an absence is by weekday from Monday; the mean is 1. The office is closed at weekends: the mean there."""

SICK_WEEKDAYS: Final = _relative([_FACTORY.start_weekday_share.get(day, 0.0) for day in _WEEKDAYS])
"""How likely a sick spell is to start by weekday from Monday; the mean is 1."""

DAY_OFF_WEIGHTS: Final = [1 - share for share in _SURVEY.worked_share_mon_sun]
"""How likely a weekday from Monday is somebody's weekly day off: as likely as people do not work on it."""

# --- By hand: the shares of a contractor's register

STATUS_SHARES: Final = {"A": 0.05, "L": 0.023, "-1": 0.022, "-0.5": 0.029, "PD": 0.012}
"""Share of all records that each status is steered to. Holidays and days off come from the calendar, P is the rest."""

HOLIDAYS: Final = (
    (1, 1), (1, 26), (2, 17), (3, 21), (4, 14), (5, 1), (6, 7),
    (7, 12), (8, 15), (9, 5), (10, 2), (10, 24), (11, 8), (12, 25),
)  # fmt: skip
"""Public holidays (month, day), common to all companies: 3.8 % of the days. Fixed days stand for movable feasts too."""

CALENDAR_DAYS_PER_ROW: Final = 7 / 5 / OFFICE.present_rate_on_working_days_by_employee.mean
"""The office has a row for a day of presence only; a register has one for every day of employment."""

ABSENCE_SCALE: Final = 0.8
"""The part of the office's absence that is drawn. It is an upper bound, because the shares above limit absence too."""

PARTIAL_RATE: Final = 0.08
"""The share of the working days that are half or partial days, at most."""

WEEK_OFF_SWAPPED: Final = 0.10
"""Share of the days off that are worked as ordinary days, in exchange for another day off."""

THIRD_PAIR: Final = 0.08
"""Share of the days with a second pair of punches that have a third."""

CORRECTED: Final = 0.02
"""Share of the records that somebody corrects on the next evening."""


@dataclass(frozen=True)
class Rates:
    """How often a day is out of the ordinary.

    ``lost_punch``: share of the days at work on which one punch is missing. ``extra_half_shift``: of those with four
    hours more. ``week_off_worked``, ``holiday_worked``: of the days off and of the public holidays on which people work
    all the same, paid as overtime. ``cut_short``: of the spells of absence without leave that last more than two days
    by the office's figures, the share that lasts one day instead.
    """

    lost_punch: float
    extra_half_shift: float
    week_off_worked: float
    holiday_worked: float
    cut_short: float


OFTEN: Final = Rates(
    lost_punch=0.015,
    extra_half_shift=0.02,
    week_off_worked=0.06,
    holiday_worked=_middle(_SURVEY.worked_share_on_us_holidays_mon_fri),
    cut_short=0,
)
SELDOM: Final = Rates(
    lost_punch=0.004, extra_half_shift=0.003, week_off_worked=0.005, holiday_worked=0.04, cut_short=0.8
)
"""As in a register that somebody looks after: few enough to look at each."""
