"""The customs of companies, and the people they employ. They are drawn before anybody's days."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

from core.demo.distributions import ABSENCE_SCALE, OFFICE
from core.demo.shapes import RegisterShape


@dataclass(frozen=True, slots=True)
class Shift:
    """A shift of eight hours. ``start``: minutes after midnight; None: everybody comes at their usual time."""

    name: str
    start: int | None = None


Rotation = tuple[Shift, ...]
"""Shifts that an employee works in turn, a week each."""

_GENERAL: Final = Shift("General")
_UNNAMED: Final = Shift("")
_MORNING, _EVENING, _NIGHT = Shift("Morning", 6 * 60), Shift("Evening", 14 * 60), Shift("Night", 22 * 60)
_FIRST, _SECOND, _THIRD = Shift("A", 6 * 60), Shift("B", 14 * 60), Shift("C", 22 * 60)

_ROTAS: Final[tuple[tuple[Rotation, ...], ...]] = (
    ((_GENERAL,), (_MORNING,), (_EVENING,), (_NIGHT,)),
    ((_FIRST, _SECOND, _THIRD), (_GENERAL,)),
    ((_GENERAL,),),
    ((_MORNING, _EVENING), (_NIGHT,), (_GENERAL,), (_GENERAL,)),
    ((Shift("Day", 8 * 60), Shift("Night", 20 * 60)), (_GENERAL,)),
    ((_UNNAMED,),),
)
"""Kinds of company, by the rotations that their people have."""

_NUMBERINGS: Final = ("EMP{:03}", "EMP{:03}", "{}", "{:05}", "W-{:04}", "T/{:03}/P")
"""Ways to number people, for the companies in turn: the first two have numbers in common."""

_EVERY_UNNAMED_SHIFT: Final = 31
_EVERY_STAGGERED: Final = 5


@dataclass(frozen=True, slots=True)
class Customs:
    """How one company keeps its register. Shares are of the days at work.

    ``with_breaks``: days with a second pair of punches. ``zero_overstay``: an overstay of none is written 00:00 and
    not left blank. ``shift_on_days_off``: a day without work names its shift. ``entered``: when the day is entered,
    late in the evening, HH:MM:SS in UTC. ``works_every_day``: its people have their days off in turn.
    """

    rotations: tuple[Rotation, ...]
    numbering: str
    with_breaks: float
    pays_overtime: bool
    zero_overstay: bool
    shift_on_days_off: bool
    entered: str
    works_every_day: bool

    @classmethod
    def draw(cls, rng: random.Random, position: int) -> Customs:
        """The customs of the company at this place in the register."""
        return cls(
            rotations=_ROTAS[position % len(_ROTAS)],
            numbering=_NUMBERINGS[position % len(_NUMBERINGS)],
            with_breaks=rng.choice((0.0, 0.05, 0.7)),
            pays_overtime=rng.random() < 0.8,
            zero_overstay=rng.random() < 0.5,
            shift_on_days_off=rng.random() < 0.6,
            entered=f"23:{rng.randrange(60):02}:{rng.randrange(60):02}",
            works_every_day=position % _EVERY_STAGGERED == _EVERY_STAGGERED - 1,
        )


@dataclass(frozen=True, slots=True)
class Employee:
    """One person at one company. Starts are minutes after midnight, durations minutes.

    ``first`` and ``days``: from which of the company's days on, and how many of them, they are employed. ``day_off``:
    the weekday from Monday, 0 to 6. ``absence``: the share of working days they would be away without the limits of
    :class:`core.demo.days.Shares`.
    """

    ep_no: str
    name: str
    first: int
    days: int
    rotation: Rotation
    turn: int
    day_off: int
    absence: float
    mean_start: float
    deviation_start: float
    mean_duration: float
    deviation_duration: float

    def shift(self, day: int) -> Shift:
        """The shift on this day of the calendar."""
        return self.rotation[(day // 7 + self.turn) % len(self.rotation)]


def hire(
    rng: random.Random, customs: Customs, shape: RegisterShape, *, number: int, serial: int, at_most: int, calendar: int
) -> Employee:
    """The next employee of a company: its ``number``-th, from 1, and the register's ``serial``-th, from 0.

    ``at_most``: the days that the company's register still lacks. ``calendar``: the days that it has.
    """
    days = min(shape.stay(rng, calendar), at_most)
    free = calendar - days
    rotation = rng.choice(customs.rotations)
    return Employee(
        ep_no=customs.numbering.format(number),
        name=shape.name(rng, serial),
        first=shape.first(rng, free),
        days=days,
        rotation=(_UNNAMED,) if serial % _EVERY_UNNAMED_SHIFT == _EVERY_UNNAMED_SHIFT - 1 else rotation,
        turn=rng.randrange(len(rotation)),
        day_off=shape.day_off(rng, customs.works_every_day),
        absence=(1 - OFFICE.present_rate_on_working_days_by_employee.draw(rng)) * ABSENCE_SCALE,
        mean_start=OFFICE.employee_mean_start.draw(rng),
        deviation_start=OFFICE.employee_within_sd_start.draw(rng),
        mean_duration=OFFICE.employee_mean_duration.draw(rng),
        deviation_duration=OFFICE.employee_within_sd_duration.draw(rng),
    )
