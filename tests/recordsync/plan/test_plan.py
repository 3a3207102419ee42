"""Plans: what one file means for one database, counted, shown, compared and applied."""

import io
from collections.abc import Iterator, Sequence
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.register.declared import ATTENDANCE_RECORDS, COMPANIES, SCHEMA, SEALS
from recordsync.errors import OutOfOrder, RecordSyncError, RegisterMoved
from recordsync.merge import Counts, Outcome, Side, Strategy, decide_by, resolve
from recordsync.model.records import Record
from recordsync.model.schema import Model, Shape
from recordsync.plan import Account, Additions, Plan, Step, apply_plan, differences, make_plan
from recordsync.plan.listing import Listing
from recordsync.stores import Store
from recordsync.stores.orm import LOOKUP
from tests.builders.records import (
    MOMENT,
    NOW,
    Sections,
    company,
    cut,
    deletion,
    record,
    sections,
    sections_of,
    written,
)
from tests.recordsync.support import MemoryStore, always, opened
from tests.running.bases import RecordsAsBase
from tests.strategies.records import shapes, snapshots

SINCE: Final[dict[str, Any]] = {"backup_type": "incremental", "since_date": MOMENT}
BACKUP_WINS: Final = decide_by(Strategy.BACKUP_WINS)
DATABASE_WINS: Final = decide_by(Strategy.DATABASE_WINS)
WHOLE: Final = ATTENDANCE_RECORDS.shape()


def planned(store: Store, theirs: Sections, base: Sections | None = None, **described: Any) -> Plan:
    file = opened(written(theirs, **described))
    fields = {"fields": described["fields"]} if "fields" in described else {}
    based = RecordsAsBase(opened(written(base, **fields))) if base else None
    return make_plan(store, file, based, io.BytesIO())


def fields_of(shape: Shape) -> dict[str, list[str]]:
    """As a file describes them whose records of days have this shape."""
    return {"attendance_records": list(shape.names), "companies": ["name"], "seals": list(SEALS.names)}


def companies_of(days: Sequence[Record]) -> list[Record]:
    return [company(name) for name in sorted({record.key[0] for record in days})]


def kinds(plan: Plan, decide: Any = BACKUP_WINS) -> list[tuple[str, tuple[str, ...], str]]:
    """The plan's steps, each as model, key and what is written."""
    found = []
    for step in plan.steps(decide):
        key = step.merged.key if step.merged else step.change.key if step.change else ()
        what = "blocked" if step.blocked else step.change.kind if step.change else "kept"
        found.append((step.model.name, key, "created" if step.merged is None else what))
    return found


# --- Counting


def test_what_is_the_same_is_skipped_and_stands_in_no_step() -> None:
    days = [record("A", "1"), record("A", "2")]
    plan = planned(MemoryStore(sections_of(days)), sections_of(days))
    assert plan.counts(BACKUP_WINS) == {
        "companies": Counts(read=1, skipped=1),
        "attendance_records": Counts(read=2, skipped=2),
        "seals": Counts(),
    }
    assert (plan.size, list(plan.steps(BACKUP_WINS))) == (0, [])


def test_everything_is_counted_once() -> None:
    ours = sections_of([record("A", "1"), record("A", "2"), record("A", "3"), record("A", "4")])
    theirs = sections(
        [company("A"), company("B")],
        [record("A", "1"), record("A", "2", status="A"), record("B", "1")],
        gone_days=[
            deletion(ATTENDANCE_RECORDS, record("A", "3")),
            deletion(ATTENDANCE_RECORDS, record("A", "4", status="L")),
        ],
    )
    plan = planned(MemoryStore(ours), theirs)
    assert plan.counts(BACKUP_WINS) == {
        "companies": Counts(read=2, added=1, skipped=1),
        "attendance_records": Counts(read=5, added=1, updated=1, deleted=2, skipped=1, conflicts=2),
        "seals": Counts(),
    }
    assert plan.counts(DATABASE_WINS) == {
        "companies": Counts(read=2, added=1, skipped=1),
        "attendance_records": Counts(read=5, added=1, deleted=1, skipped=1, kept=2, conflicts=2),
        "seals": Counts(),
    }
    assert plan.counts(decide_by(Strategy.MANUAL)) == {
        "companies": Counts(read=2, added=1, skipped=1),
        "attendance_records": Counts(read=5, added=1, deleted=1, skipped=1, undecided=2, conflicts=2),
        "seals": Counts(),
    }
    assert [step.merged.key[2] for step in plan.to_decide(BACKUP_WINS) if step.merged] == ["2", "4"]


