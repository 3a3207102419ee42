"""Real installations that exchange files: their databases, and all that the tests ask of the services.

A register is given and told as :mod:`tests.properties.exchange_model` has it: the value of each unit, by key.
"""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from tempfile import TemporaryFile
from typing import IO, Any, Literal, NamedTuple, cast

from django.db import connections, transaction
from django.utils import timezone

from core.attendance.companies import rename_company
from core.models import AttendanceRecord, Company, Installation, Role, User
from core.operations.errors import ConflictsLeft, OperationFailed
from core.operations.results import BackupResult, RestoreSummary
from core.register.database import Register
from core.register.declared import SCHEMA, Selection
from core.restores.merging import DecidedPlan
from core.restores.restore_service import Restorable, RestoreService
from core.restores.undo import How, undo_of
from core.restores.undo import ways as possible_ways
from recordsync.history.databases import history_of
from recordsync.merge import KEY_UNIT, Counts, Merged, Side
from recordsync.merge.three_way import EXISTENCE
from recordsync.model.schema import Model
from recordsync.models import Block, Head, HeadMove, Node, Snapshot
from recordsync.plan import Account, ChangeList, Plan, decided_batches, list_changes
from tests.builders import files
from tests.builders.days import TIMES, UNITS, Content, day
from tests.builders.registers import columns, rows
from tests.running.installation import ScratchInstallation
from tests.running.services import backup_bytes, imported

Key = tuple[str, ...]
Units = tuple[str, ...]
Contents = Mapping[Key, Units]
Way = Literal["orm", "bulk", "sql"]

Strategy = Literal["ours", "theirs", "manual"]
Decide = Strategy | Callable[[Key, int], Literal["ours", "theirs"]]
"""Who decides conflicts: a strategy, nobody, or a function that tells for which side a unit of a record is decided, or
the whole record (-1)."""

STRATEGIES = {"manual": "manual", "ours": "database_wins", "theirs": "backup_wins"}
_WAYS = {"withdrawn": How.WITHDRAW, "undone": How.EVERYWHERE, "redone": How.REDO}


@dataclass(frozen=True)
class Told:
    """What a service told of what it did. ``counts``: by model, without what is zero. ``is_refused``: it did nothing,
    and said why."""

    counts: Mapping[str, Mapping[str, int]]
    conflicts: int = 0
    is_refused: str = ""


class SnapshotFile(NamedTuple):
    """A file, and which snapshots it names."""

    data: bytes
    snapshot: str
    parent: str | None
    bases: Sequence[str]


@dataclass(frozen=True)
class Header:
    """A snapshot that an installation knows."""

    parents: tuple[str, ...]
    is_merge: bool


