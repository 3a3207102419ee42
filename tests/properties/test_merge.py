"""Property 16: each strategy gives exactly the outcome in the merge table."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Mapping
from typing import Any

import pytest
from django.utils import timezone
from hypothesis import event, given
from hypothesis import strategies as st

from core.operations.errors import ConflictsLeft
from core.register.declared import ATTENDANCE_RECORDS, SCHEMA
from core.restores.conflict_resolver import ConflictResolver
from recordsync.backupfile import check_backup
from recordsync.merge import EXISTENCE, Side, Strategy, decide_by, merge, resolve
from recordsync.model.records import Record
from recordsync.plan import apply_plan, make_plan
from recordsync.stores import OrmStore, tables
from recordsync.streams import Deletion
from recordsync.system.transactions import writing
from tests.builders import files
from tests.builders.days import FIELDS, UNITS, Content, Key, key_of
from tests.builders.registers import RegisterData, an_account, everything, put, rows  # fmt: skip
from tests.properties.laws import for_all
from tests.properties.merge_table import SIDES, UNKNOWN, merged
from tests.running.bases import RecordsAsBase
from tests.running.services import restore
from tests.strategies.registers import (  # fmt: skip
    STRATEGIES,
    Merge,
    Parts,
    change,
    content_of,
    deciding,
    edited,
    field_values,
    lacking,
    merges,
    parts,
)
from tests.strategies.registers import registers as any_register

_WHOLE = ATTENDANCE_RECORDS.shape()


@st.composite
def _versions(draw: st.DrawFn, key: Key) -> list[Content | None]:
    """The states of one key: in the base, here, there. Few enough contents that they meet, units apart as well."""
    first = content_of(key, draw(field_values))
    second = change(draw, first)
    third = change(draw, draw(st.sampled_from([first, second])))
    unit = draw(st.sampled_from(sorted(UNITS)))
    mixed = {**first, **{name: second[name] for name in UNITS[unit]}}
    states = st.sampled_from([None, first, second, third, mixed])
    return [draw(states) for _side in range(3)]


@st.composite
def _cases(draw: st.DrawFn) -> dict[Key, tuple[list[Content | None], str | None]]:
    """Some keys: their three states, and the checksum with which the file lists them as deleted, if it does."""
    cases: dict[Key, tuple[list[Content | None], str | None]] = {}
    some = draw(parts())
    for company in some.companies:
        for number in some.numbers[:2]:
            key = (company, some.days[0], number)
            states = draw(_versions(key))
            deleted = None
            if states[2] is None and draw(st.booleans()):
                deleted = draw(st.sampled_from([files.checksum(state) for state in states if state] + ["0" * 64]))
            cases[key] = (states, deleted)
    return dict(sorted(cases.items()))


@given(_cases(), st.booleans(), st.booleans(), lacking(), deciding)
def test_property_16_the_engine_merges_by_the_table(
    cases: Mapping[Key, tuple[list[Content | None], str | None]],
    base_known: bool,
    complete: bool,
    fields: tuple[str, ...],
    strategy: str,
) -> None:
    """For all bases (known, known not to have the key, unknown), sides, deletions and fields of a file: the merge
    of each key, decided by a strategy, is the table's; what is in conflict is what the table says."""
    shape = ATTENDANCE_RECORDS.shape(fields)

    def stream(side: int, through: Any) -> list[Record]:
        return [through.from_mapping(states[side]) for states, _gone in cases.values() if states[side] is not None]

    deletions = []
    for states, gone in cases.values():
        if gone is not None:
            key = next((key_of(state) for state in states if state), None)
            if key is not None:
                cut = next((state for state in states if state and files.checksum(state) == gone), None)
                deletions.append(Deletion(key, gone if cut is None else _cut(cut, fields)))
    result = {
        one.key: one
        for one in merge(
            _WHOLE, shape, stream(0, shape) if base_known else None, stream(1, _WHOLE), stream(2, shape), deletions,
            complete=complete,
        )
    }  # fmt: skip
    checksums = {deletion.key: deletion.checksum for deletion in deletions}
    side = SIDES[strategy]
    for key, ((base, ours, theirs), _gone) in cases.items():
        expected = merged(
            base if base_known else UNKNOWN, ours, theirs, side,
            fields=fields, deleted=checksums.get(key), complete=complete,
        )  # fmt: skip
        one = result.get(key)
        if one is None:
            assert expected.content == ours
            assert not expected.conflict
            continue
        change = resolve(_WHOLE, shape, one, lambda unit: Side(side))
        after = ours if change is None else None if change.after is None else _WHOLE.content(change.after)
        assert after == expected.content
        assert bool(one.conflicts) is expected.conflict
        assert change is None or (change.before is None) is (ours is None)
        event(f"{one.outcome} {'?' if not base_known else '-' if base is None else 'b'}")


def _cut(content: Content, fields: tuple[str, ...]) -> str:
    """The checksum of a content over a file's fields."""
    return files.checksum({name: content[name] for name in fields})


@given(_cases(), st.sampled_from(STRATEGIES))
def test_property_16_the_resolver_merges_by_the_table(
    cases: Mapping[Key, tuple[list[Content | None], str | None]], strategy: str
) -> None:
    """For all pairs of records, with and without a base, the resolver gives the table's record and says whether
    there is a conflict; ``manual`` refuses to decide one."""
    resolver = ConflictResolver()
    for (base, ours, theirs), _gone in cases.values():
        if ours is None or theirs is None:
            continue
        expected = merged(UNKNOWN if base is None else base, ours, theirs, SIDES.get(strategy, "ours"), fields=FIELDS)
        backup_record = dict(theirs)
        db_record: dict[str, Any] = {**ours, "created_at": "2020-05-01T06:30:00.000000Z", "id": 7}
        base_record = None if base is None else dict(base)
        assert resolver.detect_conflicts(backup_record, db_record, base_record) is expected.conflict
        if strategy == "manual" and expected.conflict:
            with pytest.raises(ValueError, match="A person has to decide"):
                resolver.apply_merge_strategy(backup_record, db_record, strategy, base_record)
            continue
        result = resolver.apply_merge_strategy(backup_record, db_record, strategy, base_record)
        assert expected.content is not None
        assert result == {
            **expected.content,
            "checksum": files.checksum(expected.content),
            "created_at": "2020-05-01T06:30:00.000000Z",
        }


