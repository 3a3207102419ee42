"""The stores on SQLite and PostgreSQL, the reference and the fast ones.

Each reads what it wrote, in order, and writes only over what was planned.
"""

import datetime as dt
import io
import sys
from collections.abc import Sequence
from typing import Any, Final

import pytest
from django.db import IntegrityError, connections, transaction
from django.db.models import ProtectedError, Q
from django.test.utils import CaptureQueriesContext
from hypothesis import given, settings
from hypothesis import strategies as st

from core.models import AttendanceRecord, Company, Seal, User
from core.register.declared import ATTENDANCE_RECORDS, COMPANIES, SCHEMA
from recordsync.errors import RecordSyncError, RegisterMoved
from recordsync.merge import Side
from recordsync.model.fields import TIMESTAMP
from recordsync.model.records import Key, Record
from recordsync.model.schema import Model
from recordsync.plan import Batch, apply_changes, apply_plan, make_plan
from recordsync.stores import Store, open_store, tables
from recordsync.streams import Change, in_order
from tests.builders.records import (
    MOMENT,
    NOW,
    Sections,
    company,
    cut,
    deletion,
    record,
    seal,
    sections,
    sections_of,
    written,
)
from tests.recordsync.plan.test_plan import SINCE
from tests.recordsync.support import MemoryStore, always, opened
from tests.running import databases
from tests.running.bases import RecordsAsBase
from tests.strategies.records import KEYS, shapes, snapshots

LATER: Final = NOW + dt.timedelta(days=1)
few = settings(max_examples=25)


def adds(records: Sequence[Record]) -> list[Change]:
    return [Change(record.key, None, record) for record in records]


