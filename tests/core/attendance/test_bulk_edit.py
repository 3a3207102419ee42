"""One change to many days, on each engine, against a model that is a dictionary."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.attendance.bulk_edit import MOST, BulkEdit, Doing, SelectedDay, apply_bulk_edit, preview_bulk_edit
from core.models import AttendanceRecord, BackupLog, Company, User
from core.operations.errors import DataMoved, OperationFailed
from core.register.database import Register
from core.restores.restore_service import RestoreService
from core.restores.undo import How, may_undo, undo_of, undoable
from recordsync.models import HeadMove
from tests.builders.days import ABC, FRIDAY, SATURDAY, XYZ, Content, Key, blank_day, day, key_of
from tests.builders.registers import put, register, rows
from tests.conftest import DEEP
from tests.running import databases

NUMBERS = ("E1", "E2", "E/3 x")


def start(alias: str, days: list[Content]) -> User:
    """An empty register with these days, and its root."""
    databases.empty(alias, "jobs")
    put(alias, register(*days, companies=(ABC, XYZ)))
    return User.objects.db_manager(alias).create_superuser("root")


def selected(alias: str, keys: list[Key]) -> list[SelectedDay]:
    pks = dict(Company.objects.using(alias).values_list("name", "pk"))
    return [SelectedDay(pks[company], dt.date.fromisoformat(date), ep_no) for company, date, ep_no in keys]


keys = st.tuples(st.sampled_from([ABC, XYZ]), st.sampled_from([FRIDAY, SATURDAY]), st.sampled_from(NUMBERS))
wanted = st.one_of(
    st.tuples(st.just(Doing.STATUS), st.sampled_from(["P", "A", "-0.5"])),
    st.tuples(st.just(Doing.SHIFT), st.sampled_from(["", "N", "  x "])),
    st.just((Doing.DELETE, "")),
)


def after(there: dict[Key, Content], chosen: list[Key], doing: Doing, value: str) -> dict[Key, Content]:
    """What the register is to have afterwards, by a dictionary alone."""
    found = dict(there)
    for company, date, ep_no in chosen:
        key = company, date, ep_no
        if doing is Doing.DELETE:
            found.pop(key, None)
        elif key in there:
            found[key] = {**there[key], doing.value: value}
        elif doing is Doing.STATUS:
            of_person = sorted((k[1], c["ep_name"]) for k, c in there.items() if (k[0], k[2]) == (company, ep_no))
            if of_person:
                found[key] = blank_day(company, ep_no, date, ep_name=of_person[-1][1], status=value)
    return found


@settings(max_examples=100 if DEEP else 12)
@given(
    there=st.dictionaries(keys, st.sampled_from(["Meena", "Meena R.", ""]), max_size=8),
    chosen=st.lists(keys, min_size=1, max_size=6, unique=True),
    edit=wanted,
)
def test_it_does_what_was_asked_and_undo_brings_back_what_was(
    register_db: str, there: dict[Key, str], chosen: list[Key], edit: tuple[Doing, str]
) -> None:
    days = [day(company, ep_no, date, ep_name=name) for (company, date, ep_no), name in there.items()]
    root, here = start(register_db, days), Register(register_db)
    before = {key_of(one): one for one in days}
    asked = BulkEdit(selected(register_db, chosen), *edit)
    preview = preview_bulk_edit(root, asked, here)
    expected = after(before, chosen, *edit)
    assert rows(register_db).contents == before, "a preview writes nothing"
    apply_bulk_edit(root, asked, preview.digest, here)
    assert rows(register_db).contents == expected
    changed = {key for key in {*before, *expected} if before.get(key) != expected.get(key)}
    assert {change.key for change in preview.changes} == changed
    assert len(preview.changes) + preview.same + preview.unmarked == len(chosen)
    log = BackupLog.objects.using(register_db).get(operation="bulk_edit")
    assert (log.records_added, log.records_updated, log.records_deleted) == (
        len(expected.keys() - before.keys()),
        len([key for key in before.keys() & expected.keys() if key in changed]),
        len(before.keys() - expected.keys()),
    )
    if changed:
        move = undoable(here)
        assert HeadMove.objects.using(register_db).filter(cause="bulk_edit").count() == 1, "one entry in the history"
        RestoreService(register=here).restore_backup(undo_of(move, here), "manual", yes=True)
        assert rows(register_db).contents == before


def test_nothing_is_done_where_something_changed_since(register_db: str) -> None:
    root, here = start(register_db, [day(), day(ep_no="E2")]), Register(register_db)
    asked = BulkEdit(selected(register_db, [(ABC, FRIDAY, "E1"), (ABC, FRIDAY, "E2")]), Doing.STATUS, "A")
    preview = preview_bulk_edit(root, asked, here)
    AttendanceRecord.objects.using(register_db).filter(ep_no="E2").update(overstay=5)
    with pytest.raises(DataMoved, match=r"changed after the preview\. Nothing was changed\. Look at a new preview"):
        apply_bulk_edit(root, asked, preview.digest, here)
    assert set(AttendanceRecord.objects.using(register_db).values_list("status", flat=True)) == {"P"}
    other = BulkEdit(asked.days, Doing.STATUS, "L")
    with pytest.raises(DataMoved):
        apply_bulk_edit(root, other, preview_bulk_edit(root, asked, here).digest, here)


def test_times_of_who_is_said_to_be_away_are_counted(register_db: str) -> None:
    root, here = start(register_db, [day(), blank_day(ep_no="E2")]), Register(register_db)
    days = selected(register_db, [(ABC, FRIDAY, "E1"), (ABC, FRIDAY, "E2")])
    assert preview_bulk_edit(root, BulkEdit(days, Doing.STATUS, "L"), here).with_times == 1
    assert preview_bulk_edit(root, BulkEdit(days, Doing.STATUS, "PD"), here).with_times == 0


def test_who_may(register_db: str) -> None:
    start(register_db, [day(), day(XYZ)])
    here, companies = Register(register_db), Company.objects.using(register_db)
    create = User.objects.db_manager(register_db).create_user
    admin = create("admin", role="admin", company=companies.get(name=ABC))
    reader = create("reader", role="user1", company=companies.get(name=ABC))
    own, both = (selected(register_db, [(name, FRIDAY, "E1") for name in names]) for names in ([ABC], [ABC, XYZ]))
    for user, days in ((admin, both), (reader, own)):
        with pytest.raises(PermissionError):
            preview_bulk_edit(user, BulkEdit(days, Doing.DELETE), here)
        with pytest.raises(PermissionError):
            apply_bulk_edit(user, BulkEdit(days, Doing.DELETE), "x", here)
    asked = BulkEdit(own, Doing.DELETE)
    operation = apply_bulk_edit(admin, asked, preview_bulk_edit(admin, asked, here).digest, here)
    move = undoable(here, operation, user=admin)
    assert undo_of(move, here).how is How.EVERYWHERE
    assert not may_undo(create("other", role="admin", company=companies.get(name=XYZ)), move, here)


@pytest.mark.parametrize("count", [0, MOST + 1])
def test_how_many_days_it_takes(register_db: str, count: int) -> None:
    root = start(register_db, [day()])
    (one,) = selected(register_db, [(ABC, FRIDAY, "E1")])
    days = [one._replace(ep_no=str(number)) for number in range(count)]
    with pytest.raises(OperationFailed, match="Nothing was changed"):
        preview_bulk_edit(root, BulkEdit(days, Doing.DELETE), Register(register_db))