class Databases:
    """The databases of one installation. ``scratch``: which ones they are."""

    def __init__(self, scratch: ScratchInstallation, alias: str) -> None:
        self.scratch = scratch
        self.alias = alias

    def become(self, other: Databases) -> None:
        """Be what the databases of another one, of the same engine, are now."""
        for databases in (self, other):
            for alias in (databases.alias, history_of(databases.alias)):
                connections[alias].close()
        self.scratch.become(other.scratch)

    def contents(self) -> dict[Key, Units]:
        """All that is in the register. Raises AssertionError for a unit that nobody has written."""
        found = rows(self.alias)
        told: dict[Key, Units] = {(name,): () for name in found.names}
        for key, content in found.contents.items():
            told[key] = _units(content)
        return told

    def write(self, before: Contents, after: Contents, way: Way) -> None:
        """Make the register from what it is before what it is after, as any client could."""
        gone = sorted(before.keys() - after.keys(), key=len, reverse=True)
        new = sorted(after.keys() - before.keys(), key=len)
        changed = [key for key in after.keys() & before.keys() if before[key] != after[key]]
        with transaction.atomic(using=self.alias):
            for key in gone:
                self._delete(key, way)
            for key in new:
                self._add(key, after[key], way)
            for key in changed:
                self._change(key, after[key], way)

    def rename(self, before: str, after: str) -> None:
        """Give a company another name."""
        pk = Company.objects.using(self.alias).get(name=before).pk
        rename_company(pk, after, user=User(username="root", role=Role.ROOT), register=Register(self.alias))

    def rename_unseen(self, before: str, after: str, way: Way) -> None:
        """Give a company another name past the service."""
        found = Company.objects.using(self.alias).filter(name=before)
        if way == "orm":
            company = found.get()
            company.name = after
            company.save(using=self.alias)
        elif way == "bulk":
            found.update(name=after)
        else:
            self._sql(f"UPDATE {Company._meta.db_table} SET name = %s WHERE name = %s", after, before)

    def _found(self, key: Key) -> Any:
        if len(key) == 1:
            return Company.objects.using(self.alias).filter(name=key[0])
        company, date, number = key
        return AttendanceRecord.objects.using(self.alias).filter(company__name=company, date=date, ep_no=number)

    def _delete(self, key: Key, way: Way) -> None:
        if way == "orm":
            self._found(key).get().delete(using=self.alias)
        elif way == "bulk":
            self._found(key).delete()
        else:
            self._sql(f"DELETE FROM {_table(key)} WHERE id = %s", self._found(key).get().pk)

    def _add(self, key: Key, units: Units, way: Way) -> None:
        if len(key) == 1:
            Company.objects.using(self.alias).create(name=key[0])
            return
        row = AttendanceRecord(**self._columns(key, units))
        if way == "orm":
            row.save(using=self.alias)
        else:
            AttendanceRecord.objects.using(self.alias).bulk_create([row])

    def _change(self, key: Key, units: Units, way: Way) -> None:
        values = self._columns(key, units)
        if way == "orm":
            row = self._found(key).get()
            for name, value in values.items():
                setattr(row, name, value)
            row.updated_at = timezone.now()
            row.save(using=self.alias)
        elif way == "bulk":
            self._found(key).update(**values)
        else:
            names = [name for members in UNITS.values() for name in members]
            pk = self._found(key).get().pk
            listed = ", ".join(f"{name} = %s" for name in names)
            texts = [str(values[name]) if isinstance(values[name], dt.time) else values[name] for name in names]
            self._sql(f"UPDATE {_table(key)} SET {listed} WHERE id = %s", *texts, pk)

    def _columns(self, key: Key, units: Units) -> dict[str, Any]:
        return columns(_content(key, units), {key[0]: Company.objects.using(self.alias).get(name=key[0]).pk})

    def _sql(self, statement: str, *parameters: Any) -> None:
        with connections[self.alias].cursor() as cursor:
            cursor.execute(statement, parameters)

    # --- The history

    def head(self) -> str | None:
        found = Head.objects.using(self.alias).first()
        return None if found is None else found.snapshot_id

    def moves(self) -> list[str]:
        """The snapshots that the head moved to, in order."""
        return list(HeadMove.objects.using(self.alias).order_by("pk").values_list("after_id", flat=True))

    def headers(self) -> dict[str, Header]:
        return {row.pk: Header(tuple(row.parents), row.is_merge) for row in Snapshot.objects.using(self.alias).all()}

    def lose_history(self) -> None:
        """Lose what is in the history store."""
        alias = history_of(self.alias)
        Block.objects.using(alias).all().delete()
        Node.objects.using(alias).all().delete()

    # --- The services

    def full(self) -> SnapshotFile:
        return _file(*backup_bytes(self.alias))

    def incremental(self, parent: str) -> SnapshotFile:
        """A backup of the changes since a snapshot."""
        return _file(*backup_bytes(self.alias, "incremental", parent=parent))

    def for_other(self, other: Databases) -> SnapshotFile | None:
        """A backup of what another installation has not got; None: nothing is known of what it has."""
        installation = str(Installation.current(other.alias).id)
        try:
            return _file(*backup_bytes(self.alias, "incremental", for_installation=installation))
        except OperationFailed:
            return None

    def selection(self, company: str | None, day: str | None) -> bytes:
        """A backup of one company (None: all), on one day (None: all)."""
        chosen = Selection(companies=[company] if company else None, date_from=day, date_to=day)
        return backup_bytes(self.alias, selection=chosen)[0]

    def since(self, moment: dt.datetime) -> bytes:
        """A backup of what says that it was written since then."""
        return backup_bytes(self.alias, "incremental", moment)[0]

    @staticmethod
    def listed(data: bytes) -> dict[Key, Units]:
        """What a file lists."""
        document = files.parsed(data)
        found: dict[Key, Units] = {(line["name"],): () for line in document["companies"]}
        return found | {key: _units(content) for key, content in files.contents(document).items()}

    def import_sheet(self, rows: Contents) -> None:
        contents = [_content(key, units) for key, units in rows.items() if len(key) > 1]
        imported(self.alias, *({name: text or "" for name, text in content.items()} for content in contents))

    def restore(
        self,
        source: bytes | str,
        decide: Decide,
        *,
        without_base: bool = False,
        is_exact: bool = False,
        is_previewed: bool = False,
        is_whole: bool = True,
    ) -> Told:
        """Restore a file, or the snapshot with this id. ``is_previewed``: a preview must say the same before, or be
        refused where the snapshot before the restore stores what it lacks.
        ``is_whole``: whether the history has every snapshot that is as the register is now."""
        row = None if isinstance(source, bytes) else Snapshot.objects.using(self.alias).get(pk=source)
        base, mode = "none" if without_base else "ancestry", "exact" if is_exact else "merge"

        def opened() -> Restorable:
            return row or io.BytesIO(cast(bytes, source))

        previewed = None
        if is_previewed and isinstance(decide, str):
            previewed = self._previewed(opened(), decide, base=base, mode=mode)
        told = self._restored(opened, decide, is_whole=is_whole, base=base, mode=mode)
        # A preview does not have what the snapshot before a restore stores again.
        assert previewed is None or previewed == told or (previewed.is_refused and not is_whole)
        return told

    def _previewed(self, source: Restorable, strategy: Strategy, **asked: Any) -> Told:
        service = RestoreService(register=Register(self.alias))
        try:
            with service.preview_changes(source, STRATEGIES[strategy], **asked) as preview:
                return _told(preview)
        except OperationFailed as failure:
            return Told({}, is_refused=str(failure))

    def _restored(self, source: Callable[[], Restorable], decide: Decide, *, is_whole: bool, **asked: Any) -> Told:
        """What a restore of this did. Where somebody decides each conflict, they see a preview first, and a second one
        where the snapshot before the restore stores again what the history has lost."""
        service = RestoreService(register=Register(self.alias))
        try:
            if isinstance(decide, str):
                return _told(service.restore_backup(source(), STRATEGIES[decide], yes=True, **asked))
            try:
                return self._restored_as_previewed(source, decide, **asked)
            except OperationFailed:
                try:
                    told = _told(service.restore_backup(source(), "manual", yes=True, **asked))
                except ConflictsLeft:
                    told = self._restored_as_previewed(source, decide, **asked)
                assert not is_whole, "a preview was refused, and the restore was not"
                return told
        except OperationFailed as failure:
            return Told({}, is_refused=str(failure))

    def _restored_as_previewed(
        self, source: Callable[[], Restorable], decide: Callable[[Key, int], Literal["ours", "theirs"]], **asked: Any
    ) -> Told:
        service = RestoreService(register=Register(self.alias))
        with service.preview_changes(source(), "manual", **asked) as preview, TemporaryFile() as listed:
            decided = _decided(preview.plan, decide, listed)
            prepared: dict[str, Any] = {"preview": preview, "prepare": lambda run: decided, "yes": True}
            return _told(service.restore_backup(source(), "manual", **prepared, **asked))

    def undo(self, number: int, decide: Decide, way: str, ways: Sequence[str], *, is_whole: bool) -> Told:
        """Undo what made the head's move of this number, in one of the ``ways`` that there must be."""
        register = Register(self.alias)
        move = register.rows(HeadMove).order_by("pk")[number]
        assert list(possible_ways(move, register)) == [_WAYS[one] for one in ways]
        return self._restored(lambda: undo_of(move, register, _WAYS[way]), decide, is_whole=is_whole)


