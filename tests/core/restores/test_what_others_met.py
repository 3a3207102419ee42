"""What the users of other tools met, and what must not happen here: each case between two installations."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest
from django.db import connections
from django.utils import timezone

from core.models import AttendanceRecord
from core.operations.errors import ConflictsLeft, FileRefused, OperationFailed
from core.operations.wording import describe
from core.register.database import Register
from core.register.declared import ATTENDANCE_RECORDS
from core.restores.large_deletions import LargeDeletion
from core.restores.restore_service import RestoreService
from recordsync.errors import LockTimeout
from recordsync.history import collect
from recordsync.history.databases import history_of
from recordsync.merge import Side, merge, resolve
from recordsync.model.fields import Text
from recordsync.model.records import Record
from recordsync.model.schema import Field
from recordsync.models import Block, Node
from tests.builders.days import ABC, XYZ, day
from tests.builders.files import canonical, checksum, sealed
from tests.builders.registers import put, register
from tests.builders.sheets import row
from tests.core.restores.test_ancestry import Site, Sites, put_day, sites
from tests.running import databases
from tests.running.inspection import content
from tests.running.services import imported

__all__ = ["sites"]


def altered(data: bytes, **fields: str) -> bytes:
    """A file whose first attendance record has other values, with checksums and digest that are right."""
    text = data.decode()
    record = json.loads(text)["attendance_records"][0]
    said = {name: value for name, value in record.items() if name not in ("checksum", "created_at")} | fields
    text = text.replace(canonical(record), canonical({**record, **said, "checksum": checksum(said)}))
    body, _name, trailer = text.partition('"trailer":')
    return sealed(body, json.loads(trailer.rstrip()[:-1]))


def test_an_offline_peer_does_not_bring_back_what_was_deleted(sites: Sites) -> None:
    """It was away for weeks, has the record still, and sends all that it has."""
    office, laptop = sites
    office.delete("E1")
    for number in range(3):
        put_day(office, f"E{5 + number}")
        office.file()
    put_day(laptop, "E9")
    assert not office.restore(laptop.file()).conflicts
    assert office.numbers() == "E2 E3 E4 E5 E6 E7 E9"
    laptop.restore(office.file())
    assert content(laptop.alias) == content(office.alias)


def test_delete_against_edit_is_deleted_on_neither_side_unseen(sites: Sites) -> None:
    office, server = sites
    office.delete("E1")
    server.edit("E1", shift="N")
    files = office.file(), server.file()
    for site, file in ((server, files[0]), (office, files[1])):
        with pytest.raises(ConflictsLeft) as left:
            site.restore(file)
        assert left.value.errors[0].key == (ABC, "E1", "2026-11-20")
    assert (office.numbers(), server.numbers()) == ("E2 E3 E4", "E1 E2 E3 E4")


def test_a_disk_that_is_not_there_does_not_delete_everything(sites: Sites) -> None:
    """An installation whose records are gone, for whatever reason, says that all were deleted."""
    office, server = sites
    put(office.alias, register(*(day(XYZ, ep_no=f"X{n}") for n in range(120))))
    server.restore(office.file())
    AttendanceRecord.objects.using(office.alias).all().delete()
    file = office.file()
    before = content(server.alias)
    with pytest.raises(LargeDeletion, match="120 of 120 records of XYZ Ltd"):
        server.restore(file, "backup_wins")
    with pytest.raises(OperationFailed):
        RestoreService(register=Register(server.alias)).restore_backup("/nowhere/full.json")
    assert content(server.alias) == before


def test_a_column_that_both_sides_add_loses_no_edit() -> None:
    """Both were upgraded since they shared a snapshot, and each filled the new field of other records."""
    model = replace(
        ATTENDANCE_RECORDS,
        fields=(*ATTENDANCE_RECORDS.fields, Field("remark", Text(max_length=100, nullable=True), later=True)),
        units={**ATTENDANCE_RECORDS.units, "remark": ("remark",)},
    )
    shape = model.shape()

    def side(**remarks: str) -> list[Record]:
        return [shape.from_mapping({**day(ep_no=ep_no), "remark": remarks.get(ep_no)}) for ep_no in ("E1", "E2")]

    found = []
    for one in merge(shape, shape, side(), side(E1="ours"), side(E2="theirs"), complete=True):
        assert not one.conflicts
        change = resolve(shape, shape, one, lambda unit: Side.OURS)
        after = one.ours if change is None else change.after
        assert after is not None
        found.append(shape.content(after)["remark"])
    assert found == ["ours", "theirs"]


def test_of_two_violations_in_one_record_both_are_named(sites: Sites) -> None:
    office, server = sites
    before = content(server.alias)
    with pytest.raises(FileRefused) as refused:
        server.restore(altered(office.file(), status="Q", in_time="25:00:00"))
    assert {error.field for error in refused.value.errors} >= {"status", "in_time"}
    assert content(server.alias) == before


def test_the_same_in_another_spelling_is_no_difference(sites: Sites) -> None:
    server = sites.server
    AttendanceRecord.objects.using(server.alias).all().delete()
    imported(server.alias, row(in_time="09:00", date="2026-11-20"))
    again = imported(server.alias, row(in_time="9:00:00", date="20/11/2026"))
    assert (again.records.added, again.records.updated, again.records.skipped) == (0, 0, 1)


def test_nothing_is_collected_while_a_restore_reads(sites: Sites) -> None:
    """Who collects waits for the restore. What nothing leads to any more is kept for a day all the same."""
    office, server = sites
    here = Register(server.alias).history
    put_day(office, "E5")
    file = office.file()
    tried = []

    def told(phase: str, done: int, total: int | None, /) -> None:
        with pytest.raises(LockTimeout), here.alone(0):
            pass
        tried.append(phase)

    RestoreService(register=Register(server.alias)).restore_backup(
        io.BytesIO(file), progress_callback=lambda phase, *of: told(phase, *of) if phase == "compare" else None
    )
    assert tried


def test_the_store_of_snapshots_does_not_only_grow(sites: Sites) -> None:
    server = sites.server
    here = Register(server.alias).history
    for number in range(6):
        imported(server.alias, row(shift=f"G{number}"))
    store = history_of(server.alias)
    collect.collect(here, 1, databases.LONG)
    for table in (Block, Node):
        long_ago = timezone.now() - 2 * collect.GRACE
        table._default_manager.using(store).filter(unreachable_since__isnull=False).update(unreachable_since=long_ago)
    before = Block.objects.using(store).count()
    collect.collect(here, 1, databases.LONG)
    assert Block.objects.using(store).count() < before
    assert RestoreService(register=Register(server.alias)).preview_changes(io.BytesIO(server.file())).changes_nothing


def test_a_preview_does_not_swap_its_sides(sites: Sites) -> None:
    office, server = sites
    office.edit("E1", shift="OFFICE")
    server.edit("E1", shift="SERVER")
    for site, other in (sites, sites[::-1]):
        service = RestoreService(register=Register(site.alias))
        names = {office: "OFFICE", server: "SERVER"}
        with service.preview_changes(io.BytesIO(other.file()), "manual") as preview:
            (step,) = preview.to_decide()
            told = describe(step, preview.plan.shapes[step.model.name], decided=False)
        assert f'here "{names[site]}", backup "{names[other]}"' in told


def test_a_record_that_no_file_can_hold_is_named(sites: Sites) -> None:
    """It was written with SQL, past Muster. PostgreSQL does not let it be there at all."""
    site: Site = next(site for site in sites if connections[site.alias].vendor == "sqlite")
    with connections[site.alias].cursor() as cursor:
        cursor.execute("PRAGMA ignore_check_constraints = on")
        cursor.execute("UPDATE core_attendancerecord SET shift = CAST('N' || char(0) AS TEXT) WHERE ep_no = 'E2'")
        cursor.execute("PRAGMA ignore_check_constraints = off")
    with pytest.raises(OperationFailed, match="E2"):
        site.file()


def test_a_tampered_byte_is_another_byte_and_is_found(sites: Sites) -> None:
    office, server = sites
    put_day(office, "E5")
    data = office.file()
    before = content(server.alias)
    for position in (len(data) // 7, len(data) // 2, len(data) - 40):
        tampered = data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]
        assert tampered != data
        with pytest.raises(FileRefused):
            server.restore(tampered)
    assert content(server.alias) == before
