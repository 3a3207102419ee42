"""Properties 2, 3, 5, 12 and 15: what a backup holds, and that it comes back the same."""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from django.db import transaction
from hypothesis import event, given
from hypothesis import strategies as st
from pytest_django.plugin import DjangoDbBlocker

from core.backups.backup_service import BackupService
from core.models import AttendanceRecord, Company
from core.operations.results import BackupResult, RestoreResult
from core.register.database import Register
from core.register.declared import Selection
from core.restores.restore_service import RestoreService
from recordsync.system.files import Compression
from tests.builders import files
from tests.builders.days import Key
from tests.builders.registers import RegisterData, Row, Stamps, everything, put, rows
from tests.builders.trees import snapshot_file
from tests.properties.laws import clear, examples, for_all
from tests.running import databases
from tests.running.services import backup_bytes, restore
from tests.strategies.registers import MOMENTS, dates, past_moments, strategies
from tests.strategies.registers import registers as any_register


@for_all(register=any_register(stamped=True), compression=st.sampled_from([None, "gzip", "zstd"]), strategy=strategies)
def test_properties_02_05_15_a_full_backup_holds_the_register_and_brings_it_back(
    alias: str, register: RegisterData, compression: Compression | None, strategy: str
) -> None:
    """For all databases and strategies, one full backup is held to three laws."""
    put(alias, register)
    data, result = backup_bytes(alias, compression=compression)
    _assert_it_holds_exactly_the_register(files.unpacked(data, compression), result, register)
    before, tables = rows(alias), everything(alias)
    _assert_all_was_skipped(restore(alias, data, strategy), register)
    assert everything(alias) == tables
    clear(alias)
    start = dt.datetime.now(dt.UTC)
    outcome, after = restore(alias, data, strategy), rows(alias)
    _assert_same(before.companies, after.companies, start)
    _assert_same(before.records, after.records, start)
    assert (outcome.companies.added, outcome.records.added) == (len(before.companies), len(before.records))
    assert (outcome.companies.read, outcome.records.read) == (len(before.companies), len(before.records))


def _assert_it_holds_exactly_the_register(data: bytes, result: BackupResult, register: RegisterData) -> None:
    """Property 2: exactly its companies and records, in key order; and it is, byte for byte, the file that the
    format's description gives for them."""
    document = files.parsed(data)
    by_hand = snapshot_file(register)
    assert {section: document[section] for section in files.SECTIONS} == by_hand.records
    assert document["deleted"] == {section: [] for section in files.SECTIONS}
    assert (document["metadata"]["backup_type"], document["metadata"]["deletions"]) == ("full", "complete")
    by_hand.metadata = document["metadata"]
    assert data == by_hand.encode()
    assert result.digest == document["trailer"]["sha256"]


def _assert_all_was_skipped(outcome: RestoreResult, register: RegisterData) -> None:
    """Property 5: restoring onto the data that a backup was taken of skips every entry. (It writes nothing either,
    not a row, not a timestamp.)"""
    for counts, expected in (
        (outcome.companies, len(register.companies)),
        (outcome.records, len(register.records)),
    ):
        assert (counts.read, counts.skipped) == (expected, expected)
        assert counts.conflicts == counts.created == counts.absent_deleted == counts.absent_kept == 0


def _assert_same(before: Mapping[Any, Row], after: Mapping[Any, Row], start: dt.datetime) -> None:
    """Property 15: restored into an empty database the same rows, created when they were, changed there and then."""
    assert {key: (row.content, row.created_at) for key, row in before.items()} == {
        key: (row.content, row.created_at) for key, row in after.items()
    }
    assert all(start <= row.updated_at <= dt.datetime.now(dt.UTC) for row in after.values())


@st.composite
def _selections(draw: st.DrawFn, register: RegisterData) -> Selection:
    names = draw(st.one_of(st.none(), st.lists(st.sampled_from(register.companies), unique=True)))
    days = sorted(draw(st.lists(dates, min_size=2, max_size=2)))
    return Selection(
        sorted(names) if names is not None else None,
        draw(st.sampled_from([None, days[0]])),
        draw(st.sampled_from([None, days[1]])),
    )


@st.composite
def _orders(draw: st.DrawFn) -> tuple[RegisterData, dict[str, Any]]:
    """A register, and a backup of some kind to take of it."""
    register = draw(any_register(min_records=1, stamped=True))
    options: dict[str, Any] = {"backup_type": "full"}
    if draw(st.booleans()):
        options = {"backup_type": "incremental", "since_date": draw(past_moments)}
    if draw(st.booleans()):
        options["selection"] = draw(_selections(register))
    return register, options


def _belongs(key: Key, selection: Selection | None) -> bool:
    if selection is None:
        return True
    company, day, _number = key
    named = selection.companies is None or company in selection.companies
    return named and (selection.date_from or "") <= day <= (selection.date_to or "9999-12-31")


