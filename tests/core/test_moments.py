"""Moments, days and times of day look alike wherever they are shown."""

from __future__ import annotations

import datetime as dt
import re
import uuid
from collections.abc import Iterator

import pytest
from django.core.exceptions import ValidationError
from django.test import Client, override_settings
from django.utils.html import strip_tags
from hypothesis import given
from hypothesis import strategies as st

from core import moments
from core.models import AttendanceRecord, Backup, BackupLog, Operation
from core.operations.wording import shown_value
from core.web.forms.records import TimeOfDayField
from tests.builders.people import make_world
from tests.builders.uploads import an_upload
from tests.running.installation import PROJECT

EVENING = dt.datetime(2026, 11, 20, 16, 19, 5, tzinfo=dt.UTC)


@pytest.fixture
def kolkata() -> Iterator[None]:
    with override_settings(TIME_ZONE="Asia/Kolkata"):
        yield


def test_the_forms(kolkata: None) -> None:
    assert moments.moment(EVENING) == "2026-11-20 21:49 IST"
    assert moments.moment(EVENING, seconds=True) == "2026-11-20 21:49:05 IST"
    assert moments.day(dt.date(2026, 11, 2)) == "2026-11-02"
    assert moments.time_of_day(dt.time(9)) == "09:00"
    assert moments.time_of_day(dt.time(9, 0, 30)) == "09:00:30"


@pytest.mark.parametrize(
    ("zone", "summer", "winter"),
    [
        ("UTC", "16:19 UTC", "16:19 UTC"),
        ("Europe/Berlin", "18:19 CEST", "17:19 CET"),
        ("America/Lima", "11:19 -05", "11:19 -05"),  # a zone without letters of its own
    ],
)
def test_the_zone_is_named_as_it_is_then(zone: str, summer: str, winter: str) -> None:
    with override_settings(TIME_ZONE=zone):
        assert moments.moment(EVENING) == f"2026-11-20 {winter}"
        assert moments.moment(EVENING.replace(month=7)) == f"2026-07-20 {summer}"


@given(moment=st.datetimes(timezones=st.sampled_from([dt.UTC, dt.timezone(dt.timedelta(hours=-11))])))
def test_any_moment_has_a_form(moment: dt.datetime) -> None:
    """A file may name the end of the calendar, where zones do not convert."""
    for zone in ("Asia/Kolkata", "America/Lima"):
        with override_settings(TIME_ZONE=zone):
            assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d ", moments.moment(moment))


def test_nobody_else_formats_one() -> None:
    """Addresses and forms need days as a machine writes them; names of files have their own form."""
    allowed = {
        "core/moments.py",
        "core/backups/backup_service.py",
        "core/web/views/sheets.py",
    }
    python = re.compile(r"strftime|formats\.date_format|localtime\(|\{[^{}\s]*:%[YHdb]")
    found = [
        str(path.relative_to(PROJECT))
        for path in (PROJECT / "core").rglob("*.py")
        if "migrations" not in path.parts and python.search(path.read_text("utf-8"))
    ]
    assert set(found) == allowed
    pages = {
        form
        for path in (PROJECT / "core/templates").rglob("*.html")
        for form in re.findall(r"\|(?:date|time)\b:?[\"']?([^\"'|}\s]*)", path.read_text("utf-8"))
    }
    assert pages == {"Y-m-d", "Y-m", "D", "l", "M"}, "addresses, and the names of weekdays and months"
    scripts = [path for path in (PROJECT / "core/static").glob("*.js") if "Intl.DateTimeFormat" in path.read_text()]
    assert scripts == []


