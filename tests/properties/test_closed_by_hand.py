"""A closed month holds against every way of writing by hand, and shows what was written past them, on each engine."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from django.db import connections
from django.test import Client
from hypothesis import given, settings
from hypothesis import strategies as st

from core.attendance.bulk_edit import BulkEdit, Doing, SelectedDay, apply_bulk_edit, preview_bulk_edit
from core.attendance.companies import delete_company, rename_company
from core.attendance.records import AlreadyThere, RecordService
from core.attendance.seals import changes_since, close_month, month_seals, reopen_month, to_close
from core.models import AttendanceRecord, Company, Seal, User
from core.operations.closed import MonthsAreClosed
from core.operations.errors import OperationFailed
from core.register.closed import standing_seals
from core.register.database import Register
from tests.builders.days import ABC, XYZ, Content, Key, blank_day, key_of
from tests.builders.registers import put, register, rows
from tests.conftest import DEEP
from tests.running import databases

CLOSED, OPEN = dt.date(2025, 10, 1), dt.date(2025, 11, 1)
DATES = ("2025-10-01", "2025-10-07", "2025-10-08", "2025-10-31", "2025-11-01")
keys = st.tuples(st.sampled_from([ABC, XYZ]), st.sampled_from(DATES), st.sampled_from(["E1", "E2"]))


class Desk:
    """Somebody at a register of two companies, whose months until October 2025 of ABC are closed."""

    def __init__(self, alias: str, there: Mapping[Key, str]) -> None:
        databases.empty(alias, "jobs")
        days = [blank_day(*(key[0], key[2], key[1]), status=status) for key, status in there.items()]
        put(alias, register(blank_day(ABC, "E0", DATES[0]), *days, companies=(ABC, XYZ)))
        self.alias, self.here = alias, Register(alias)
        self.root = User.objects.db_manager(alias).create_superuser("root")
        self.names = {ABC: ABC, XYZ: XYZ}
        self.close()

    def close(self) -> None:
        pk = self.company(ABC).pk
        digest = to_close(self.root, pk, CLOSED, self.here).digest
        # More exceptions than such a register has.
        close_month(self.root, pk, CLOSED, seen=digest, accepted=100, register=self.here)

    def company(self, name: str) -> Company:
        return Company.objects.using(self.alias).get(name=self.names[name])

    def record(self, key: Key) -> AttendanceRecord | None:
        of_day = AttendanceRecord.objects.using(self.alias).filter(date=key[1], ep_no=key[2])
        return of_day.filter(company=self.company(key[0])).first()

    # The ways. Each gives whether there was something to do it to.

    def add(self, key: Key) -> bool:
        record = AttendanceRecord(
            company=self.company(key[0]), date=dt.date.fromisoformat(key[1]), ep_no=key[2], status="L"
        )
        try:
            RecordService(self.root, self.here).add(record)
        except AlreadyThere:
            return False
        return True

    def change(self, key: Key) -> bool:
        if record := self.record(key):
            RecordService(self.root, self.here).change(record.pk, record.updated_at, {"shift": "N"})
        return record is not None

    def delete(self, key: Key) -> bool:
        if record := self.record(key):
            RecordService(self.root, self.here).delete(record.pk, record.updated_at)
        return record is not None

    def bulk(self, doing: Doing, value: str, key: Key) -> bool:
        """Of this day and of one that is open."""
        days = [
            SelectedDay(self.company(name).pk, dt.date.fromisoformat(date), ep_no)
            for name, date, ep_no in dict.fromkeys([key, (XYZ, DATES[-1], "E1")])
        ]
        edit = BulkEdit(days, doing, value)
        digest = preview_bulk_edit(self.root, edit, self.here).digest
        apply_bulk_edit(self.root, edit, digest, self.here)
        return True

    def bulk_after_preview(self, key: Key) -> bool:
        """The month is closed after the preview."""
        seals = month_seals(company := self.company(ABC), CLOSED, self.here)
        day = SelectedDay(self.company(key[0]).pk, dt.date.fromisoformat(key[1]), key[2])
        edit = BulkEdit([day], Doing.DELETE)
        if seals.is_closed:
            reopen_month(self.root, company.pk, CLOSED, seen=seals.seen, register=self.here)
        digest = preview_bulk_edit(self.root, edit, self.here).digest
        if seals.is_closed:
            self.close()
        apply_bulk_edit(self.root, edit, digest, self.here)
        return True

    def delete_all(self, _key: Key) -> bool:
        RecordService(self.root, self.here).delete_all()
        return True

    def delete_company(self, key: Key) -> bool:
        delete_company(self.company(key[0]).pk, user=self.root, register=self.here)
        return True

    def admin_site(self, model: str, action: str, key: Key) -> bool:
        """By a form of the administration site. Raises MonthsAreClosed if it says that a month is closed."""
        if self.alias != "default":  # which is the only register of it
            return False
        client = Client()
        client.force_login(User.objects.get())
        company, record = self.company(key[0]), self.record(key)
        pk = company.pk if model == "company" else record and record.pk
        form: dict[str, Any] = {"ep_no": key[2], "company": company.pk, "date": key[1], "status": "L"}
        address = f"/admin/core/{model}/"
        if action == "add":
            if record is not None:
                return False
            address += "add/"
        elif pk is None:
            return False
        elif action == "selected":
            form = {"action": "delete_selected", "_selected_action": [pk], "post": "yes"}
        else:
            address += f"{pk}/{action}/"
            form |= {"post": "yes"}
        page = client.post(address, form)
        text = page.content.decode()
        if page.status_code == 409:
            assert "is closed (by root, " in text
            raise MonthsAreClosed([], "")
        if model == "company" and page.status_code == 200:
            assert "Cannot delete" in text
            raise MonthsAreClosed([], "")
        assert page.status_code == 302
        return True


WAYS: dict[str, Callable[[Desk, Key], bool]] = {
    "add": Desk.add,
    "change": Desk.change,
    "delete": Desk.delete,
    "bulk status": lambda desk, key: desk.bulk(Doing.STATUS, "A", key),
    "bulk shift": lambda desk, key: desk.bulk(Doing.SHIFT, "N", key),
    "bulk delete": lambda desk, key: desk.bulk(Doing.DELETE, "", key),
    "bulk, closed after the preview": Desk.bulk_after_preview,
    **{
        f"admin site: {action}": partial(
            lambda action, desk, key: desk.admin_site("attendancerecord", action, key), action
        )
        for action in ("add", "change", "delete", "selected")
    },
}
OF_ALL: dict[str, Callable[[Desk, Key], bool]] = {
    "delete all": Desk.delete_all,
    "delete company": Desk.delete_company,
    "admin site: delete company": lambda desk, key: desk.admin_site("company", "delete", key),
    "admin site: delete selected companies": lambda desk, key: desk.admin_site("company", "selected", key),
}


@settings(max_examples=100 if DEEP else 8)
@given(
    there=st.dictionaries(keys, st.sampled_from(["P", "A"]), max_size=6),
    key=st.tuples(st.just(ABC), st.sampled_from(DATES[:-1]), st.sampled_from(["E0", "E1"])),
    others=st.lists(st.tuples(st.sampled_from(sorted(WAYS)), keys), max_size=3),
    is_renamed=st.booleans(),
)
def test_no_way_of_writing_by_hand_changes_a_closed_month(
    register_db: str, there: dict[Key, str], key: Key, others: list[tuple[str, Key]], is_renamed: bool
) -> None:
    desk = Desk(register_db, there)
    if is_renamed:
        rename_company(desk.company(ABC).pk, "Renamed", user=desk.root, register=desk.here)
        desk.names[ABC] = "Renamed"
    before = rows(register_db).contents
    for way, do in WAYS.items():
        with suppress(MonthsAreClosed):
            assert not do(desk, key), f"{way} wrote into a closed month"
    assert rows(register_db).contents == before
    for way, other in others:
        if not (other[0] == ABC and other[1].startswith("2025-10")):
            WAYS[way](desk, other)  # a month that is open is not in the way
    seals = month_seals(desk.company(ABC), CLOSED, desk.here)
    assert seals.is_closed
    assert seals.changed is None
    assert [seal.of for seal in standing_seals(desk.here)] == [(desk.names[ABC], "2025-10")]


@pytest.mark.parametrize("way", sorted(OF_ALL))
def test_what_would_delete_a_closed_month_with_others_is_refused(register_db: str, way: str) -> None:
    desk = Desk(register_db, {(XYZ, DATES[-1], "E1"): "P"})
    before = rows(register_db)
    with suppress(MonthsAreClosed):
        assert not OF_ALL[way](desk, (ABC, DATES[0], "E0"))
    assert rows(register_db) == before
    assert Seal.objects.using(register_db).count() == 1
    company = desk.company(ABC)
    seen = month_seals(company, CLOSED, desk.here).seen
    reopen_month(desk.root, company.pk, CLOSED, seen=seen, register=desk.here)
    if "compan" in way:
        AttendanceRecord.objects.using(register_db).all().delete()
    if OF_ALL[way](desk, (ABC, DATES[0], "E0")):
        assert not AttendanceRecord.objects.using(register_db).exists()
        assert not Seal.objects.using(register_db).exists() or "compan" not in way, "it goes with its company"


written = st.one_of(
    st.tuples(st.just("insert"), keys, st.sampled_from(["P", "L"])),
    st.tuples(st.just("update"), keys, st.sampled_from(["P", "L"])),
    st.tuples(st.just("delete"), keys, st.just("")),
)


@settings(max_examples=100 if DEEP else 12)
@given(
    there=st.dictionaries(keys, st.sampled_from(["P", "A"]), max_size=8),
    statements=st.lists(written, max_size=5),
    is_renamed=st.booleans(),
)
def test_raw_sql_shows_with_exactly_the_days_that_differ(
    register_db: str, there: dict[Key, str], statements: list[tuple[str, Key, str]], is_renamed: bool
) -> None:
    desk = Desk(register_db, there)
    if is_renamed:
        rename_company(desk.company(ABC).pk, "Renamed", user=desk.root, register=desk.here)
        desk.names[ABC] = "Renamed"
    before = of_month(register_db, desk.names[ABC])
    for statement, key, status in statements:
        raw_sql(desk, statement, key, status)
    after = of_month(register_db, desk.names[ABC])
    seals = month_seals(desk.company(ABC), CLOSED, desk.here)
    assert (seals.changed is None) == (before == after)
    if seals.changed is None:
        return
    changes = changes_since(seals.changed, desk.company(ABC), desk.root, desk.here)
    assert changes.unknown == ""
    assert [(one.date.isoformat(), one.number) for one in changes.days] == sorted(
        of for of in before.keys() | after.keys() if before.get(of) != after.get(of)
    )
    for one in changes.days:
        of = one.date.isoformat(), one.number
        assert one.before == (before.get(of) and {**before[of], "company_name": ABC})
        assert one.after == (after.get(of) and {**after[of], "company_name": ABC})


def of_month(alias: str, company: str) -> dict[tuple[str, str], Content]:
    contents = rows(alias).contents.values()
    return {
        (date, ep_no): content
        for content in contents
        for name, date, ep_no in [key_of(content)]
        if name == company and date.startswith("2025-10")
    }


def raw_sql(desk: Desk, statement: str, key: Key, status: str) -> None:
    company, where = desk.company(key[0]).pk, "company_id = %s AND date = %s AND ep_no = %s"
    values: list[str | int] = [company, key[1], key[2]]
    with connections[desk.alias].cursor() as cursor:
        match statement:
            case "insert":
                cursor.execute(
                    "INSERT INTO core_attendancerecord (company_id, date, ep_no, ep_name, shift, status, created_at, "
                    "updated_at) VALUES (%s, %s, %s, '', '', %s, '2025-12-01 00:00:00+00:00', "
                    "'2025-12-01 00:00:00+00:00') ON CONFLICT DO NOTHING",
                    [*values, status],
                )
            case "update":
                cursor.execute(f"UPDATE core_attendancerecord SET status = %s WHERE {where}", [status, *values])
            case "delete":
                cursor.execute(f"DELETE FROM core_attendancerecord WHERE {where}", values)


def test_what_differs_is_not_known_where_the_history_does_not_have_it(register_db: str) -> None:
    desk = Desk(register_db, {})
    raw_sql(desk, "delete", (ABC, DATES[0], "E0"), "")
    databases.empty_history(register_db)
    closing = month_seals(desk.company(ABC), CLOSED, desk.here).changed
    assert closing is not None
    assert "does not have the month any more" in changes_since(closing, desk.company(ABC), desk.root, desk.here).unknown
    with pytest.raises(OperationFailed):
        close_month(desk.root, desk.company(XYZ).pk, CLOSED, seen="", register=desk.here)
