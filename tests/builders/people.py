"""A small register with two companies and an account for each role."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from core.models import AttendanceRecord, Company, Role, User

NOBODY = "anonymous"
WHO = (NOBODY, "user1", "admin", "other_admin", "root")
"""The kinds of people. ``user1`` and ``admin`` are of the company ``own``, ``other_admin`` is of ``other``."""

DAY = dt.date(2026, 11, 20)
PASSWORD = "a good one"


@dataclass(frozen=True)
class World:
    own: Company
    other: Company
    record: AttendanceRecord
    """A record of ``own``, on a day that is assigned to user1."""
    other_record: AttendanceRecord
    people: dict[str, User]


def make_world() -> World:
    """The world, written to the default database."""
    own, other = Company.objects.create(name="Asha Builders"), Company.objects.create(name="Borealis Works")

    def record(company: Company, ep_no: str, day: dt.date, name: str) -> AttendanceRecord:
        return AttendanceRecord.objects.create(
            company=company,
            ep_no=ep_no,
            ep_name=name,
            date=day,
            status="P",
            shift="GEN",
            in_time=dt.time(9, 2),
            out_time=dt.time(18, 31, 5),
            overstay=75,
        )

    first, second = record(own, "A001", DAY, "Meena Rao"), record(other, "B001", DAY, "Ivan Petrov")
    for number in range(2, 12):
        record(own, f"A{number:03d}", DAY - dt.timedelta(number % 4), f"Person {number}")
        record(other, f"B{number:03d}", DAY - dt.timedelta(number % 4), f"Person {number}")
    create = User.objects.create_user
    people = {
        "user1": create(
            "supervisor", password=PASSWORD, role=Role.USER1, company=own, assigned_date_from=DAY - dt.timedelta(2)
        ),
        "admin": create("administrator", password=PASSWORD, role=Role.ADMIN, company=own),
        "other_admin": create("other", password=PASSWORD, role=Role.ADMIN, company=other),
        "root": User.objects.create_superuser("root", password=PASSWORD),
    }
    return World(own, other, first, second, people)
