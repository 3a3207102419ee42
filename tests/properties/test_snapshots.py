"""Snapshots: whatever was written and however, the head's tree is that of the content (laws 13 and 14)."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from typing import Any
from unittest.mock import patch

import pytest
from django.db import connections, transaction
from django.utils import timezone
from hypothesis import event
from hypothesis import strategies as st

from core.models import AttendanceRecord, Company, Seal
from core.operations.snapshots import our_blocks
from core.register.database import Register
from core.register.declared import SCHEMA
from recordsync.errors import InvalidRecord
from recordsync.history import leaves
from recordsync.history.blocks import block_of
from recordsync.history.leaves import PlacedBlock
from recordsync.history.snapshots import History, Occasion, TakenSnapshot
from recordsync.history.store import SEPARATOR, StoredTree, pieces
from recordsync.model.json_values import InstallationName
from recordsync.models import Block, Commit, Dirty, Head, HeadMove, Leaf, Node
from recordsync.system.files import Compression
from recordsync.system.transactions import writing
from tests.builders import trees
from tests.builders.days import blank_day
from tests.builders.files import canonical
from tests.builders.registers import LONG_AGO, RegisterData, put, register, rows
from tests.properties.laws import clear, for_all
from tests.running.services import backup_bytes, restore
from tests.running.ways_to_write import COMPANY, DATES, RECORD, WAYS, put_days, rename, sql
from tests.strategies.registers import pairs, registers

OCCASION = Occasion(InstallationName("00000000-0000-4000-8000-000000000001", "Here"), "meena", "test")
WAIT = 10.0


def history(alias: str) -> History:
    return Register(alias).history


def take(alias: str) -> TakenSnapshot:
    with history(alias).alone(WAIT):
        return history(alias).take(OCCASION, WAIT)


def head_leaves(alias: str) -> dict[str, list[PlacedBlock]]:
    return {model.name: list(leaves.leaves(alias, model)) for model in SCHEMA}


def content_of(alias: str) -> dict[str, list[bytes]]:
    """The lines of the head's tree, from the history store alone."""
    store = history(alias).store
    head = Head.objects.using(alias).get().snapshot
    tree = StoredTree(store, head.tree, SCHEMA)
    found: dict[str, list[bytes]] = {}
    for model in SCHEMA:
        blocks = [block for _partition, block in tree.blocks(model)]
        frames = store.frames(blocks)
        lines = [b"".join(pieces(block, frame)).split(SEPARATOR) for block, frame in zip(blocks, frames, strict=True)]
        found[model.name] = [line for of_block in lines for line in of_block]
    return found


def require_head(alias: str, expected: RegisterData, most: int = 1024) -> None:
    """The head's tree is that of the content, its blocks have the content, and its leaves are those that reading
    everything gives."""
    head = Head.objects.using(alias).get().snapshot
    assert head.tree == trees.tree(expected, most).digest
    assert not Dirty.objects.using(alias).exists()
    lines = content_of(alias)
    assert len(lines["companies"]) == len(expected.companies)
    texts = [line.decode() for line in lines["attendance_records"]]
    for text, (_key, content) in zip(texts, sorted(expected.records.items()), strict=True):
        assert canonical(content)[1:-1].split(",")[0] in text
    before = head_leaves(alias)
    Leaf.objects.using(alias).all().delete()
    HeadMove.objects.using(alias).all().delete()
    Head.objects.using(alias).all().delete()
    assert take(alias).snapshot.tree == head.tree
    assert head_leaves(alias) == before


def require_current(alias: str) -> None:
    """What a preview takes for the register's blocks are those that reading everything gives."""
    with Register(alias).read() as store:
        current, _notes = our_blocks(Register(alias), store)
        event("all must be read" if current is None else "blocks are known")
        if current is None:
            return
        for model in SCHEMA:
            read = [(partition, block_of(lines)) for partition, lines in store.blocks(model)]
            assert list(current.blocks(model)) == read


steps = st.lists(
    st.tuples(st.sampled_from((*WAYS, None)), st.integers(0, 20), st.text("ab'é", max_size=2)), min_size=1, max_size=8
)


@for_all(before=registers(), done=steps, most=st.sampled_from([1024, 1]))
def test_a_snapshot_from_marks_is_that_from_scratch(
    alias: str, before: RegisterData, done: Sequence[Any], most: int
) -> None:
    """Law 13: for all registers, and whatever is written to them in whatever way, the head's tree and leaves are what
    reading everything gives."""
    with patch("recordsync.history.trees.MOST_CHILDREN", most):
        put(alias, before)
        put_days(
            alias,
            Company.objects.using(alias).get_or_create(name="C1")[0],
            [blank_day("C1", str(number), DATES[number % len(DATES)]) for number in range(12)],
        )
        take(alias)
        for way, pick, text in done:
            if way is None:
                take(alias)
            else:
                event(way.__name__)
                way(alias, pick, text)
        require_current(alias)
        take(alias)
        found = rows(alias)
        expected = RegisterData(found.names, found.contents)
        require_head(alias, expected, most)