@for_all(order=_orders())
def test_property_03_metadata_counts_equal_what_the_file_holds(
    alias: str, order: tuple[RegisterData, dict[str, Any]]
) -> None:
    """For all backups of any kind, metadata, trailer and result count what the file holds, and it is what was
    asked for."""
    register, options = order
    put(alias, register)
    data, result = backup_bytes(alias, **options)
    document = files.parsed(data)
    selection, since = options.get("selection"), options.get("since_date")
    found = files.contents(document)
    names = [line["name"] for line in document["companies"]]
    counted = {"companies": len(names), "attendance_records": len(document["attendance_records"])}
    assert {name: document["metadata"][f"total_{name}"] for name in counted} == counted
    assert {name: document["trailer"][name] for name in (*counted, "deleted")} == {**counted, "deleted": 0}
    assert (result.companies, result.records) == (counted["companies"], counted["attendance_records"])
    assert found == {
        key: content
        for key, content in register.records.items()
        if _belongs(key, selection) and (since is None or register.record_stamp(key).updated_at >= since)
    }
    assert {key[0] for key in found} <= set(names)
    assert set(names) <= set(
        selection.companies if selection and selection.companies is not None else register.companies
    )
    event(f"{options['backup_type']}, {'selection' if selection else 'all'}")


@st.composite
def _around(draw: st.DrawFn) -> tuple[RegisterData, dt.datetime]:
    """A moment, and a register with rows written just before, at, and just after it."""
    since = draw(past_moments.filter(lambda moment: dt.timedelta(1) < moment - MOMENTS[0]))
    register = draw(any_register(min_records=1))
    offsets = st.sampled_from([-86_400_000_000, -1, 0, 1, 999_999, 3_600_000_000]).map(
        lambda microseconds: Stamps(updated_at=since + dt.timedelta(microseconds=microseconds))
    )
    return replace(
        register,
        company_stamps={name: draw(offsets) for name in register.companies},
        record_stamps={key: draw(offsets) for key in register.records},
    ), since


@for_all(case=_around(), offset=st.sampled_from([0, 330, -480]))
def test_property_12_an_incremental_holds_exactly_what_changed_since(
    alias: str, case: tuple[RegisterData, dt.datetime], offset: int
) -> None:
    """For all moments, in any time zone, an incremental since then holds every record that changed at or after it
    and no other, the companies that these name, and those that changed themselves."""
    register, since = case
    put(alias, register)
    zone = dt.timezone(dt.timedelta(minutes=offset))
    document = files.parsed(backup_bytes(alias, "incremental", since.astimezone(zone))[0])
    expected = {
        key: content for key, content in register.records.items() if register.record_stamp(key).updated_at >= since
    }
    assert files.contents(document) == expected
    names = {name for name in register.companies if register.company_stamp(name).updated_at >= since}
    assert [line["name"] for line in document["companies"]] == sorted(names | {key[0] for key in expected})
    metadata = document["metadata"]
    assert (metadata["parent"], metadata["since_date"], metadata["deletions"]) == (None, files.moment(since), "unknown")


@pytest.mark.postgres
def test_property_15_across_engines_the_content_stays_the_same(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> None:
    """For all registers: SQLite, file, PostgreSQL, file gives the same records line for line, checksums included."""
    sqlite, postgres = databases.ALIASES["sqlite"], databases.ALIASES["postgres"]

    @examples("postgres")
    @given(any_register(stamped=True))
    def law(register: RegisterData) -> None:
        for alias in (sqlite, postgres):
            clear(alias)
        put(sqlite, register)
        first, _result = backup_bytes(sqlite)
        restore(postgres, first)
        second, _result = backup_bytes(postgres)
        there, back = files.parsed(first), files.parsed(second)
        for section in files.SECTIONS:
            assert there[section] == back[section]
        assert first.split(b"\n")[1:-2] == second.split(b"\n")[1:-2]
        assert rows(sqlite).contents == rows(postgres).contents == register.records

    with django_db_blocker.unblock():
        law()
        databases.empty(sqlite, postgres, "jobs")


def test_a_backup_reads_what_was_written_since_the_service_was_made(register_db: str) -> None:
    """One service may serve many backups and restores: it remembers nothing of the register between them."""
    service, restorer = (
        BackupService(register=Register(register_db)),
        RestoreService(register=Register(register_db)),
    )
    out = io.BytesIO()
    service.create_backup(output=out)
    company = Company.objects.using(register_db).create(name="ABC Corp")
    AttendanceRecord.objects.using(register_db).create(company=company, ep_no="1", date="2026-11-20", status="P")
    full = io.BytesIO()
    assert service.create_backup(output=full).records == 1
    assert restorer.restore_backup(full).records.skipped == 1
    with transaction.atomic(using=register_db):
        AttendanceRecord.objects.using(register_db).all().delete()
        company.delete()
    assert restorer.restore_backup(full).records.added == 1
    assert service.create_backup(output=io.BytesIO()).records == 1