def test_what_follows_from_absence_is_counted_beside_the_sum() -> None:
    base = sections_of([record("A", "1"), record("A", "2"), record("A", "3")])
    ours = sections_of([record("A", "1"), record("A", "2", status="A"), record("A", "3"), record("A", "4")])
    plan = planned(MemoryStore(ours), sections_of([record("A", "3")]), base)
    assert plan.counts(BACKUP_WINS)["attendance_records"] == Counts(
        read=1, skipped=1, conflicts=1, only_here=1, absent_deleted=2, absent_kept=1
    )
    assert plan.counts(DATABASE_WINS)["attendance_records"] == Counts(
        read=1, skipped=1, conflicts=1, only_here=1, absent_deleted=1, absent_kept=2
    )
    assert plan.counts(decide_by(Strategy.MANUAL))["attendance_records"] == Counts(
        read=1, skipped=1, conflicts=1, only_here=1, absent_deleted=1, absent_kept=1, absent_undecided=1
    )


def test_a_record_partly_taken_is_updated_and_one_wholly_kept_is_kept() -> None:
    ours = sections_of([record("A", "1", ep_name="x", shift="x")])
    theirs = sections_of([record("A", "1", ep_name="y", shift="y")])
    plan = planned(MemoryStore(ours), theirs)
    sides = {"name": Side.THEIRS, "shift": Side.OURS}
    assert plan.counts(lambda model, merged, unit: sides[unit])["attendance_records"] == Counts(
        read=1, updated=1, conflicts=1
    )


def test_a_record_of_which_one_unit_is_not_decided_is_undecided_and_cannot_be_applied() -> None:
    store = MemoryStore(sections_of([record("A", "1", ep_name="x", shift="x")]))
    plan = planned(store, sections_of([record("A", "1", ep_name="y", shift="y")]))
    before = {name: dict(rows) for name, rows in store.rows.items()}

    def decide(model: Any, merged: Any, unit: str) -> Side | None:
        return Side.THEIRS if unit == "name" else None

    assert plan.counts(decide)["attendance_records"] == Counts(read=1, undecided=1, conflicts=1)
    assert [(step.change, step.undecided) for step in plan.steps(decide)] == [(None, True)]
    with pytest.raises(RecordSyncError, match="Nobody has decided about attendance_records"):
        apply_plan(plan, store, decide, NOW)
    assert store.rows == before


def test_counts_that_do_not_add_up_are_an_error() -> None:
    with pytest.raises(RecordSyncError, match="Of 2 entries read, 1 are accounted for"):
        Counts(read=2, added=1).verify()
    plan = planned(MemoryStore(sections()), sections_of([record("A", "1")]))
    account = Account(plan)
    for step in list(plan.steps(BACKUP_WINS))[1:]:
        account.add(step)
    with pytest.raises(RecordSyncError, match="accounted for"):
        account.verified()


# --- References


def test_a_company_that_a_record_names_is_created_first_and_once() -> None:
    theirs = sections(days=[record("New", "1"), record("New", "2"), record("Old", "1")])
    plan = planned(MemoryStore(sections([company("Old")])), theirs, **SINCE)
    assert kinds(plan) == [
        ("companies", ("New",), "created"),
        ("attendance_records", ("New", "2026-11-20", "1"), "add"),
        ("attendance_records", ("New", "2026-11-20", "2"), "add"),
        ("attendance_records", ("Old", "2026-11-20", "1"), "add"),
    ]
    assert plan.counts(BACKUP_WINS)["companies"] == Counts(created=1)
    assert not [step for step in plan.steps(BACKUP_WINS) if step.is_conflict]