@for_all(of=pairs())
def test_equal_content_has_one_tree(alias: str, of: tuple[RegisterData, RegisterData]) -> None:
    """Law 14: for all pairs of registers, the trees of their snapshots are equal if and only if their content is, from
    whatever content they came to be so."""
    found = []
    for expected in of:
        clear(alias)
        put(alias, expected)
        found.append(take(alias).snapshot.tree)
    same = (of[0].companies, of[0].records) == (of[1].companies, of[1].records)
    event("equal" if same else "different")
    assert (found[0] == found[1]) == same


@for_all(of=registers(), compression=st.sampled_from([None, "gzip", "zstd"]))
def test_a_full_file_is_the_register_by_its_tree(alias: str, of: RegisterData, compression: Compression | None) -> None:
    """Law 12, of full files: for all registers, the file's tree is the register's, and that of another one into which
    it was restored; and so are the blocks that this one has stored."""
    put(alias, of)
    data, result = backup_bytes(alias, compression=compression)
    expected = trees.tree(of).digest
    assert result.metadata.snapshot is not None
    assert result.metadata.snapshot.says.tree == expected
    before = content_of(alias)
    clear(alias)
    restore(alias, data)
    head = Head.objects.using(alias).select_related("snapshot").first()
    assert (head.snapshot.tree if head else trees.tree(RegisterData()).digest) == expected
    assert not Dirty.objects.using(alias).exists()
    if head is not None:
        assert content_of(alias) == before
        require_head(alias, of)


def test_a_snapshot_is_taken_after_an_idle_hour(register_db: str) -> None:
    """When the transaction of the history store, which may be of the same database, has removed rows that the
    snapshot's own transaction still sees."""
    put(register_db, register(blank_day()))
    Commit.objects.using(register_db).create(id=uuid.uuid4(), at=timezone.now() - dt.timedelta(hours=2))
    assert take(register_db).snapshot.number == 1


def test_what_is_not_changed_makes_no_snapshot(register_db: str) -> None:
    put(register_db, register(blank_day()))
    first = take(register_db)
    AttendanceRecord.objects.using(register_db).update(shift="N")
    AttendanceRecord.objects.using(register_db).update(shift="")
    again = take(register_db)
    assert again.snapshot == first.snapshot
    assert HeadMove.objects.using(register_db).count() == 1
    assert not Dirty.objects.using(register_db).exists()


@pytest.mark.parametrize("engine", ["sqlite"])
def test_a_snapshot_that_another_one_overtook_is_taken_again(register_db: str) -> None:
    """Without the lock, as after its file was deleted; and the register was meanwhile what it is at the head. On
    PostgreSQL both cannot delete the same marks."""
    put(register_db, register(*(blank_day(name, "1", date) for name in "ABC" for date in DATES)))
    head = take(register_db).snapshot
    AttendanceRecord.objects.using(register_db).filter(date=DATES[0]).update(shift="N")
    writes: list[None] = []

    def overtaken(*arguments: Any, **options: Any) -> AbstractContextManager[None]:
        writes.append(None)
        if len(writes) == 2:  # it has read, and is about to write
            AttendanceRecord.objects.using(register_db).update(shift="")
            assert history(register_db).take(OCCASION, WAIT).snapshot == head
        return writing(*arguments, **options)

    with patch("recordsync.history.snapshots.writing", overtaken):
        assert take(register_db).snapshot == head
    found = rows(register_db)
    require_head(register_db, RegisterData(found.names, found.contents))


NO_DAYS = {
    "sqlite": ("2027-01-05 10:00:00", "2026-11-31", "2026-11-39", "2026-13-25", "0000-05-05", 2_461_000),
    "postgresql": ("infinity", "-infinity", "0044-03-15 BC", "10000-01-01"),
}
"""Dates that a client of the database can write, and no file can hold."""


def test_a_date_that_no_file_can_hold_is_told_at_once(register_db: str) -> None:
    """By name, wherever in the table it is: no snapshot passes over its record."""
    is_sqlite = connections[register_db].vendor == "sqlite"
    put(register_db, register(*(blank_day("C", str(number), date) for number in range(9) for date in DATES)))
    for written in NO_DAYS[connections[register_db].vendor]:
        taken = take(register_db)
        row = AttendanceRecord.objects.using(register_db).earliest("date", "ep_no")
        with suppress(InterruptedError), transaction.atomic(using=register_db):
            if is_sqlite:
                sql(register_db, "PRAGMA ignore_check_constraints = ON")
            sql(register_db, f"UPDATE {RECORD} SET date = %s WHERE id = %s", written, row.pk)
            if is_sqlite:
                sql(register_db, "PRAGMA ignore_check_constraints = OFF")
            with pytest.raises(InvalidRecord, match="date"):
                history(register_db).take_within(OCCASION, WAIT, is_counted=False)
            raise InterruptedError
        assert take(register_db).snapshot == taken.snapshot