@pytest.mark.untraced
@pytest.mark.django_db(databases=["default", "jobs", "history"])
def test_one_moment_looks_the_same_on_every_page(kolkata: None, client: Client) -> None:
    world = make_world()
    client.force_login(world.people["root"])
    operation = Operation.objects.create(
        kind="restore", actor_name="root", state="failed", started_at=EVENING, finished_at=EVENING
    )
    log = BackupLog.objects.create(
        actor_name="root", operation="restore", operation_id=operation.pk, success=False, created_at=EVENING
    )
    backup = Backup.objects.create(
        id=uuid.uuid4(), installation_id=uuid.uuid4(), installation_name="Site A", backup_type="full", file="a.json",
        size=1, digest="0" * 64, companies_count=1, records_count=1, taken_at=EVENING,
    )  # fmt: skip
    upload = an_upload(state=Operation.State.FAILED, created_at=EVENING)
    AttendanceRecord.objects.filter(pk=world.record.pk).update(updated_at=EVENING)
    assert [str(row).partition(" ")[2] for row in (operation, log, backup)] == ["2026-11-20 21:49 IST"] * 3
    for address in (
        "/", "/backup/", "/backup/log/", "/restore/", f"/operations/{operation.pk}/", "/upload/logs/",
        f"/upload/{upload.pk}/", f"/attendance/{world.record.pk}/edit/", "/admin/core/backup/",
        "/admin/core/backuplog/", "/admin/core/operation/", "/admin/core/attendancerecord/",
        f"/admin/core/attendancerecord/{world.record.pk}/change/",
    ):  # fmt: skip
        answer = client.get(address, follow=True)
        text = re.sub(r"\s+", " ", strip_tags(answer.content.decode()))
        assert answer.status_code == 200, address
        assert "2026-11-20 21:49 IST" in text, address
        assert not re.search(r"16:19|\b9:49|[ap]\.m\.|\b20 Nov\b|Nov\. 20", text), address


# --- Times of day in forms


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("18:00", dt.time(18)),
        ("18:00:30", dt.time(18, 0, 30)),
        (" 9:05 ", dt.time(9, 5)),
        ("0905", dt.time(9, 5)),
        ("905", dt.time(9, 5)),
        ("090530", dt.time(9, 5, 30)),
        ("00:00", dt.time(0)),
        ("23:59:59", dt.time(23, 59, 59)),
        ("", None),
    ],
)
def test_a_time_is_read(typed: str, meant: dt.time | None) -> None:
    assert TimeOfDayField(required=False).clean(typed) == meant


@pytest.mark.parametrize(
    "typed", ["24:00", "18:60", "6:00 PM", "9", "9:5", "18.00", "18:00:30.5", "٠٩:٠٠", "-", "12345678"]
)
def test_what_is_no_time_is_refused(typed: str) -> None:
    with pytest.raises(ValidationError, match=r"Write a time of 24 hours, such as 18:00 or 18:00:30\."):
        TimeOfDayField(required=False).clean(typed)


@given(time=st.times().map(lambda time: time.replace(microsecond=0, tzinfo=None)))
def test_what_a_list_shows_is_what_a_form_takes(time: dt.time) -> None:
    field = TimeOfDayField(required=False)
    shown = field.prepare_value(time)
    assert shown == moments.time_of_day(time)
    assert field.clean(shown) == time


@pytest.mark.django_db(databases=["default", "jobs", "history"])
def test_a_record_that_is_saved_as_it_was_keeps_its_seconds(client: Client) -> None:
    world = make_world()
    client.force_login(world.people["root"])
    page = client.get(f"/attendance/{world.record.pk}/edit/")
    assert 'type="time"' not in page.content.decode()
    form = page.context["form"]
    shown = {name: form[name].value() for name in form.fields}
    assert (shown["in_time"], shown["out_time"], shown["in_time_2"]) == ("09:02", "18:31:05", None)
    answer = client.post(f"/attendance/{world.record.pk}/edit/", {k: "" if v is None else v for k, v in shown.items()})
    assert answer.status_code == 302
    record = AttendanceRecord.objects.get(pk=world.record.pk)
    assert (record.in_time, record.out_time, record.in_time_2) == (dt.time(9, 2), dt.time(18, 31, 5), None)
    assert "09:02 – 18:31:05" in client.get("/attendance/").content.decode()
    site = client.get("/admin/core/attendancerecord/").content.decode()
    assert re.search(r">09:02<", site)
    assert re.search(r">18:31:05<", site)


@pytest.mark.parametrize(
    ("field", "text", "shown"),
    [
        ("status", "A", "Absent"),
        ("in_time", "09:00:00", "09:00"),
        ("out_time_3", "18:31:05", "18:31:05"),
        ("date", "2026-11-02", "2026-11-02"),
        ("overtime", "123:45", "123:45"),
        ("shift", "09:00:00", "09:00:00"),
        ("in_time", None, None),
        ("ep_name", "", ""),
    ],
)
def test_a_value_of_a_file_reads_as_in_a_list(field: str, text: str | None, shown: str | None) -> None:
    assert shown_value(field, text) == shown