def test_a_company_that_the_file_brings_is_not_created_beside() -> None:
    plan = planned(MemoryStore(sections()), sections_of([record("New", "1")]))
    assert [what for _model, _key, what in kinds(plan)] == ["add", "add"]


def test_a_company_whose_record_is_not_taken_is_not_created() -> None:
    base = sections_of([record("Gone", "1")])
    theirs = sections(days=[record("Gone", "1", status="A")])
    plan = planned(MemoryStore(sections()), theirs, base, **SINCE)
    assert kinds(plan, DATABASE_WINS) == [("attendance_records", ("Gone", "2026-11-20", "1"), "kept")]
    assert [what for _model, _key, what in kinds(plan, BACKUP_WINS)] == ["created", "add"]


def gone(*days: Record) -> Sections:
    """A file that lists the company A and these of its days as deleted."""
    return sections(
        gone_companies=[deletion(COMPANIES, company("A"))],
        gone_days=[deletion(ATTENDANCE_RECORDS, record) for record in days],
    )


def test_a_company_is_deleted_after_its_last_record() -> None:
    one, two = record("A", "1"), record("A", "2")
    store = MemoryStore(sections_of([one, two]))
    plan = planned(store, gone(one, two), **SINCE)
    assert [(model, what) for model, _key, what in kinds(plan)] == [
        ("attendance_records", "delete"),
        ("attendance_records", "delete"),
        ("companies", "delete"),
    ]
    apply_plan(plan, store, BACKUP_WINS, NOW)
    assert not any(store.content().values())


@pytest.mark.parametrize(
    ("ours", "accounts", "what"),
    [
        ([record("A", "1")], {}, "a record added here since"),
        ([record("A", "1"), record("A", "2")], {}, "a record that the file does not know"),
        ([record("A", "1")], {"A": 1}, "an account"),
    ],
)
def test_the_deletion_of_a_company_that_something_refers_to_is_a_conflict(
    ours: list[Record], accounts: dict[str, int], what: str
) -> None:
    store = MemoryStore(sections_of(ours), accounts)
    plan = planned(store, gone(ours[0]) if accounts or len(ours) > 1 else gone(), **SINCE)
    *_others, last = plan.steps(BACKUP_WINS)
    assert (last.model, last.blocked, last.change, last.is_conflict) == (COMPANIES, True, None, True), what
    counts = apply_plan(plan, store, BACKUP_WINS, NOW)
    assert counts["companies"] == Counts(read=1, kept=1, conflicts=1)
    assert store.content()["companies"] == [company("A")]


def test_a_company_is_kept_when_the_records_deletion_is_decided_for_ours() -> None:
    changed = record("A", "1", status="L")
    store = MemoryStore(sections_of([changed]))
    plan = planned(store, gone(record("A", "1")), **SINCE)
    assert [what for _model, _key, what in kinds(plan, DATABASE_WINS)] == ["kept", "blocked"]
    assert [what for _model, _key, what in kinds(plan, BACKUP_WINS)] == ["delete", "delete"]


def test_a_company_stays_for_a_record_that_the_file_adds() -> None:
    """The file says that the company was deleted, and brings a record of it."""
    theirs = sections(days=[record("A", "9")], gone_companies=[deletion(COMPANIES, company("A"))])
    store = MemoryStore(sections([company("A")]))
    plan = planned(store, theirs, **SINCE)
    assert [what for _model, _key, what in kinds(plan)] == ["add", "blocked"]
    apply_plan(plan, store, BACKUP_WINS, NOW)
    assert store.content()["companies"] == [company("A")]


def test_a_company_absent_from_a_full_file_goes_only_under_a_known_base() -> None:
    store = MemoryStore(sections([company("A"), company("B")]))
    assert planned(store, sections([company("B")])).size == 0
    plan = planned(store, sections([company("B")]), sections([company("A"), company("B")]))
    assert kinds(plan) == [("companies", ("A",), "delete")]
    assert plan.counts(BACKUP_WINS)["companies"] == Counts(read=1, skipped=1, absent_deleted=1)


# --- Digest and differences