@pytest.fixture(params=["reference", "fast"], autouse=True)
def reference(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Everything here holds for both; the generated changesets go through both themselves."""
    chosen = bool(request.param == "reference")
    monkeypatch.setattr(sys.modules[__name__], "REFERENCE", chosen)
    return chosen


REFERENCE = True


def stored(alias: str, of: Sections, *, reference: bool | None = None) -> Store:
    """A store over a register that holds this."""
    databases.empty(alias)
    store = opened_store(alias, reference)
    with transaction.atomic(using=alias):
        for model in SCHEMA:
            store.write(model, adds(list(of.records(model))), NOW)
    return store


def opened_store(alias: str, reference: bool | None = None) -> Store:
    return open_store(SCHEMA, alias, reference=REFERENCE if reference is None else reference)


def everything(store: Store) -> dict[str, list[Record]]:
    return {model.name: list(store.records(model)) for model in SCHEMA}


NAMES: Final = ["A", "Z", "a", "e\u0301", "z", "é", "भारत", "\uffee", "😀"]
DAYS: Final = [
    record(name, ep_no, date, ep_name="'; DROP TABLE core_company; --", shift="\x01\n\x7f\u2028<b>", created_at=MOMENT)
    for name in ("A", "a", "é", "😀")
    for date in ("0001-01-01", "2026-11-20", "9999-12-31")
    for ep_no in ("1", "10", "9", "Z", "a", "é")
]
SEALED: Final = [
    seal(name, month, closed_at=closed, closed_by="\x01\n\x7f\u2028<b>", **reopened)
    for name in ("A", "é", "😀")
    for month in ("0001-01-01", "2026-10-01")
    for closed, reopened in (
        ("0001-01-02T00:00:00.000000Z", {}),
        (MOMENT, {"reopened_at": "9999-12-30T23:59:59.999999Z", "reopened_by": "'; --"}),
    )
]
MIXED: Final = sections([company(name) for name in NAMES], DAYS, seals=SEALED)


def test_what_is_written_is_read_back_in_order_by_code_point(register_db: str) -> None:
    store = stored(register_db, MIXED)
    assert everything(store) == MIXED.by_model
    for model in SCHEMA:
        assert list(in_order(store.records(model))) == MIXED.by_model[model.name]
        assert store.count(model) == len(MIXED.by_model[model.name])


def test_every_field_travels_and_null_is_not_blank(register_db: str) -> None:
    full = record(
        "A",
        "1",
        ep_name="x",
        shift="N",
        status="-0.5",
        in_time="22:00:00",
        out_time="06:00:59",
        in_time_2="00:00:00",
        out_time_2="23:59:59",
        in_time_3="12:00:00",
        out_time_3="12:00:01",
        overstay="00:00",
        overtime="9999:59",
        overtime_to_mandays="123:45",
        created_at="2026-11-20T18:40:00.123456Z",
    )
    store = stored(register_db, sections([company("A")], [full, record("A", "2")]))
    assert list(store.records(ATTENDANCE_RECORDS)) == [full, record("A", "2")]
    row = AttendanceRecord.objects.using(register_db).get(ep_no="1")
    assert (row.in_time, row.overtime, row.overstay) == (dt.time(22), 599_999, 0)
    assert row.updated_at == NOW


def test_rows_can_be_selected(register_db: str) -> None:
    store = stored(register_db, MIXED)
    where = Q(company__name__in=["A", "😀"], date__gte="2026-01-01", ep_no="1")
    assert [record.key for record in store.records(ATTENDANCE_RECORDS, where)] == [
        ("A", "2026-11-20", "1"),
        ("A", "9999-12-31", "1"),
        ("😀", "2026-11-20", "1"),
        ("😀", "9999-12-31", "1"),
    ]
    assert store.count(ATTENDANCE_RECORDS, where) == 4
    assert [record.key for record in store.records(COMPANIES, Q(name="é"))] == [("é",)]


def test_a_stored_time_without_a_legal_form_is_read_as_it_is(register_db: str) -> None:
    """It is refused by whoever writes the file, not changed on the way."""
    if register_db == "default":
        pytest.skip("SQLite's CHECK compares texts and refuses it")
    store = stored(register_db, sections([company("A")], [record("A", "1", in_time="09:00:00")]))
    with connections[register_db].cursor() as cursor:
        cursor.execute("ALTER TABLE core_attendancerecord DROP CONSTRAINT attendance_in_time_whole_seconds")
        try:
            cursor.execute("UPDATE core_attendancerecord SET in_time = '09:00:00.5'")
            (found,) = store.records(ATTENDANCE_RECORDS)
            ((field, value, _expected),) = ATTENDANCE_RECORDS.shape().errors(found.values)
            assert (field, str(value).rstrip("0")) == ("in_time", "09:00:00.5")
        finally:
            cursor.execute("UPDATE core_attendancerecord SET in_time = NULL")
            cursor.execute(
                "ALTER TABLE core_attendancerecord ADD CONSTRAINT attendance_in_time_whole_seconds "
                "CHECK (in_time IS NULL OR in_time = (in_time)::time(0))"
            )


# --- Look-ups


@few
@given(st.sets(st.sampled_from(KEYS)), snapshots())
def test_a_look_up_finds_what_is_there(register_db: str, keys: set[Key], days: list[Record]) -> None:
    store = stored(register_db, sections_of(days))
    wanted = sorted({*keys, ("Nobody", "2026-01-01", "1")})
    assert list(store.lookup(ATTENDANCE_RECORDS, iter(wanted))) == [record for record in days if record.key in wanted]
    names = sorted({(key[0],) for key in wanted})
    assert [found.key for found in store.lookup(COMPANIES, names)] == [
        name for name in names if name[0] in {record.key[0] for record in days}
    ]


@pytest.mark.untraced
def test_a_look_up_goes_in_batches_and_in_order(register_db: str) -> None:
    days = [record(name, f"{number:04}") for name in ("A", "B") for number in range(700)]
    store = stored(register_db, sections_of(days))
    wanted = sorted([*(record.key for record in days), *(("B", "2026-11-21", f"{number:04}") for number in range(300))])
    with CaptureQueriesContext(connections[register_db]) as queries:
        found = list(store.lookup(ATTENDANCE_RECORDS, wanted))
    assert found == days
    assert len(queries) <= 8
    assert not list(store.lookup(ATTENDANCE_RECORDS, []))


def test_a_look_up_reads_no_whole_table(register_db: str) -> None:
    """Scattered keys among a million records must not cost a million reads."""
    connection = connections[register_db]
    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL decides by how much there is: of so few records, reading all is the best plan")
    store = stored(register_db, MIXED)
    with CaptureQueriesContext(connection) as asked:
        assert list(store.lookup(ATTENDANCE_RECORDS, [record.key for record in DAYS])) == DAYS
    assert asked.captured_queries
    for query in asked.captured_queries:
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN QUERY PLAN {query['sql']}")
            steps = [row[3] for row in cursor.fetchall()]
        assert not [step for step in steps if step.startswith(("SCAN core_att", "SCAN there"))], steps


def test_in_order_reading_sorts_nothing(register_db: str) -> None:
    """The index of the natural key has the records in the order in which they are read."""
    days = [
        record(f"C{of}", f"E{number:02}", f"2026-11-{day:02}")
        for of in range(2)
        for day in range(1, 31)
        for number in range(30)
    ]
    store = stored(register_db, sections_of(days))
    connection = connections[register_db]
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            # The indexes are as large as what other tests deleted has left them.
            cursor.execute("REINDEX TABLE core_attendancerecord")
            cursor.execute("ANALYZE core_attendancerecord")
    for read in (store.records, store.lines):
        with CaptureQueriesContext(connection) as asked, transaction.atomic(using=register_db):
            assert len(list(read(ATTENDANCE_RECORDS))) == len(days)
        queries = [one["sql"] for one in asked.captured_queries if "core_attendancerecord" in one["sql"]]
        assert queries
        for query in queries:
            plan = plan_of(register_db, query)
            assert NATURAL_KEY[connection.vendor] in plan, plan
            assert "TEMP B-TREE" not in plan, plan
            assert "Sort" not in plan, plan


NATURAL_KEY: Final = {"sqlite": "sqlite_autoindex_core_attendancerecord_1", "postgresql": "attendance_natural_key"}


def plan_of(alias: str, query: str) -> str:
    """How the database answers a query if it may use an index."""
    connection = connections[alias]
    query = query[query.index("SELECT") :]
    with transaction.atomic(using=alias), connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute(f"EXPLAIN QUERY PLAN {query}")
            return "\n".join(row[3] for row in cursor.fetchall())
        # Of so few records, sorting all is as cheap.
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off")
        cursor.execute(f"EXPLAIN {query}")
        return "\n".join(row[0] for row in cursor.fetchall())


def test_companies_that_the_store_itself_writes_are_known_to_it(register_db: str) -> None:
    """What it knew of companies, from before in its transaction, must not outlive its own writing."""
    store = stored(register_db, sections_of([record("A", "1")]))
    with transaction.atomic(using=register_db):
        assert len(list(store.records(ATTENDANCE_RECORDS))) == 1
        store.write(COMPANIES, adds([company("B")]), NOW)
        store.write(ATTENDANCE_RECORDS, adds([record("B", "1")]), NOW)
        assert len(list(store.lookup(ATTENDANCE_RECORDS, [("B", "2026-11-20", "1")]))) == 1
        store.write(ATTENDANCE_RECORDS, [Change(("B", "2026-11-20", "1"), record("B", "1"), None)], NOW)
        store.write(COMPANIES, [Change(("B",), company("B"), None)], NOW)
        store.write(COMPANIES, adds([company("B")]), NOW)
        store.write(ATTENDANCE_RECORDS, adds([record("B", "2")]), NOW)
        assert [record.key[::2] for record in store.records(ATTENDANCE_RECORDS)] == [("A", "1"), ("B", "2")]


# --- References


def test_references_are_counted_wherever_they_come_from(register_db: str) -> None:
    store = stored(register_db, sections([company("A"), company("B")], [record("A", "1"), record("A", "2")]))
    assert store.references(COMPANIES, ("A",)) == 2
    assert store.references(COMPANIES, ("B",)) == 0
    owner = Company.objects.using(register_db).get(name="A")
    User.objects.db_manager(register_db).create(username="u", role="admin", company=owner)
    assert store.references(COMPANIES, ("A",)) == 3
    assert store.references(ATTENDANCE_RECORDS, ("A", "2026-11-20", "1")) == 0


def test_names_are_swapped_and_what_refers_to_them_follows(register_db: str, reference: bool) -> None:
    """As in the store in memory; and nothing is renamed that is not as it was planned."""
    of = sections_of([record("A", "1"), record("B", "2", shift="N"), record("C", "3")])
    store, memory = stored(register_db, of, reference=reference), MemoryStore(of)
    swap = [Change((one,), company(one), company(other)) for one, other in (("A", "B"), ("B", "A"))]
    for one in (store, memory):
        with transaction.atomic(using=register_db):
            one.rename(COMPANIES, swap, NOW)
    found = everything(opened_store(register_db, reference))
    assert found == memory.content()
    assert [(of.key[0], of.key[2]) for of in found["attendance_records"]] == [("A", "2"), ("B", "1"), ("C", "3")]
    for one in (store, memory):
        with pytest.raises(RegisterMoved), transaction.atomic(using=register_db):
            one.rename(COMPANIES, [Change(("Z",), company("Z"), company("Y"))], NOW)


def test_a_company_that_is_referred_to_cannot_be_deleted(register_db: str) -> None:
    store = stored(register_db, sections_of([record("A", "1")]))
    with pytest.raises(ProtectedError), transaction.atomic(using=register_db):
        store.write(COMPANIES, [Change(("A",), company("A"), None)], NOW)


# --- Writing


def test_an_update_writes_what_changed_and_when(register_db: str) -> None:
    before = record("A", "1", ep_name="x", in_time="08:00:00")
    store = stored(register_db, sections([company("A")], [before, record("A", "2")]))
    after = record("A", "1", ep_name="y", in_time=None, overtime="01:30")
    with transaction.atomic(using=register_db):
        store.write(ATTENDANCE_RECORDS, [Change(before.key, before, after)], LATER)
    assert list(store.records(ATTENDANCE_RECORDS)) == [after, record("A", "2")]
    rows = AttendanceRecord.objects.using(register_db).order_by("ep_no")
    assert [row.updated_at for row in rows] == [LATER, NOW]
    assert [row.created_at for row in rows] == [TIMESTAMP.to_python(MOMENT)] * 2


def test_an_update_does_not_touch_the_columns_that_stay(register_db: str) -> None:
    before = [record("A", "1"), record("A", "2"), record("A", "3")]
    after = [
        record("A", "1", shift="x"),
        record("A", "2", shift="y"),
        record("A", "3", shift="z", overtime="00:01"),
    ]
    store = stored(register_db, sections([company("A")], before))
    changes = [Change(old.key, old, new) for old, new in zip(before, after, strict=True)]
    with CaptureQueriesContext(connections[register_db]) as queries, transaction.atomic(using=register_db):
        store.write(ATTENDANCE_RECORDS, changes, LATER)
    updates = [query["sql"] for query in queries if "UPDATE " in query["sql"]]
    assert len(updates) == 2, "grouped by the set of changed fields"
    assert all('"status"' not in sql and '"ep_name"' not in sql for sql in updates)
    assert list(store.records(ATTENDANCE_RECORDS)) == after


def test_an_added_row_keeps_the_files_created_at_or_gets_now(register_db: str) -> None:
    store = stored(register_db, sections([company("A", None), company("B", "2001-02-03T04:05:06.000007Z")]))
    assert [record.created_at for record in store.records(COMPANIES)] == [
        TIMESTAMP.to_text(NOW),
        "2001-02-03T04:05:06.000007Z",
    ]


THERE: Final = record("A", "1", shift="N")
ABSENT: Final = record("A", "2")
ELSEWHERE: Final = record("B", "1")
MOVED: Final[dict[str, tuple[Model, Change]]] = {
    "an addition of what is there": (ATTENDANCE_RECORDS, Change(THERE.key, None, record("A", "1"))),
    "an update of what is not there": (ATTENDANCE_RECORDS, Change(ABSENT.key, ABSENT, record("A", "2", shift="x"))),
    "an update of what is otherwise": (
        ATTENDANCE_RECORDS,
        Change(THERE.key, record("A", "1"), record("A", "1", shift="x")),
    ),
    "a deletion of what is not there": (ATTENDANCE_RECORDS, Change(ABSENT.key, ABSENT, None)),
    "a deletion of what is otherwise": (ATTENDANCE_RECORDS, Change(THERE.key, record("A", "1"), None)),
    "an addition of a company that is there": (COMPANIES, Change(("A",), None, company("A"))),
    "a deletion of a company that is not there": (COMPANIES, Change(("B",), company("B"), None)),
    "a deletion in a company that is not there": (ATTENDANCE_RECORDS, Change(ELSEWHERE.key, ELSEWHERE, None)),
}


@pytest.mark.parametrize("what", MOVED)
def test_what_is_not_as_planned_is_not_written(register_db: str, what: str) -> None:
    model, change = MOVED[what]
    store = stored(register_db, sections_of([THERE]))
    before = everything(store)
    good = Change(("A", "2026-11-20", "0"), None, record("A", "0"))
    batch = [good, change] if model is ATTENDANCE_RECORDS else [change]
    moved = r"is not as it was|is there already"
    with pytest.raises(RegisterMoved, match=moved), transaction.atomic(using=register_db):
        store.write(model, batch, LATER)
    assert everything(store) == before


def test_the_databases_own_rules_hold(register_db: str) -> None:
    store = stored(register_db, sections_of([THERE]))
    with pytest.raises(IntegrityError), transaction.atomic(using=register_db):
        store.write(ATTENDANCE_RECORDS, adds([record("A", "2", status="XX")]), NOW)


def test_writes_that_the_database_did_not_make_are_an_error(
    register_db: str, monkeypatch: pytest.MonkeyPatch, reference: bool
) -> None:
    store = stored(register_db, sections_of([THERE]))
    queryset = type(AttendanceRecord._base_manager.all())
    with monkeypatch.context() as patched:
        patched.setattr(queryset, "delete", lambda self: (0, {}))
        with pytest.raises(RecordSyncError, match="deleted 0 rows of attendance_records instead of 1"):
            store.write(ATTENDANCE_RECORDS, [Change(THERE.key, THERE, None)], NOW)
    with monkeypatch.context() as patched:
        if reference:
            patched.setattr(queryset, "bulk_update", lambda self, rows, fields: 0)
        else:
            patched.setattr(store, "_set", lambda model, sources, rows: 0)
        with pytest.raises(RecordSyncError, match="updated 0 rows of attendance_records instead of 1"):
            store.write(ATTENDANCE_RECORDS, [Change(THERE.key, THERE, record("A", "1"))], NOW)


@pytest.mark.untraced
def test_a_thousand_changes_are_one_batch(register_db: str) -> None:
    days = [record("A", f"{number:04}") for number in range(1000)]
    store = stored(register_db, sections_of(days))
    changed = [old._replace(values=record(*old.key[::2], shift="N").values) for old in days]
    with transaction.atomic(using=register_db):
        store.write(ATTENDANCE_RECORDS, [Change(o.key, o, n) for o, n in zip(days, changed, strict=True)], LATER)
    assert list(store.records(ATTENDANCE_RECORDS)) == changed
    with transaction.atomic(using=register_db):
        store.write(ATTENDANCE_RECORDS, [Change(record.key, record, None) for record in changed], LATER)
    assert not store.count(ATTENDANCE_RECORDS)


def test_a_company_goes_after_its_records_whatever_else_its_batch_does(register_db: str) -> None:
    old = record("A", "1")
    store = stored(register_db, sections_of([old]))
    batches: list[Batch] = [
        (ATTENDANCE_RECORDS, [Change(old.key, old, None)]),
        (COMPANIES, [Change(("B",), None, company("B")), Change(("A",), company("A"), None)]),
    ]
    with transaction.atomic(using=register_db):
        assert list(apply_changes(store, batches, NOW))[-1] == 3
    assert everything(store) == {"companies": [company("B")], "attendance_records": [], "seals": []}


def test_the_tables_of_a_schema() -> None:
    assert tables(SCHEMA) == [Company, AttendanceRecord, Seal]


# --- The same plan, by the store in memory, the reference and the fast store


@few
@given(
    snapshots(), snapshots(), snapshots() | st.none(), shapes(), st.sampled_from(list(Side)), st.booleans(), st.data()
)
def test_every_store_leaves_what_the_store_in_memory_leaves(
    register_db: str,
    ours: list[Record],
    theirs: list[Record],
    base: list[Record] | None,
    shape: Any,
    side: Side,
    incremental: bool,
    data: st.DataObject,
) -> None:
    listed = {record.key for record in theirs}
    gone = data.draw(
        st.lists(
            st.sampled_from([record for record in ours if record.key not in listed] or [record("x", "1")]),
            unique=True,
        )
    )
    gone_companies = data.draw(st.sets(st.sampled_from(["A", "x", "é"]))) - {record.key[0] for record in theirs}
    described: dict[str, Any] = {"fields": {"attendance_records": list(shape.names), "companies": ["name"]}}
    file = written(
        sections(
            [company(name) for name in sorted({record.key[0] for record in theirs})] if not incremental else [],
            [cut(record, shape) for record in theirs],
            [deletion(COMPANIES, company(name)) for name in sorted(gone_companies)],
            sorted(deletion(ATTENDANCE_RECORDS, record) for record in gone),
        ),
        **described,
        **(SINCE if incremental else {}),
    )
    based = None
    if base is not None:
        based = RecordsAsBase(opened(written(sections_of([cut(record, shape) for record in base]), **described)))
    starting = sections_of(ours, "A")
    memory = MemoryStore(starting)
    counted, digests, left = [], [], []
    for reference in (None, True, False):
        store = memory if reference is None else stored(register_db, starting, reference=reference)
        with transaction.atomic(using=register_db):
            plan = make_plan(store, opened(file), based, io.BytesIO())
            counted.append(apply_plan(plan, store, always(side), LATER))
            digests.append(plan.digest)
        if store is not memory:
            assert everything(store) == memory.content()
            left.append(as_stored(register_db))
    assert digests[0] == digests[1] == digests[2]
    assert counted[0] == counted[1] == counted[2]
    assert left[0] == left[1]


def as_stored(alias: str) -> list[tuple[Any, ...]]:
    """Every column of both tables but the numbers of the rows, as the database itself shows it."""
    connection = connections[alias]
    shown = "quote(t.{0}) || typeof(t.{0})" if connection.vendor == "sqlite" else "t.{0}::text"
    found: list[tuple[Any, ...]] = []
    with connection.cursor() as cursor:
        for django in tables(SCHEMA):
            columns = [field.column for field in django._meta.fields if field.name not in ("id", "company")]
            shows = ", ".join(shown.format(column) for column in columns)
            name = "(SELECT name FROM core_company WHERE id = t.company_id)" if django is AttendanceRecord else "NULL"
            cursor.execute(f"SELECT {name}, {shows} FROM {django._meta.db_table} t")
            found += sorted(cursor.fetchall())
    return found
