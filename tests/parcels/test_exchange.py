"""A file brings a register to another engine, and merges two that changed: against the same in Python alone."""

from __future__ import annotations

import io
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any, NamedTuple

import pytest
from django.db import transaction
from hypothesis import event, given
from hypothesis import strategies as st

from recordsync.backupfile import (
    BackupFile,
    Limits,
    Metadata,
    UncheckedFile,
    check_backup,
    write_backup,
    write_from_blocks,
)
from recordsync.backupfile.ancestry import listed
from recordsync.backupfile.metadata import Application
from recordsync.errors import RecordSyncError
from recordsync.history.ancestry import ancestry
from recordsync.history.current import read_current
from recordsync.history.receiving import Receiving
from recordsync.history.snapshots import header_of
from recordsync.history.store import StoredTree
from recordsync.merge import EXISTENCE, Counts, Merged, Side, Strategy, decide_by
from recordsync.model.schema import Model, Shape
from recordsync.plan import adding, apply_plan, make_plan
from recordsync.stores import open_store
from recordsync.streams import Deletion
from recordsync.streams.lines import lines_of
from recordsync.system.files import Compression, compressed
from tests.parcels.conftest import FEW, empty
from tests.parcels.content import KEYS, PARENTS, UNITS, Content, closed, contents, key, versions
from tests.parcels.declared import SCHEMA
from tests.parcels.test_history import (
    OCCASION,
    WAYS,
    Way,
    canonical,
    content_of,
    forget,
    history,
    sha256,
    take,
    tree,
)
from tests.parcels.test_stores import MOMENT, NOW, filled
from tests.running.bases import RecordsAsBase

FIELDS = {model.name: list(model.names) for model in SCHEMA}


def metadata(totals: dict[str, int], **others: Any) -> Metadata:
    said: dict[str, Any] = {
        "id": str(uuid.uuid4()), "installation": OCCASION.installation, "parent": None, "backup_type": "full",
        "since_date": None, "selection": None, "deletions": "complete", "created_at": MOMENT, "created_by": "meena",
        "fields": FIELDS, "application": Application("parcels", "1"), "totals": totals,
    }  # fmt: skip
    return Metadata(**said | others)


# --- Through a file


def snapshot_file(alias: str, compression: Compression | None) -> bytes:
    """A full file of the register, put together from the blocks of a snapshot."""
    of = history(alias)
    with of.alone(10):
        snapshot = of.take(OCCASION, 10).snapshot
    described = metadata(
        StoredTree(of.store, snapshot.tree, SCHEMA).totals(),
        snapshot=header_of(snapshot),
        ancestors=listed(ancestry(alias, snapshot.parents)),
    )
    out = io.BytesIO()
    with compressed(out, compression) as stream:
        write_from_blocks(stream, SCHEMA, described, of.store)
    return out.getvalue()


def restored(alias: str, data: bytes) -> tuple[dict[str, Counts], str]:
    """The account of a restore into an empty register, which receives the file's blocks, and the digest of the tree of
    the snapshot after it."""
    of = history(alias)
    with ExitStack() as stack, transaction.atomic(using=alias), io.BytesIO() as items:
        store = open_store(SCHEMA, alias)
        file = UncheckedFile(io.BytesIO(data), SCHEMA, Limits())
        receiving = file.receiver = Receiving(of.store, 10, stack)
        with adding(store, file, NOW) as adder:
            plan = make_plan(store, file, None, items, adder=adder)
            counts = apply_plan(plan, store, decide_by(Strategy.MANUAL), NOW)
        assert receiving.keep()
        return counts, of.take_within(OCCASION, 10, adopted=receiving.blocks).snapshot.tree


def planned(alias: str, data: bytes, *, by_blocks: bool) -> tuple[str, bytes, dict[str, Counts]]:
    """All that a preview says of a file that is checked on the way."""
    of = history(alias)
    with transaction.atomic(using=alias), io.BytesIO() as items:
        store = open_store(SCHEMA, alias)
        ours = read_current(store, alias, of.store, of.state()) if by_blocks else None
        plan = make_plan(store, UncheckedFile(io.BytesIO(data), SCHEMA, Limits()), None, items, ours=ours)
        return plan.digest, items.getvalue(), plan.counts(decide_by(Strategy.BACKUP_WINS))