COMMON: Final = sections_of([record("A", "1"), record("A", "2"), record("B", "1")])
THEIRS: Final = sections_of([record("A", "1", status="A"), record("A", "2"), record("A", "3"), record("C", "1")])


def test_the_same_state_and_file_give_the_same_digest() -> None:
    one, other = (planned(MemoryStore(COMMON), THEIRS) for _ in range(2))
    assert one.digest == other.digest
    assert not list(differences(one, other))


@given(snapshots(), snapshots(), snapshots(), snapshots() | st.none(), st.booleans(), st.integers(0, 1))
def test_digests_are_equal_only_if_nothing_differs_and_differences_name_what_moved(
    before: list[Record],
    after: list[Record],
    theirs: list[Record],
    base: list[Record] | None,
    incremental: bool,
    accounts: int,
) -> None:
    described = SINCE if incremental else {}
    based = None if base is None else sections_of(base)
    one = planned(MemoryStore(sections_of(before, "A")), sections_of(theirs), based, **described)
    other = planned(MemoryStore(sections_of(after, "A"), {"A": accounts}), sections_of(theirs), based, **described)
    moved = {(model.name, key) for model, key in differences(one, other)}
    assert (one.digest == other.digest) == (not moved)
    there = {("attendance_records", r.key): r for r in before} | {("companies", r.key): r for r in companies_of(before)}
    now = {("attendance_records", r.key): r for r in after} | {("companies", r.key): r for r in companies_of(after)}
    for name, key in moved:
        changed = there.get((name, key)) != now.get((name, key))
        refers = [k for (_name, k) in there.keys() ^ now.keys() if k[0] == key[0]]
        assert changed or refers or accounts, "something about this key or what refers to it moved"
    if one.digest == other.digest:
        for decide in (BACKUP_WINS, DATABASE_WINS):
            assert list(one.steps(decide)) == list(other.steps(decide))


def test_what_moved_is_named() -> None:
    one = planned(MemoryStore(COMMON), THEIRS)
    moved = sections_of([record("A", "1", shift="N"), record("A", "2"), record("A", "3"), record("B", "1")])
    other = planned(MemoryStore(moved), THEIRS)
    assert one.digest != other.digest
    assert [(model.name, key[2]) for model, key in differences(one, other)] == [
        ("attendance_records", "1"),
        ("attendance_records", "3"),
    ]
    assert list(differences(one, other)) == list(differences(other, one))


def test_a_reference_added_since_is_named() -> None:
    one = planned(MemoryStore(sections([company("A")])), gone(), **SINCE)
    other = planned(MemoryStore(sections([company("A")]), {"A": 1}), gone(), **SINCE)
    assert one.digest != other.digest
    assert [(model.name, key) for model, key in differences(one, other)] == [("companies", ("A",))]


def test_a_company_that_would_no_longer_be_created_is_named() -> None:
    theirs = sections(days=[record("New", "1")])
    one = planned(MemoryStore(sections()), theirs, **SINCE)
    other = planned(MemoryStore(sections([company("New")])), theirs, **SINCE)
    assert one.digest != other.digest
    assert [(model.name, key[0]) for model, key in differences(one, other)] == [("attendance_records", "New")]


def test_another_file_has_another_digest_though_nothing_differs() -> None:
    one = planned(MemoryStore(COMMON), THEIRS)
    other = planned(MemoryStore(COMMON), THEIRS, created_by="somebody else")
    assert one.digest != other.digest
    assert not list(differences(one, other))


def test_what_is_held_is_among_what_is_merged() -> None:
    plan = planned(MemoryStore(sections_of([record("A", "1")])), gone(record("A", "1")), **SINCE)
    assert [(model.name, merged.outcome) for model, merged in plan.merged()] == [
        ("attendance_records", Outcome.TAKE),
        ("companies", Outcome.TAKE),
    ]
    moved = planned(MemoryStore(sections_of([record("A", "1")], "B")), gone(record("A", "1")), **SINCE)
    assert plan.digest == moved.digest, "a company that the file says nothing about"