def _decided(plan: Plan, decide: Callable[[Key, int], Literal["ours", "theirs"]], listed: IO[bytes]) -> DecidedPlan:
    """A plan of which somebody has decided each conflict, as the pages have it. ``listed``: an empty file."""
    units = {EXISTENCE: -1, KEY_UNIT: 0, **{unit: at for at, unit in enumerate(UNITS)}}

    def side(model: Model, merged: Merged, unit: str) -> Side:
        return Side(decide(tuple(merged.key), units[unit]))

    account = Account(plan)
    list_changes(listed, SCHEMA, decided_batches(plan, side, account))
    return DecidedPlan(account.verified(), ChangeList(listed, SCHEMA))


def _file(data: bytes, result: BackupResult) -> SnapshotFile:
    assert result.metadata.snapshot is not None
    bases = [base["snapshot"]["id"] for base in files.parsed(data).get("bases", ())]
    return SnapshotFile(data, result.metadata.snapshot.id, result.metadata.parent, bases)


def _told(result: RestoreSummary) -> Told:
    told = _told_of(result.models)
    assert told.conflicts == result.conflicts
    return told


def _told_of(models: Mapping[str, Counts]) -> Told:
    counts = {
        name: {field.name: number for field in fields(of) if (number := getattr(of, field.name))}
        for name, of in models.items()
    }
    return Told(counts, sum(of.conflicts for of in models.values()))


def _content(key: Key, units: Units) -> Content:
    company, date, number = key
    pairs = zip(UNITS, units, strict=True)
    return day(company, number, date, **{name: text for pair in pairs for name, text in _fields(*pair).items()})


def _table(key: Key) -> str:
    return (Company if len(key) == 1 else AttendanceRecord)._meta.db_table


# Each unit has a text of its own for each value, in all of its fields, so that a unit of two halves is noticed.


def _fields(unit: str, value: str) -> dict[str, str | None]:
    number = "abc".index(value[0]) + 3 * int(value[1:] or 0)
    time, minutes = f"{number // 60:02}:{number % 60:02}:00", f"{number // 60:02}:{number % 60:02}"
    if unit == "day":
        return {"status": "P" if number % 2 else "A", "overstay": minutes, **dict.fromkeys(TIMES, time)}
    return dict.fromkeys(UNITS[unit], value if unit in ("name", "shift") else minutes)


def _units(content: Content) -> Units:
    return tuple(_value(unit, {name: content[name] for name in UNITS[unit]}) for unit in UNITS)


def _value(unit: str, found: Mapping[str, str | None]) -> str:
    if unit in ("name", "shift"):
        (value,) = found.values()
        return str(value)
    hours, minutes = str(found["overstay" if unit == "day" else "overtime"]).split(":")
    number = 60 * int(hours) + int(minutes)
    value = f"{'abc'[number % 3]}{number // 3 or ''}"
    assert _fields(unit, value) == found, f"a {unit} that nobody has written: {found}"
    return value
