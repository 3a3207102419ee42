"""Every way to write the register, and a clock that tests can set."""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final
from unittest.mock import patch

from core.attendance import companies as company_service
from core.attendance.records import RecordService
from core.models import AttendanceRecord, Company, User
from core.register.database import Register
from core.restores.restore_service import RestoreService
from tests.builders.days import ABC, FRIDAY, day
from tests.builders.files import file
from tests.builders.old_files import old_file, old_record
from tests.builders.registers import register
from tests.builders.sheets import row
from tests.running.services import imported, restore


@dataclass
class Clock:
    """The time, as the program sees it."""

    now: dt.datetime

    def step(self, seconds: float) -> None:
        self.now += dt.timedelta(seconds=seconds)


@contextmanager
def clock(now: dt.datetime) -> Iterator[Clock]:
    """A clock that every thread goes by until the end of the block."""
    ours = Clock(now)
    with patch("django.utils.timezone.now", lambda: ours.now):
        yield ours


def _root(alias: str) -> User:
    found = User.objects.using(alias).filter(username="root").first()
    return found or User.objects.db_manager(alias).create_superuser("root", password="a good one")


def _change(alias: str, number: int) -> None:
    record = AttendanceRecord.objects.using(alias).order_by("pk")[0]
    RecordService(_root(alias), Register(alias)).change(record.pk, record.updated_at, {"shift": f"changed {number}"})


def _add(alias: str, number: int) -> None:
    company = Company.objects.using(alias).order_by("pk")[0]
    day = dt.date.fromisoformat(FRIDAY)
    RecordService(_root(alias), Register(alias)).add(
        AttendanceRecord(company=company, ep_no=f"added {number}", date=day, status="P")
    )


def _add_company(alias: str, number: int) -> None:
    company_service.add_company(f"Company {number}", user=_root(alias), register=Register(alias))


def _rename(alias: str, number: int) -> None:
    company = Company.objects.using(alias).order_by("pk")[0]
    company_service.rename_company(company.pk, f"Renamed {number}", user=_root(alias), register=Register(alias))


def _import(alias: str, number: int) -> None:
    imported(alias, row(shift=f"imported {number}"))


def _restore(alias: str, number: int) -> None:
    restore(alias, file(register(day(shift=f"restored {number}"))))


def _restore_1_0(alias: str, number: int) -> None:
    file = old_file([old_record(day(shift=f"old {number}"))], [ABC])
    RestoreService(register=Register(alias)).restore_backup(io.BytesIO(file))


WRITERS: Final[dict[str, Callable[[str, int], None]]] = {
    "change": _change,
    "add": _add,
    "add a company": _add_company,
    "rename": _rename,
    "import": _import,
    "restore": _restore,
    "restore 1.0": _restore_1_0,
}
"""The ways to write, by name. ``write(alias, number)`` writes something different for each number."""