@given(
    of=contents(),
    compression=st.sampled_from([None, "gzip", "zstd"]),
    turned=st.booleans(),
    done=st.lists(st.tuples(st.sampled_from([way for way in WAYS if way]), st.integers(0, 30)), max_size=3),
)
@FEW
def test_a_file_brings_a_register_whole_to_each_engine(
    aliases: tuple[str, ...],
    of: Content,
    compression: Compression | None,
    turned: bool,
    done: list[tuple[Way, int]],
) -> None:
    """Its content, its tree, and the blocks by which the next preview passes over what is the same."""
    source, *_ = reversed(aliases) if turned else aliases
    forget(source)
    filled(source, of)
    data = snapshot_file(source, compression)
    file = check_backup(io.BytesIO(data), SCHEMA)
    assert file.metadata.snapshot is not None
    assert file.metadata.snapshot.says.tree == tree(of)
    for alias in aliases:
        empty(alias)
        counts, root = restored(alias, data)
        assert content_of(alias) == of
        assert root == tree(of)
        assert counts == {name: Counts(read=len(rows), added=len(rows)) for name, rows in of.items()}
        for way, pick in done:
            way(alias, pick)
        now = content_of(alias)
        digest, lines, counts = planned(alias, data, by_blocks=True)
        assert (digest, lines, counts) == planned(alias, data, by_blocks=False)
        for name, rows in of.items():
            known = {key(name, record): record for record in now[name]}
            alike = sum(known.get(key(name, record)) == record for record in rows)
            added = sum(key(name, record) not in known for record in rows)
            assert counts[name] == Counts(
                read=len(rows), added=added, updated=len(rows) - added - alike, skipped=alike,
                conflicts=len(rows) - added - alike,
            )  # fmt: skip
        assert take(alias) == tree(now)


# --- Merging


class Said(NamedTuple):
    """What a file says: its records and, with their checksums, its deletions, by model; and of which fields."""

    records: Content
    deleted: dict[str, dict[tuple[str, ...], str]]
    is_complete: bool
    fields: dict[str, list[str]]

    def lines(self, shape: Shape) -> Iterator[bytes]:
        records = [shape.from_mapping(record, MOMENT) for record in self.records[shape.model.name]]
        return lines_of(shape, records)

    def deletions(self, model: Model) -> Iterable[Deletion]:
        return [Deletion(*item) for item in sorted(self.deleted[model.name].items())]

    def file(self) -> BackupFile:
        totals = {model: len(records) for model, records in self.records.items()}
        others = {} if self.is_complete else {
            "backup_type": "incremental", "since_date": MOMENT, "deletions": "unknown",
        }  # fmt: skip
        out = io.BytesIO()
        write_backup(out, SCHEMA, metadata(totals, fields=self.fields, **others), self)
        return check_backup(out, SCHEMA)

    def seen(self, model: str, record: dict[str, str | None] | None) -> dict[str, str | None] | None:
        return None if record is None else {name: record[name] for name in self.fields[model]}


def checksum(record: dict[str, str | None]) -> str:
    return sha256(canonical({name: value for name, value in record.items() if value is not None or name != "attempts"}))


@st.composite
def merges(draw: st.DrawFn) -> tuple[Content | None, Content, Said]:
    """What both sides once shared (None: nothing that is known), ours, and what theirs says."""
    is_complete, is_known = draw(st.booleans()), draw(st.booleans())
    lacking = draw(st.sampled_from(["attempts", "details", ""]))
    base, ours, theirs = draw(versions(3))
    base, ours = closed(base), closed(ours)
    deleted: dict[str, dict[tuple[str, ...], str]] = {model: {} for model in KEYS}
    # Theirs may name a record that it does not list, or lists as deleted.
    fields = FIELDS | {"deliveries": [name for name in FIELDS["deliveries"] if name != lacking]}
    said = Said(theirs, deleted, is_complete, fields)
    for model, records in base.items():
        there = {key(model, record) for record in theirs[model]}
        for record in records:
            if key(model, record) not in there and (not is_complete and draw(st.booleans())):
                seen = said.seen(model, record)
                assert seen is not None
                deleted[model][key(model, record)] = checksum(seen)
    return base if is_known else None, ours, said


def side_of(strategy: Strategy, model: str, of: tuple[str, ...], unit: str) -> Side:
    """Who wins a conflict; by hand, this one or that."""
    return strategy.side or (Side.OURS if sha256(repr((model, of, unit)))[0] < "8" else Side.THEIRS)


