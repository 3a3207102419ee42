"""A status that nobody knows, which SQL wrote past the checks of the table: pages show it as it is, and count it as
nothing."""

from __future__ import annotations

import datetime as dt
from io import BytesIO

import openpyxl
import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from core.attendance.dashboard import dashboard
from core.attendance.exceptions import exceptions
from core.attendance.month import roll_month
from core.attendance.people import person_year
from core.attendance.tally import CountsAs
from core.models import AttendanceRecord
from core.sheets.cell_text import read_text
from core.sheets.export import write_xlsx
from recordsync.system.progress import no_progress
from tests.builders.people import DAY, World, make_world

pytestmark = pytest.mark.django_db(databases=["default", "jobs", "history"])

FIRST = DAY.replace(day=1)
UNKNOWN = "=<1"


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(timezone, "localdate", lambda: DAY + dt.timedelta(1))
    return make_world()


def write_unknown(record: AttendanceRecord) -> None:
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA ignore_check_constraints = 1")
        cursor.execute("UPDATE core_attendancerecord SET status = %s WHERE id = %s", [UNKNOWN, record.pk])
        cursor.execute("PRAGMA ignore_check_constraints = 0")


def test_pages_show_it_as_it_is(world: World) -> None:
    write_unknown(world.record)
    client, month, number = Client(), [world.own.pk, FIRST], world.record.ep_no
    client.force_login(world.people["root"])
    for address in (
        f"/attendance/?q={number}",
        reverse("roll_month", args=month),
        reverse("roll_day", args=[*month, DAY.day, number]),
        reverse("roll_print", args=month),
        reverse("person", args=[world.own.pk, number]),
        reverse("delete_record", args=[world.record.pk]),
    ):
        assert "=&lt;1" in client.get(address).content.decode(), address
    for address in ("/", f"/exceptions/?month={FIRST:%Y-%m}", reverse("edit_record", args=[world.record.pk])):
        assert client.get(address).status_code == 200
    exported = BytesIO()
    write_xlsx(AttendanceRecord.objects.all(), exported, no_progress)
    for file in (BytesIO(client.get(reverse("roll_workbook", args=month)).getvalue()), exported):
        sheet = openpyxl.load_workbook(file).active
        cells = [cell for row in sheet.iter_rows() for cell in row if cell.value is not None]
        assert UNKNOWN in [read_text(str(cell.value))[0] for cell in cells]
        assert "f" not in [cell.data_type for cell in cells], "a text of a record is no formula"
    written = client.get(f"/attendance/export/?q={number}").getvalue().decode()
    assert f",'{UNKNOWN}," in written


def test_it_is_counted_as_nothing(world: World) -> None:
    root, number = world.people["root"], world.record.ep_no

    def counted() -> tuple[list[int], ...]:
        roll, person = roll_month(root, world.own.pk, FIRST), person_year(root, world.own.pk, number, DAY.year)
        figures = dashboard(root).figures
        assert roll
        assert person
        assert figures.latest
        (company,) = (one for one in figures.by_company if one.pk == world.own.pk)
        spans = (figures.latest, figures.trend[-1], company.day)
        tallies = (roll.total, roll.by_day[DAY.day - 1], person.total)
        return (
            *([tally.days[kind] for kind in CountsAs] for tally in tallies),
            *([span.present, span.absent, span.other, figures.not_recorded] for span in spans),
        )

    before = counted()
    write_unknown(world.record)
    assert counted() == tuple([one[0] - 1, *one[1:]] for one in before)
    assert world.record.in_time
    assert (DAY, number) not in {(one.day, one.subject) for one in exceptions(root, FIRST, world.own.pk).unseen}
