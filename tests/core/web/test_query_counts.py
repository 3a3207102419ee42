"""How many queries each page makes: as many as the table says, however many rows there are."""

from __future__ import annotations

import datetime as dt
import uuid
from contextlib import ExitStack

import pytest
from django.db import connections
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from core.models import AttendanceRecord, Backup, BackupLog, Company, Operation, Role, User
from recordsync.models import Snapshot
from tests.builders.people import DAY, World, make_world
from tests.builders.uploads import an_upload
from tests.core.web.access import ROUTES
from tests.running.snapshots import snapshot

pytestmark = pytest.mark.django_db(databases=["default", "jobs", "history"])

SESSION = 2
"""Who is signed in: the session, the account."""

FRAME = 1
"""Of a page: the name of this installation, at its top."""

FILES = ("operation_errors", "attendance_export", "upload_template", "roll_workbook")
"""What has no frame."""

QUERIES: dict[str, int] = {
    "backup_data": 20,
    "backup_logs": 4,
    "restore_data": 3,
    "history": 5,
    "snapshot": 9,
    "operation": 3,
    "operation_errors": 1,
    "dashboard": 12,
    "dashboard?over=months": 12,
    "roll_month": 6,
    "roll_month?q=person&shift=GEN": 6,
    "roll_month?exception=any": 14,
    "roll_day": 5,
    "close_month": 4,
    "reopen_month": 2,
    "roll_print": 12,
    "roll_print?profile=form-d": 13,
    "roll_workbook": 12,
    "change_password": 0,
    "attendance_export": 1,
    "upload": 0,
    "upload_template": 0,
    "upload_logs": 3,
    "upload_detail": 4,
    "attendance_list": 4,
    "attendance_list?q=person": 8,
    "attendance_list?q=A0": 6,
    "attendance_list?q=Works&status=P": 9,
    "attendance_list?overstay=has&missing=on&sort=ep_name": 2,
    "attendance_list?page=2": 4,
    "attendance_list?status=present": 4,
    "attendance_list?not_on=2026-11-20": 5,
    "attendance_list?last=on": 5,
    "add_record": 1,
    "edit_record": 3,
    "delete_record": 2,
    "delete_all": 2,
    "person": 5,
    "exceptions": 12,
    "exception_counts": 7,
    "exceptions?kind=two_numbers&month=2026-08": 10,
    "companies": 2,
    "rename_company": 3,
    "delete_company": 1,
    "users": 2,
    "add_user": 1,
    "edit_user": 2,
}
"""Of a GET by root, beyond :data:`SESSION`, by the name of the URL."""

LISTS = {
    "roll_print": ("", "profile=form-d"),
    "exceptions": ("", "kind=two_numbers&month=2026-08"),
    "roll_month": ("", "q=person&shift=GEN", "exception=any"),
    "dashboard": ("", "over=months"),
    "attendance_list": (
        "",
        "q=person",
        "q=A0",
        "q=Works&status=P",
        "overstay=has&missing=on&sort=ep_name",
        "page=2",
        "status=present",
        "not_on=2026-11-20",
        "last=on",
    ),
}
"""Query strings whose pages are asked for as well, each with a number of its own: ``name?query`` in the table."""


def grow(world: World, number: int) -> None:
    """More of everything that a page lists."""
    made = uuid.uuid4().hex
    snapshots = Snapshot.objects.order_by("order")
    for at in range(number):
        company = Company.objects.create(name=f"Company {made} {at}")
        User.objects.create(username=f"{made}{at}", role=Role.USER1, company=company)
        AttendanceRecord.objects.create(company=company, ep_no=f"A0{at}", ep_name="Person", date=DAY, status="P")
        backup = Backup.objects.create(
            id=uuid.uuid4(), installation_id=uuid.uuid4(), installation_name="Here", backup_type="full",
            file=f"{made}{at}", size=1, digest="0" * 64, companies_count=1, records_count=1, taken_at=DAYTIME,
            created_by="root",
        )  # fmt: skip
        log = BackupLog.objects.create(actor_name="root", operation="restore", operation_id=backup.pk, success=True)
        Operation.objects.create(kind="restore", state="failed", actor_name="root", log_id=log.pk)
        an_upload()
        snapshot("default", snapshots[0].tree, [snapshots[0]])
    days = (DAY - dt.timedelta(day) for day in range(100, 100 + 10 * number))
    AttendanceRecord.objects.bulk_create(
        AttendanceRecord(company=world.own, ep_no=made, date=day, status="A", overstay=30) for day in days
    )


DAYTIME = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)


def counted(client: Client, url: str) -> int:
    with ExitStack() as stack:
        seen = [
            stack.enter_context(CaptureQueriesContext(connections[name])) for name in ("default", "jobs", "history")
        ]
        response = client.get(url)
        list(getattr(response, "streaming_content", ()))
    assert response.status_code == 200
    return sum(len(queries) for queries in seen) - SESSION


@pytest.mark.untraced
def test_no_page_makes_more_queries_than_it_should_or_more_for_more_rows() -> None:
    world = make_world()
    client = Client()
    client.force_login(world.people["root"])
    urls = {
        f"{name}{'?' if query else ''}{query}": f"{reverse(name, kwargs=access.kwargs(world))}?{query}"
        for name, access in ROUTES.items()
        if access.get[-1] == 200
        for query in LISTS.get(name, ("",))
    }
    grow(world, 2)
    for url in urls.values():  # whatever is made once, on the first visit
        client.get(url)
    few = {name: counted(client, url) for name, url in urls.items()}
    grow(world, 8)
    many = {name: counted(client, url) for name, url in urls.items()}
    assert many == few
    frames = {name: 0 if name in FILES else FRAME for name in few}
    assert few == {name: number + frames[name] for name, number in QUERIES.items()}