def expected(
    base: Content | None, ours: Content, theirs: Said, side: Callable[[str, tuple[str, ...], str], Side]
) -> Content:
    """The merge of all records, by docs/merging.md."""
    result: dict[str, dict[tuple[str, ...], dict[str, str | None]]] = {}
    named: dict[str, set[str]] = {"depots": set(), "carriers": set()}
    for model in reversed(list(KEYS)):
        columns = [ours[model], theirs.records[model], [] if base is None else base[model]]
        o, t, b = ({key(model, record): record for record in records} for records in columns)
        result[model] = {}
        for of in {*o, *t, *b, *theirs.deleted[model]}:
            record = merged(
                model, of, None if base is None else b.get(of), o.get(of), t.get(of), theirs, side, base is not None
            )
            if record is None and of[0] in named.get(model, ()):
                record = o.get(of) or {"code": of[0], "note": ""} if model == "depots" else {"name": of[0]}
            if record is not None:
                result[model][of] = record
                for field, parent in PARENTS.get(model, {}).items():
                    named[parent].add(str(record[field]))
        for name in named.get(model, ()):
            result[model].setdefault((name,), {"code": name, "note": ""} if model == "depots" else {"name": name})
    return {model: [result[model][of] for of in sorted(result[model])] for model in KEYS}


def merged(
    model: str,
    of: tuple[str, ...],
    b: dict[str, str | None] | None,
    ours: dict[str, str | None] | None,
    t: dict[str, str | None] | None,
    theirs: Said,
    side: Callable[[str, tuple[str, ...], str], Side],
    is_known: bool,
) -> dict[str, str | None] | None:
    """The record that one key has after the merge."""
    deleted = theirs.deleted[model].get(of)
    b, o, t = (theirs.seen(model, record) for record in (b, ours, t))
    if t is None and deleted is None and not (theirs.is_complete and is_known):
        return ours
    blank = dict.fromkeys(FIELDS[model])
    taken = None if t is None else (ours or blank) | t
    if o == t or (t == b and is_known):
        return ours
    if o is None and b is None:
        return taken
    if o == b and is_known:
        return taken
    if o is None or t is None:
        if t is None and (b is None and is_known):
            return ours
        if t is None and not is_known and o is not None and checksum(o) == deleted:
            return None
        return taken if side(model, of, EXISTENCE) is Side.THEIRS else ours
    result = dict(ours or {})
    for unit, names in UNITS[model].items():
        if names[0] not in t:
            continue
        before, one, other = (None if record is None else [record[name] for name in names] for record in (b, o, t))
        if other == before or (one != before and side(model, of, unit) is Side.OURS):
            continue
        result |= {name: t[name] for name in names}
    return result


@given(of=merges(), strategy=st.sampled_from(list(Strategy)))
def test_a_merge_is_that_of_the_table_on_each_engine(
    aliases: tuple[str, ...], of: tuple[Content | None, Content, Said], strategy: Strategy
) -> None:
    """Its preview counts what is then done, all of it is accounted for, and no engine does anything else."""
    base, ours, theirs = of
    wanted = expected(base, ours, theirs, partial(side_of, strategy))

    def decide(model: Model, merged: Merged, unit: str) -> Side:
        return side_of(strategy, model.name, merged.key, unit)

    before = None if base is None else RecordsAsBase(Said(base, {model: {} for model in KEYS}, True, FIELDS).file())
    file, seen = theirs.file(), []
    for alias in aliases:
        filled(alias, ours)
        with transaction.atomic(using=alias), io.BytesIO() as items, io.BytesIO() as again:
            store = open_store(SCHEMA, alias)
            preview = make_plan(store, file, before, items)
            counted, to_decide = preview.counts(decide), len(list(preview.to_decide(decide_by(Strategy.MANUAL))))
            if strategy is Strategy.MANUAL and any(
                counts.undecided + counts.absent_undecided for counts in preview.counts(decide_by(strategy)).values()
            ):
                with pytest.raises(RecordSyncError, match="Nobody has decided"), transaction.atomic(using=alias):
                    apply_plan(preview, store, decide_by(strategy), NOW)
            with adding(store, file, NOW) as adder:
                plan = make_plan(store, file, before, again, adder=adder)
                assert plan.digest == preview.digest
                assert apply_plan(plan, store, decide, NOW) == counted
        after = content_of(alias)
        assert after == wanted
        for model, counts in counted.items():
            o, n = ({key(model, record): record for record in content[model]} for content in (ours, after))
            assert counts.added + counts.created == len(n.keys() - o.keys())
            assert counts.deleted + counts.absent_deleted == len(o.keys() - n.keys())
            assert counts.updated == sum(n[at] != o[at] for at in n.keys() & o.keys())
            listed_here = len(theirs.records[model]) + len(theirs.deleted[model])
            assert counts.read == listed_here
            assert listed_here == counts.added + counts.updated + counts.deleted + counts.skipped + counts.kept
        seen.append((preview.digest, counted, to_decide))
        event(f"{'some' if to_decide else 'no'} conflicts, base {'not ' * (base is None)}known")
    assert all(one == seen[0] for one in seen)
