"""Taking a backup: one file with the register as it is at one moment, or with what changed since a snapshot or a
moment."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, cast, get_args

import msgspec
from django.conf import settings
from django.db import Error
from django.utils import timezone
from django.utils.translation import gettext as _

from core.backups import catalogue, parents, scope, targets
from core.backups.parents import ParentChoice
from core.backups.scope import StartingPoint
from core.formats import v1_0
from core.formats.v1_0_writer import write_v1_0
from core.models import AttendanceRecord, Backup, Company, Operation, Phase, User
from core.operations import holding
from core.operations import run as operations
from core.operations.errors import NotKnown, OperationFailed, explain, sentences
from core.operations.results import BackupResult
from core.operations.run import Actor, Run
from core.operations.traits import BACKUPS, TRAITS
from core.register.database import DEFAULT, Register, usual_wait
from core.register.declared import ATTENDANCE_RECORDS, COMPANIES, NOT_CONTENT, SCHEMA, Selection, content_of, filters
from recordsync.backupfile import BackupType, InstallationName, Metadata, Written, write_backup, write_from_blocks
from recordsync.backupfile.ancestry import Ancestor, check_ancestry, listed
from recordsync.backupfile.from_changes import ChangedRows
from recordsync.backupfile.metadata import VERSION, Application
from recordsync.errors import CommitUnknown, HistoryDamaged, RecordSyncError, printable_path
from recordsync.history.ancestry import ancestry
from recordsync.history.headers import Header
from recordsync.history.relation import with_ancestors
from recordsync.history.snapshots import TakenSnapshot, header_of
from recordsync.history.store import StoredTree
from recordsync.model.fields import TIMESTAMP
from recordsync.model.records import checksum
from recordsync.models import Snapshot
from recordsync.stores import Store
from recordsync.system.files import Compression
from recordsync.system.progress import Progress

FileFormat = Literal["2.0", "1.0"]
"""The versions of the backup file that are written."""

_SECONDS_TO_WAIT_FOR_CATALOGUE = 600


@dataclass(frozen=True)
class _File:
    """A backup file that was written whole."""

    metadata: Metadata
    written: Written
    target: targets.Target


@dataclass(frozen=True)
class _Described:
    """A snapshot as the file that holds it, or that leads to it, describes it.

    ``ancestors``: all of the snapshot's, or those since ``parent``, which an incremental file continues.
    """

    header: Header
    ancestors: list[Ancestor]
    parent: Snapshot | None = None
    bases: Sequence[Snapshot] = ()
    """Ancestors whose content the file brings as well, newest first."""


class BackupService:
    """Takes backups of the register, in the name of ``user`` (None: of the operating system's user), or as the waiting
    ``operation``, in its register and in the name of who asked for it."""

    def __init__(
        self, *, user: User | None = None, register: Register = DEFAULT, operation: Operation | None = None
    ) -> None:
        self.actor = operations.actor_of(operation) if operation else Actor.of(user)
        self._operation = operation
        self.register = Register(operation.database) if operation else register

    def create_backup(
        self,
        backup_type: BackupType = "full",
        since_date: dt.datetime | None = None,
        *,
        parent: str | None = None,
        for_installation: str | None = None,
        output: Path | IO[bytes] | None = None,
        selection: Selection | None = None,
        compression: Compression | None = None,
        file_format: FileFormat = "2.0",
        purpose: Backup.Purpose = Backup.Purpose.USER,
        progress_callback: Progress | None = None,
    ) -> BackupResult:
        """The backup that was written and entered into the catalogue and the audit trail.

        ``since_date`` (incremental only; a naive one is in the project's TIME_ZONE): records changed at or after
        it; None: exactly what changed since a snapshot, deletions included. That is the one of the last backup, or of
        ``parent`` (a backup's id, or the beginning of a snapshot's), or the last one that ``for_installation`` (the id
        or name of one that is known here) has as well. ``output``: a path, a binary stream, or None for the backups
        storage. ``file_format``: ``1.0`` for installations that read no other; such a file holds times to the minute,
        is full or since a moment, and is in no ancestry. ``progress_callback``: see
        :class:`recordsync.system.progress.Progress`.

        Raises :class:`OperationFailed`, and then there is no file under its final name, unless the message says so;
        ValueError for another ``backup_type`` or ``file_format``.
        """
        if backup_type not in get_args(BackupType):
            raise ValueError(f"{backup_type!r} is not a type of backup: {', '.join(get_args(BackupType))}")
        if file_format not in get_args(FileFormat):
            raise ValueError(f"{file_format!r} is not a version of the file: {', '.join(get_args(FileFormat))}")
        if since_date is not None and timezone.is_naive(since_date):
            since_date = timezone.make_aware(since_date)
        name = _file_name(backup_type, compression)
        shown = name if output is None else printable_path(output) if isinstance(output, Path) else "-"
        kind = BACKUPS[backup_type]
        with operations.running(
            kind,
            self.actor,
            self.register,
            filename=shown,
            callback=progress_callback,
            operation=self._operation,
        ) as run:
            scope.require_selection(selection, self.register)
            asked = ParentChoice(parent, for_installation)
            if false := scope.unfit(backup_type, since_date, selection, asked):
                raise OperationFailed(false, undone=TRAITS[kind].undone)
            if file_format == v1_0.VERSION and (unfit := scope.unfit_for_1_0(backup_type, since_date, selection)):
                raise OperationFailed(unfit, undone=TRAITS[kind].undone)
            of_snapshot = since_date is None and selection is None and file_format == VERSION
            with ExitStack() as reading:
                start, source = self._begin(reading, run, backup_type, since_date, asked if of_snapshot else None)

                def opened() -> AbstractContextManager[targets.Target]:
                    return targets.opened(output, name, compression)

                if isinstance(source, _Described):
                    can_repeat = not _is_stream(output)
                    file = self._write_snapshot(run, start, source, opened, asked, can_repeat=can_repeat)
                else:
                    file = self._write(
                        run,
                        start,
                        scope.Content(source, filters(selection, start.since)),
                        opened(),
                        backup_type=backup_type,
                        selection=selection,
                        file_format=file_format,
                    )
                with suppress(Error):  # everything has been read, so a connection that is lost now does no harm
                    reading.close()
            self.register.reconnect()
            self._enter(run, start, file, purpose)
        return _result(run, start, file)

    def create_incremental_backup(self, since_date: dt.datetime | None = None, **options: Any) -> BackupResult:
        """An incremental backup, as :meth:`create_backup` takes it: what changed since a moment (None: since the
        snapshot of the last backup). ``options``: as there."""
        return self.create_backup("incremental", since_date, **options)

    def _begin(
        self,
        reading: ExitStack,
        run: Run,
        backup_type: BackupType,
        since: dt.datetime | None,
        asked: ParentChoice | None,
    ) -> tuple[StartingPoint, _Described | Store]:
        """Where the backup begins, and the snapshot of the register as it is then, if the file is to be of one; else a
        store of it, until ``reading`` is closed. ``asked``: None: the file is not to be of a snapshot.

        The register's lock is held meanwhile, so that no restore is halfway through.
        """
        with holding.register_lock(run):
            start = scope.starting_point(self.register, backup_type, since)
            catalogue.announce(run, start.taken_at)
            taken = holding.snapshot(run)
            if asked is not None and (snapshot := self._described(run, taken, backup_type, asked)) is not None:
                return start, snapshot
            return start, reading.enter_context(self.register.read())

    def _described(
        self, run: Run, taken: TakenSnapshot | None, backup_type: BackupType, asked: ParentChoice
    ) -> _Described | None:
        """The snapshot as a file describes it; None where none was taken, or where headers are damaged, so that no
        reader would take it, which the run then says. Reads headers. Raises OperationFailed where an incremental file
        has nothing to continue."""
        if taken is None:
            if backup_type == "incremental":
                raise _without_history(_("No snapshot can be taken."), run)
            return None
        parent, begins_at = None, None
        try:
            header = header_of(taken.snapshot)
            known = ancestry(self.register.alias, [taken.snapshot.pk])
            before, bases = set[str](), list[Snapshot]()
            if backup_type == "incremental":
                parent = parents.parent_of(run, known, asked)
                begins_at = parent.pk
                before = with_ancestors({one.id: one.parents for one in known}, [parent.pk])
                if asked.installation is not None:
                    bases = parents.bases_of(self.register, known, parent.pk)
            ancestors = listed([one for one in known[:-1] if one.id not in before])
            check_ancestry(header, ancestors, begins_at, SCHEMA)
        except (RecordSyncError, msgspec.ValidationError) as error:
            if backup_type == "incremental":
                raise _without_history(explain(error), run) from error
            run.warn(
                _(
                    "The headers of the register's snapshots are damaged (%(what)s), so this backup is in no history. "
                    "The records are not concerned. manage.py history verify names the snapshot."
                )
                % {"what": str(error).rstrip(".")}
            )
            return None
        return _Described(header, ancestors, parent, bases)

    def _write_snapshot(
        self,
        run: Run,
        start: StartingPoint,
        snapshot: _Described,
        opened: Callable[[], AbstractContextManager[targets.Target]],
        asked: ParentChoice,
        *,
        can_repeat: bool,
    ) -> _File:
        """The file that was written from the blocks of a snapshot, or of two. Reads no record of the register, unless a
        block is damaged: then it is made anew. ``can_repeat``: whether the target can be opened a second time."""
        history = self.register.history
        backup_type: BackupType = "full" if snapshot.parent is None else "incremental"
        write = self._write_blocks if snapshot.parent is None else self._write_changes
        try:
            return write(run, start, snapshot, opened)
        except HistoryDamaged as damage:
            run.warn(_("%(what)s It was made anew from the register.") % {"what": damage})
            history.mend(damage, usual_wait())
            again = self._described(run, holding.snapshot(run), backup_type, asked)
            # Of an incremental one nothing is written before both trees have been read.
            if again is None or not (can_repeat or again.parent):
                raise OperationFailed(
                    explain(damage), undone=_("No whole backup was written."), then=_("Take the backup again.")
                ) from damage
            try:
                return write(run, start, again, opened)
            except HistoryDamaged as still:
                if again.parent is None:
                    raise
                # What only the parent has cannot be made anew.
                raise _without_history(explain(still), run) from still

    def _write_blocks(
        self,
        run: Run,
        start: StartingPoint,
        snapshot: _Described,
        opened: Callable[[], AbstractContextManager[targets.Target]],
    ) -> _File:
        store = self.register.history.store
        totals = StoredTree(store, snapshot.header.says.tree, SCHEMA).totals()
        described = self._create_metadata(start, backup_type="full", selection=None, totals=totals, snapshot=snapshot)
        metadata = msgspec.convert(described, Metadata)
        with opened() as target:
            written = write_from_blocks(target.stream, SCHEMA, metadata, store, run)
            _finish(run, written)
        return _File(metadata, written, target)

    def _write_changes(
        self,
        run: Run,
        start: StartingPoint,
        snapshot: _Described,
        opened: Callable[[], AbstractContextManager[targets.Target]],
    ) -> _File:
        store = self.register.history.store
        assert snapshot.parent is not None
        before, after = (StoredTree(store, tree, SCHEMA) for tree in (snapshot.parent.tree, snapshot.header.says.tree))
        with closing(ChangedRows(store, SCHEMA, before, after, run)) as changes:
            described = self._create_metadata(
                start, backup_type="incremental", selection=None, totals=changes.totals, snapshot=snapshot
            )
            metadata = msgspec.convert(described, Metadata)
            with opened() as target:
                bases = self._bases(run, after, snapshot.bases)
                written = write_backup(target.stream, SCHEMA, metadata, changes, run, bases)
                _finish(run, written)
        return _File(metadata, written, target)

    def _bases(self, run: Run, after: StoredTree, rows: Sequence[Snapshot]) -> Iterator[tuple[Header, ChangedRows]]:
        """Each of these snapshots with the changes that lead to it from the one before it, from ``after`` to the first.
        One whose contents are damaged is left out, which the run then says."""
        store = self.register.history.store
        for row in rows:
            try:
                tree = StoredTree(store, row.tree, SCHEMA)
                changes = ChangedRows(store, SCHEMA, after, tree, run)
            except HistoryDamaged as damage:
                run.warn(
                    _("The file is without the content of snapshot %(id)s: %(why)s") % {"id": row.pk, "why": damage}
                )
                continue
            with closing(changes):
                yield header_of(row), changes
            after = tree

    def _write(
        self,
        run: Run,
        start: StartingPoint,
        content: scope.Content,
        opened: AbstractContextManager[targets.Target],
        *,
        backup_type: BackupType,
        selection: Selection | None,
        file_format: FileFormat,
    ) -> _File:
        """The file that was written, whole under its final name. Reads the register. ``opened``: its target."""
        models = v1_0.MODELS if file_format == v1_0.VERSION else SCHEMA
        totals = {model.name: content.count(model) for model in models}
        described = self._create_metadata(start, backup_type=backup_type, selection=selection, totals=totals)
        metadata = msgspec.convert(described, Metadata)
        with opened as target:
            if file_format == v1_0.VERSION:
                written = write_v1_0(target.stream, metadata, content, run)
                metadata = v1_0.as_described(metadata, written.digest)
            else:
                written = write_backup(target.stream, SCHEMA, metadata, content, run)
            _finish(run, written)
        return _File(metadata, written, target)

    def _enter(self, run: Run, start: StartingPoint, file: _File, purpose: Backup.Purpose) -> None:
        """Enter a file that is written into the catalogue and the audit trail, in one transaction.

        Waits for a restore that may hold the register by now. Raises OperationFailed, which says that the file itself
        is whole.
        """
        target, entries = file.target, sum(file.written.counts.values())
        _complete_log(run, start, file)
        try:
            with holding.register_lock(run, _SECONDS_TO_WAIT_FOR_CATALOGUE, undone=""), self.register.commit():
                run.begin()
                run(Phase.COMMIT, entries, entries)  # it cannot be cancelled from here on
                catalogue.add(
                    file.metadata,
                    self.register,
                    taken_at=start.taken_at,
                    file=target.name,
                    location="" if target.name else target.file,
                    size=target.size,
                    digest=file.written.digest,
                    deleted=file.written.deleted,
                    purpose=purpose,
                )
                if file.metadata.snapshot is not None:
                    self.register.history.note_left(file.metadata.snapshot.id)
                run.save_log(success=True)
            run.committed = True
        except CommitUnknown as error:
            text = _(
                "The backup is written and whole (%(file)s). It is not known whether it is in the catalogue: the "
                "connection to the database was lost during the commit, and the database does not answer now. Look at "
                "the catalogue when it answers. If the backup is not in it, the next incremental backup will not "
                "continue it."
            )
            raise NotKnown(text % {"file": target.file}) from error
        except (Exception, KeyboardInterrupt) as error:
            why = "It was interrupted." if isinstance(error, KeyboardInterrupt) else explain(error).strip()
            text = _(
                "%(why)s The backup itself is written and whole (%(file)s), but it is not in the catalogue: "
                "the next incremental backup will not continue it."
            )
            raise OperationFailed(text % {"why": why, "file": target.file}) from error

    def _create_metadata(
        self,
        start: StartingPoint,
        *,
        backup_type: BackupType,
        selection: Selection | None,
        totals: Mapping[str, int],
        snapshot: _Described | None = None,
    ) -> dict[str, Any]:
        """The metadata of a file about the models in ``totals``, but with these in one mapping. ``snapshot``: the one
        whose content the file has, or to which it leads."""
        metadata = Metadata(
            id=str(uuid.uuid4()),
            installation=InstallationName(id=str(start.installation.id), name=start.installation.name),
            snapshot=None if snapshot is None else snapshot.header,
            ancestors=None if snapshot is None else snapshot.ancestors,
            parent=None if snapshot is None or snapshot.parent is None else snapshot.parent.pk,
            backup_type=backup_type,
            since_date=TIMESTAMP.to_text(start.since),
            selection=msgspec.to_builtins(selection) if selection else None,
            deletions="complete" if start.since is None else "unknown",
            created_at=cast(str, TIMESTAMP.to_text(start.taken_at)),
            created_by=self.actor.name,
            fields={name: list(SCHEMA[name].names) for name in totals},
            application=Application("muster", settings.MUSTER_VERSION),
            totals=dict(totals),
        )
        return cast(dict[str, Any], msgspec.to_builtins(metadata))

    @classmethod
    def _serialize_record(cls, record: AttendanceRecord | Company) -> dict[str, Any]:
        """A company or attendance record as a 2.0 file holds it: content, ``checksum`` and ``created_at``."""
        content: dict[str, Any] = content_of(record)
        digest = cls._generate_checksum(content)
        created_at = TIMESTAMP.to_text(record.created_at)
        return dict(sorted({**content, "checksum": digest, "created_at": created_at}.items()))

    @staticmethod
    def _generate_checksum(record: Mapping[str, Any]) -> str:
        """SHA-256 (hex) of a record's content, without ``checksum``, ``created_at``, ``updated_at`` and ``id``."""
        model = ATTENDANCE_RECORDS if ATTENDANCE_RECORDS.required <= record.keys() else COMPANIES
        return checksum({name: value for name, value in record.items() if name not in NOT_CONTENT}, model.later)


def _without_history(why: str, run: Run) -> OperationFailed:
    """The failure of an incremental backup that has nothing to go by. Says also what the run has noted so far."""
    return OperationFailed(
        sentences(why, *run.warnings),
        undone=_("No backup was written."),
        then=_("Take a full backup, or say since when (--since)."),
    )


def _finish(run: Run, written: Written) -> None:
    """Tell that the content of a file is written, and only its name is to come."""
    entries = sum(written.counts.values())
    run(Phase.COMMIT, entries, entries)


def _is_stream(output: object) -> bool:
    """Whether the output is an open stream, to which bytes may have gone already."""
    return output is not None and not isinstance(output, Path)


def _file_name(backup_type: BackupType, compression: Compression | None) -> str:
    suffix = {"gzip": ".gz", "zstd": ".zst", None: ""}[compression]
    return f"backup_{backup_type}_{timezone.localtime():%Y%m%d_%H%M%S}.json{suffix}"


def _complete_log(run: Run, start: StartingPoint, file: _File) -> None:
    log, metadata = run.log, file.metadata
    log.filename = file.target.name or file.target.file
    log.companies_count = metadata.totals[COMPANIES.name]
    log.records_count = metadata.totals[ATTENDANCE_RECORDS.name]
    log.backup_id = uuid.UUID(metadata.id)
    log.backup_type = metadata.backup_type
    log.since = start.since
    log.digest = file.written.digest


def _result(run: Run, start: StartingPoint, file: _File) -> BackupResult:
    return BackupResult(
        id=uuid.UUID(file.metadata.id),
        operation=run.operation.kind,
        file=file.target.file,
        name=file.target.name,
        backup_type=file.metadata.backup_type,
        since=start.since,
        companies=file.written.counts[COMPANIES.name],
        records=file.written.counts[ATTENDANCE_RECORDS.name],
        deleted=file.written.deleted,
        size=file.target.size,
        digest=file.written.digest,
        seconds=run.seconds,
        metadata=file.metadata,
        warnings=tuple(run.warnings),
    )
