"""One day of one person as plain data: the content of a record, as texts as in a file."""

from __future__ import annotations

from collections.abc import Mapping

Key = tuple[str, str, str]
"""(company_name, date, ep_no), in the order in which a file sorts."""

Content = Mapping[str, str | None]
"""A record's fields as texts, as they stand in a file."""

TIMES = ("in_time", "out_time", "in_time_2", "out_time_2", "in_time_3", "out_time_3")
MINUTES = ("overstay", "overtime", "overtime_to_mandays")
FIELDS = ("ep_no", "ep_name", "company_name", "date", "shift", "status", *TIMES, *MINUTES)
UNITS = {
    "name": ("ep_name",),
    "shift": ("shift",),
    "day": ("status", "overstay", *TIMES),
    "overtime": ("overtime", "overtime_to_mandays"),
}
"""The fields that merge whole."""

ABC, XYZ = "ABC Corp", "XYZ Ltd"
FRIDAY, SATURDAY = "2026-11-20", "2026-11-21"


def day(company: str = ABC, ep_no: str = "E1", date: str = FRIDAY, **fields: str | None) -> Content:
    """A day's work. ``fields`` replaces single values."""
    worked: dict[str, str | None] = {
        "company_name": company, "ep_no": ep_no, "date": date, "ep_name": "Meena", "shift": "GS", "status": "P",
        "in_time": "09:00:00", "out_time": "18:00:00", "in_time_2": None, "out_time_2": None, "in_time_3": None,
        "out_time_3": None, "overstay": None, "overtime": "01:30", "overtime_to_mandays": None,
    }  # fmt: skip
    return {**worked, **fields}


def blank_day(company: str = ABC, ep_no: str = "E1", date: str = FRIDAY, **fields: str | None) -> Content:
    """A day of which only the status is known. ``fields`` replaces single values."""
    blank: dict[str, str | None] = {"ep_name": "", "shift": "", **dict.fromkeys((*TIMES, *MINUTES))}
    return day(company, ep_no, date, **{**blank, **fields})


def closed_month(company: str = ABC, month: str = "2026-10-01", **fields: str | None) -> Content:
    """The seal of a company's month that is closed. ``fields`` replaces single values."""
    closed: dict[str, str | None] = {
        "company_name": company, "month": month, "closed_at": "2026-11-20T18:40:00.000000Z", "closed_by": "root",
        "closed_as": company, "digest": 64 * "0", "reopened_at": None, "reopened_by": "",
    }  # fmt: skip
    return {**closed, **fields}


def key_of(content: Content) -> Key:
    return str(content["company_name"]), str(content["date"]), str(content["ep_no"])