@given(snapshots(), snapshots(), snapshots(), shapes(), shapes())
def test_a_base_of_other_fields_is_seen_through_the_files(
    ours: list[Record], theirs: list[Record], base: list[Record], shape: Shape, before: Shape
) -> None:
    """A field that the base lacks was blank in it; one that the file lacks is left alone."""
    store = MemoryStore(sections_of(ours))
    file = opened(written(sections_of([cut(record, shape) for record in theirs]), fields=fields_of(shape)))
    of_old = [cut(record, before) for record in base]
    seen = [cut(WHOLE.project(record, before), shape) for record in of_old]
    one, other = (
        make_plan(
            store, file, RecordsAsBase(opened(written(sections_of(days), fields=fields_of(fields)))), io.BytesIO()
        )
        for days, fields in ((of_old, before), (seen, shape))
    )
    assert one.is_same_as(other)
    assert one.settled == other.settled


# --- Applying


@given(snapshots(), snapshots(), snapshots() | st.none(), shapes(), st.sampled_from(list(Side)), st.booleans())
def test_applying_leaves_what_the_steps_say_and_counts_add_up(
    ours: list[Record], theirs: list[Record], base: list[Record] | None, shape: Any, side: Side, incremental: bool
) -> None:
    narrow = [cut(record, shape) for record in theirs]
    based = None if base is None else sections_of([cut(record, shape) for record in base])
    described = {"fields": fields_of(shape)}
    store = MemoryStore(sections_of(ours, "A"))
    plan = planned(store, sections_of(narrow), based, **described, **(SINCE if incremental else {}))
    expected = {name: dict(rows) for name, rows in store.rows.items()}
    steps: list[Step] = list(plan.steps(always(side)))
    merges = [step for step in steps if step.merged is not None]
    for step, (model, merged) in zip(merges, plan.merged(), strict=True):
        assert (step.model, step.merged) == (model, merged)
        change = resolve(model.shape(), plan.shapes[model.name], merged, lambda unit: side)
        assert step.change == (None if step.blocked else change)
    for step in steps:
        if step.change is not None:
            expected[step.model.name].pop(step.change.key, None)
            if step.change.after is not None:
                expected[step.model.name][step.change.key] = step.change.after
    counted = plan.counts(always(side))
    assert apply_plan(plan, store, always(side), NOW) == counted
    for model in SCHEMA:
        assert {key: record.values for key, record in store.rows[model.name].items()} == {
            key: record.values for key, record in expected[model.name].items()
        }
        counts = counted[model.name]
        assert counts.read == len([*sections_of(narrow).records(model)])
        assert counts.read == counts.added + counts.updated + counts.deleted + counts.skipped + counts.kept
    again = planned(store, sections_of(narrow), based, **described, **(SINCE if incremental else {}))
    if side is Side.THEIRS and not any(step.blocked for step in steps):
        assert again.size == 0, "restored again, nothing is left to do"


def test_batches_are_of_a_thousand_and_companies_come_first_and_go_last() -> None:
    many = [record(name, f"{number:04}") for name in ("B", "N") for number in range(1100)]
    old = [record("A", f"{number:04}") for number in range(3)]
    store = MemoryStore(sections_of(old, "B"))
    theirs = sections(
        days=many,
        gone_companies=[deletion(COMPANIES, company("A"))],
        gone_days=[deletion(ATTENDANCE_RECORDS, record) for record in old],
    )
    plan = planned(store, theirs, **SINCE)
    seen: list[tuple[str, int, int | None]] = []
    counts = apply_plan(plan, store, BACKUP_WINS, NOW, lambda *what: seen.append(what))
    assert [(name, len(batch)) for name, batch in store.written] == [
        ("attendance_records", 1000),
        ("companies", 1),
        ("attendance_records", 1000),
        ("attendance_records", 203),
        ("companies", 1),
    ]
    assert counts["attendance_records"] == Counts(read=2203, added=2200, deleted=3)
    assert counts["companies"] == Counts(read=1, deleted=1, created=1)
    assert [phase for phase, _done, _total in seen] == ["apply"] * len(seen)
    assert [done for _phase, done, _total in seen] == sorted(done for _phase, done, _total in seen)
    assert seen[-1] == ("apply", plan.size, plan.size)


