"""A record of the demo register."""

from __future__ import annotations

from typing import NamedTuple

DemoValues = tuple[int | str | None, ...]
"""The values of a :class:`DemoRow`, which JSON can hold."""


class DemoRow(NamedTuple):
    """One attendance record. ``company`` is its position among the register's companies, counted from 0.

    Texts as SQL writes them: dates, times, and moments ``YYYY-MM-DD HH:MM:SS+00:00``. Durations in minutes.
    """

    company: int
    ep_no: str
    ep_name: str
    date: str
    shift: str
    status: str
    in_time: str | None
    out_time: str | None
    in_time_2: str | None
    out_time_2: str | None
    in_time_3: str | None
    out_time_3: str | None
    overstay: int | None
    overtime: int | None
    overtime_to_mandays: int | None
    created_at: str
    updated_at: str
