"""When people come and go on a day at work, and the overstay and overtime that follow from it."""

from __future__ import annotations

import random
from itertools import chain
from math import sqrt
from typing import Final, NamedTuple

from core.demo.days import HALF_DAY, HOLIDAY, PARTIAL_DAY, WEEK_OFF
from core.demo.distributions import DURATION_SHAPE, OFFICE, START_SHAPE, THIRD_PAIR, Rates
from core.demo.people import Customs, Employee, Shift

_DAY: Final = 24 * 3600  # seconds
_HOUR: Final = 3600  # seconds
_SHIFT_MINUTES: Final = 8 * 60
_HALF_SHIFT_MINUTES: Final = 4 * 60
_OVERTIME_FROM: Final = 60  # minutes; a shorter overstay is not paid
_OVERTIME_STEP: Final = 30  # minutes

_SHORTEST: Final = 5 * _HOUR  # of a full day, seconds; less is a half or partial day
_LONGEST: Final = 15 * _HOUR  # seconds
_EARLY_MINUTES: Final = 6  # before a shift begins, and after it ends
_PUNCTUALITY: Final = 0.15  # of the deviation of people who come when they like
_STEADINESS: Final = 0.35

_CORRELATION: Final = OFFICE.corr_start_duration
_UNCORRELATED: Final = sqrt(1 - _CORRELATION**2)


class Punches(NamedTuple):
    """A day's times ``HH:MM:SS`` and whole minutes, in the order of a record's fields."""

    in_time: str | None = None
    out_time: str | None = None
    in_time_2: str | None = None
    out_time_2: str | None = None
    in_time_3: str | None = None
    out_time_3: str | None = None
    overstay: int | None = None
    overtime: int | None = None
    overtime_to_mandays: int | None = None


NO_PUNCHES: Final = Punches()


def punch(rng: random.Random, employee: Employee, customs: Customs, shift: Shift, status: str, rates: Rates) -> Punches:
    """The punches and minutes of a day at work with this status."""
    start, worked = _presence(rng, employee, shift, status, rates)
    times: list[str | None] = [clock(second) for second in _with_breaks(rng, customs, start, worked)]
    minutes = _minutes(customs, worked, status)
    if rng.random() < rates.lost_punch:
        times[rng.randrange(len(times))] = None
        minutes = (None, None, None)  # without one punch, nobody knows how long the day was
    first, last, first_2, last_2, first_3, last_3 = times + [None] * (6 - len(times))
    return Punches(first, last, first_2, last_2, first_3, last_3, *minutes)


def clock(second: int) -> str:
    """The time of day, of seconds after midnight. After 24 hours it is a time of the next day."""
    minutes, seconds = divmod(second % _DAY, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}"


def _presence(rng: random.Random, employee: Employee, shift: Shift, status: str, rates: Rates) -> tuple[int, int]:
    """When the work begins, in seconds after midnight, and how long it lasts, in seconds.

    The later people come, the shorter they stay.
    """
    late = rng.choice(START_SHAPE)
    long = _CORRELATION * late + _UNCORRELATED * rng.choice(DURATION_SHAPE)
    if shift.start is None:
        start = employee.mean_start + employee.deviation_start * late
        worked = employee.mean_duration + employee.deviation_duration * long
    else:
        start = shift.start - _EARLY_MINUTES + employee.deviation_start * late * _PUNCTUALITY
        worked = _SHIFT_MINUTES + _EARLY_MINUTES + employee.deviation_duration * long * _STEADINESS
    begins, seconds = round(max(start, 0.0) * 60), round(worked * 60)
    if status == HALF_DAY:
        afternoon = rng.random() < 0.5
        return begins + 4 * _HOUR * afternoon, rng.randint(round(3.5 * _HOUR), round(4.5 * _HOUR))
    if status == PARTIAL_DAY:
        return begins, rng.randint(5 * _HOUR, 7 * _HOUR)
    if rng.random() < rates.extra_half_shift:
        seconds += _HALF_SHIFT_MINUTES * 60
    if seconds < _SHORTEST:
        seconds = rng.randint(_SHORTEST, _SHIFT_MINUTES * 60)
    return begins, min(seconds, _LONGEST)


def _with_breaks(rng: random.Random, customs: Customs, start: int, worked: int) -> list[int]:
    """The punches of one, two or three pairs that add up to the seconds worked."""
    if rng.random() >= customs.with_breaks:
        return [start, start + worked]
    parts = [worked // 2, worked - worked // 2]
    if rng.random() < THIRD_PAIR:
        parts = [parts[0], parts[1] // 2, parts[1] - parts[1] // 2]
    pairs = []
    for part in parts:
        pairs.append((start, start + part))
        start += part + rng.randint(20 * 60, 60 * 60)
    return list(chain.from_iterable(pairs))


def _minutes(customs: Customs, worked: int, status: str) -> tuple[int | None, int | None, int | None]:
    """Overstay, overtime, and the part of it that is paid in half mandays; from the seconds worked.

    On a day off, all of the work is overstay.
    """
    required = 0 if status in (HOLIDAY, WEEK_OFF) else _SHIFT_MINUTES
    overstay = max(0, worked // 60 - required)
    overtime = overstay // _OVERTIME_STEP * _OVERTIME_STEP if overstay >= _OVERTIME_FROM else 0
    if not customs.pays_overtime:
        overtime = 0
    mandays = overtime // _HALF_SHIFT_MINUTES * _HALF_SHIFT_MINUTES
    return overstay if overstay or customs.zero_overstay else None, overtime or None, mandays or None