def test_what_an_incremental_lists_is_looked_up_in_batches_of_which_none_is_left_out() -> None:
    days = [record("A", f"{number:04}") for number in range(2101)]
    store = MemoryStore(sections_of(days[::2]))
    counts = planned(store, sections(days=days), **SINCE).counts(BACKUP_WINS)
    assert counts["attendance_records"] == Counts(read=2101, added=1050, skipped=1051)


def test_a_source_that_is_out_of_order_between_two_batches_is_refused() -> None:
    days = [record("A", f"{number:04}") for number in (*range(1, LOOKUP + 1), 0)]
    listing = Listing(SCHEMA, ATTENDANCE_RECORDS.shape(), days, io.BytesIO())
    with pytest.raises(OutOfOrder):
        make_plan(MemoryStore(sections()), listing, None, io.BytesIO())


def test_progress_is_reported_while_comparing_and_can_stop_it() -> None:
    days = [record("A", f"{number:04}") for number in range(2500)]
    seen: list[tuple[str, int, int | None]] = []
    file = opened(written(sections_of(days)))
    make_plan(MemoryStore(sections()), file, None, io.BytesIO(), lambda *what: seen.append(what))
    # After the stretch in which a thousand is reached: a company, and stretches of 32 days.
    assert seen == [("compare", done, 2501) for done in (0, 1 + 32 * 32, 1 + 63 * 32, 2501)]

    def stop(phase: str, done: int, total: int | None) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        make_plan(MemoryStore(sections()), file, None, io.BytesIO(), stop)
    plan = planned(MemoryStore(sections()), sections_of(days))
    store = MemoryStore(sections())
    with pytest.raises(InterruptedError):
        apply_plan(plan, store, BACKUP_WINS, NOW, stop)


def test_a_created_company_gets_the_moment_and_an_added_one_the_files() -> None:
    store = MemoryStore(sections())
    apply_plan(
        planned(
            store,
            sections([company("Brought", "2020-01-01T00:00:00.000000Z")], [record("New", "1")]),
            **SINCE,
        ),
        store,
        BACKUP_WINS,
        NOW,
    )
    assert store.content()["companies"] == [
        company("Brought", "2020-01-01T00:00:00.000000Z"),
        company("New", "2026-11-22T10:30:00.250000Z"),
    ]


def test_a_database_that_moved_since_is_not_written() -> None:
    store = MemoryStore(COMMON)
    plan = planned(store, THEIRS)
    key = ("A", "2026-11-20", "1")
    store.rows["attendance_records"][key] = record("A", "1", shift="N")
    with pytest.raises(RegisterMoved):
        apply_plan(plan, store, BACKUP_WINS, NOW)


def test_a_merged_record_is_checked_again_before_it_is_written() -> None:
    class Corrupt(Plan):
        def decided(self, decide: Any) -> Iterator[Step | Additions]:
            for item in super().decided(decide):
                if isinstance(item, Additions) and item.model is ATTENDANCE_RECORDS:
                    item = item._replace(theirs=[record(*old.key[::2], status="?") for old in item.theirs])
                yield item

    plan = planned(MemoryStore(sections()), sections_of([record("A", "1")]))
    plan.__class__ = Corrupt
    with pytest.raises(RecordSyncError, match=r"gives '\?' as status, where one of P, A"):
        apply_plan(plan, MemoryStore(sections()), BACKUP_WINS, NOW)


def test_a_store_that_reads_out_of_order_is_refused() -> None:
    class Collated(MemoryStore):
        def records(self, model: Model, where: Any = None) -> Iterator[Record]:
            yield from sorted(super().records(model), key=lambda record: [part.casefold() for part in record.key])

    store = Collated(sections_of([record("A", "a"), record("A", "Z")]))
    with pytest.raises(RecordSyncError, match='COLLATE "C"'):
        planned(store, sections_of([]))


def test_the_file_is_closed_for_others_by_nobody() -> None:
    stream = io.BytesIO(written(COMMON))
    file = opened(stream)
    for _ in range(2):
        assert make_plan(MemoryStore(COMMON), file, None, io.BytesIO()).size == 0
    assert not stream.closed