@pytest.mark.parametrize("is_numbered_anew", [False, True])
def test_records_that_have_a_company_again_are_read(register_db: str, is_numbered_anew: bool) -> None:
    """As any client can have it that does not check foreign keys."""
    put(register_db, register(*(blank_day(name, "1", date) for name in "ABCDEF" for date in DATES)))
    take(register_db)
    first, second = Company.objects.using(register_db).order_by("name")[:2]
    unchecked, checked = {
        "sqlite": ("PRAGMA foreign_keys = OFF", "PRAGMA foreign_keys = ON"),
        "postgresql": ("SET session_replication_role = replica", "RESET session_replication_role"),
    }[connections[register_db].vendor]
    sql(register_db, unchecked)
    try:
        sql(register_db, f"DELETE FROM {COMPANY} WHERE id = %s", first.pk)
        take(register_db)
        if is_numbered_anew:
            sql(register_db, f"UPDATE {COMPANY} SET id = %s WHERE id = %s", first.pk, second.pk)
            AttendanceRecord.objects.using(register_db).filter(company=second.pk).delete()
        else:
            columns = f"INSERT INTO {COMPANY} (id, name, created_at, updated_at)"
            sql(register_db, f"{columns} VALUES (%s, 'new', %s, %s)", first.pk, LONG_AGO, LONG_AGO)
            rename(register_db, 0, "newer")
    finally:
        sql(register_db, checked)
    take(register_db)
    found = rows(register_db)
    require_head(register_db, RegisterData(found.names, found.contents))


def test_what_an_empty_register_was_needs_no_store(register_db: str) -> None:
    put(register_db, register(blank_day("C", "1")))
    take(register_db)
    AttendanceRecord.objects.using(register_db).all().delete()
    Company.objects.using(register_db).all().delete()
    empty = take(register_db).snapshot
    store = history(register_db).store
    for model in (Block, Node):
        model.objects.using(store.alias).all().delete()
    tree = StoredTree(store, empty.tree, SCHEMA)
    assert not any(tree.totals().values())
    assert history(register_db).state().is_clean
    assert store.known_nodes([str(empty.tree), "0" * 64]) == {empty.tree}
    put(register_db, register(blank_day("C", "2")))
    assert b'"ep_no":"2"' in backup_bytes(register_db, "incremental", parent=empty.pk)[0], "so a backup can continue it"


def test_only_what_is_dirty_is_read(register_db: str) -> None:
    days = [blank_day("C", str(number), date) for number in range(9) for date in DATES]
    put(register_db, register(*days))
    first = take(register_db)
    alias = history(register_db).store.alias
    blocks, nodes = Block.objects.using(alias).count(), Node.objects.using(alias).count()
    AttendanceRecord.objects.using(register_db).filter(date="2026-11-30", ep_no="1").update(shift="N")
    assert take(register_db).snapshot != first.snapshot
    assert Block.objects.using(alias).count() == blocks + 1
    assert Node.objects.using(alias).count() == nodes + 4  # month, company, model, root


def test_a_model_with_few_records_does_not_have_the_others_read(
    register_db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All seals there are were written since the head, and none of the records, which are many."""
    monkeypatch.setattr("recordsync.history.current.EVERY", 5)
    put(register_db, register(*(blank_day("C", str(number)) for number in range(9))))
    take(register_db)
    company = Company.objects.using(register_db).get()
    Seal.objects.using(register_db).create(
        company=company, month="2026-10-01", closed_by="meena", closed_as="C", digest="0" * 64
    )
    with Register(register_db).read() as store:
        current, _notes = our_blocks(Register(register_db), store)
        assert current is not None
        for model in SCHEMA:
            assert list(current.blocks(model)) == [(at, block_of(lines)) for at, lines in store.blocks(model)]
    AttendanceRecord.objects.using(register_db).update(shift="N")
    with Register(register_db).read() as store:
        assert our_blocks(Register(register_db), store)[0] is None


def test_what_is_marked_twice_is_read_once(register_db: str) -> None:
    """A company that has another name, and other records: a third of the register."""
    put(register_db, register(*(blank_day(name, "1", date) for name in "ABC" for date in DATES)))
    take(register_db)
    company = Company.objects.using(register_db).earliest("name")
    AttendanceRecord.objects.using(register_db).filter(company=company).update(shift="N")
    rename(register_db, 0, "new")
    dirty = history(register_db).state().dirty
    assert {place.parent for place in dirty["attendance_records"] or ()} == {str(company.pk)}
    assert not dirty["seals"], "it has none"