@for_all(merge=merges(), strategy=st.sampled_from(STRATEGIES), account=st.booleans())
def test_property_16_a_restore_with_unknown_base_merges_by_the_table(
    alias: str, merge: Merge, strategy: str, account: bool
) -> None:
    """For all registers and files, with the base unknown: after a restore each record is what the table says for
    the strategy, the conflicts are counted, and ``manual`` writes nothing as long as there is one to decide. A
    company that is listed as deleted goes unless a record or an account still refers to it: that is a conflict too,
    but nobody can decide it."""
    put(alias, merge.ours)
    accounts = set()
    if account and merge.deleted_companies and merge.deleted_companies[0] in merge.ours.companies:
        an_account(alias, merge.deleted_companies[0])
        accounts = {merge.deleted_companies[0]}
    side = SIDES.get(strategy, "ours")
    results = {
        key: merged(
            UNKNOWN,
            merge.ours.records.get(key),
            merge.theirs.records.get(key),
            side,
            fields=merge.fields,
            deleted=_cut(merge.deleted[key], merge.fields) if key in merge.deleted else None,
        )
        for key in {*merge.ours.records, *merge.theirs.records}
    }
    expected = {key: result.content for key, result in results.items() if result.content is not None}
    listed = {line["name"] for line in merge.file.records["companies"]}
    referred = {key[0] for key in expected} | accounts
    gone = set(merge.deleted_companies) & set(merge.ours.companies)
    to_decide = sum(result.conflict for result in results.values())
    conflicts = to_decide + len(gone & referred)
    before = everything(alias)
    if strategy == "manual" and to_decide:
        with pytest.raises(ConflictsLeft) as left:
            restore(alias, merge.file.encode(), strategy)
        assert left.value.error_count == to_decide
        assert everything(alias) == before
        event("conflicts left")
        return
    outcome = restore(alias, merge.file.encode(), strategy)
    after = rows(alias)
    assert after.contents == expected
    assert set(after.companies) == ((set(merge.ours.companies) | listed) - gone) | referred
    assert outcome.conflicts == conflicts
    event(f"{strategy}, {'conflicts' if conflicts else 'no conflict'}")


@st.composite
def _histories(draw: st.DrawFn) -> tuple[RegisterData, RegisterData, RegisterData]:
    """A register, and what two places made of it."""
    of: Parts = draw(parts())
    base = draw(any_register(of, min_records=2))
    return base, draw(edited(base, of)), draw(edited(base, of))


@for_all(history=_histories(), strategy=deciding, fields=lacking())
def test_property_16_a_restore_with_a_known_base_merges_by_the_table(
    alias: str, history: tuple[RegisterData, RegisterData, RegisterData], strategy: str, fields: tuple[str, ...]
) -> None:
    """For all histories of two places from one base: merging the full backup of one into the other gives the
    table's outcome for each record, deletions included, and every entry and every change is accounted for."""
    base, ours, theirs = history
    put(alias, ours)
    side = SIDES[strategy]
    results = {
        key: merged(
            base.records.get(key), ours.records.get(key), theirs.records.get(key), side, fields=fields, complete=True
        )
        for key in {*base.records, *ours.records, *theirs.records}
    }
    expected = {key: result.content for key, result in results.items() if result.content is not None}
    before = rows(alias)
    counts = _merged_with_base(alias, files.file(base, fields=fields), files.file(theirs, fields=fields), strategy)
    after = rows(alias)
    assert after.contents == expected
    gone = set(ours.companies) & set(base.companies) - set(theirs.companies)
    referred = {key[0] for key in expected}
    new = set(theirs.companies) - set(base.companies)
    assert set(after.companies) == ((set(ours.companies) | new) - gone) | referred
    records = counts["attendance_records"]
    assert records.read == len(theirs.records)
    assert records.conflicts == sum(result.conflict for result in results.values())
    assert counts["companies"].conflicts == len(gone & referred)
    assert records.added == len(set(after.records) - set(before.records))
    assert records.absent_deleted == len(set(before.records) - set(after.records))
    assert records.updated == sum(
        after.records[key] != row for key, row in before.records.items() if key in after.records
    )
    event(f"{strategy}, {'conflicts' if records.conflicts else 'no conflict'}")


def _merged_with_base(alias: str, base: files.File, theirs: files.File, strategy: str) -> Any:
    """What the restore service does, with a base (that it does not look for yet)."""
    checked = [check_backup(io.BytesIO(file.encode()), SCHEMA) for file in (base, theirs)]
    store = OrmStore(SCHEMA, alias)
    with tempfile.TemporaryFile() as items, writing(alias, tables(SCHEMA), wait=5):
        plan = make_plan(store, checked[1], RecordsAsBase(checked[0]), items)
        return apply_plan(plan, store, decide_by(Strategy(strategy)), timezone.now())


def test_existence_is_no_field() -> None:
    """The unit that stands for a whole record is none of the fields' units."""
    assert EXISTENCE not in ATTENDANCE_RECORDS.units
