"""Taking a backup: one file with the register as it is at one moment, or with what changed since an earlier one."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, cast, get_args

import msgspec
from django.conf import settings
from django.db import Error
from django.utils import timezone
from django.utils.translation import gettext as _

from core.backups import catalogue, scope, targets
from core.backups.scope import StartingPoint
from core.formats import v1_0
from core.formats.v1_0_writer import write_v1_0
from core.models import AttendanceRecord, Backup, Company, Installation, Operation, Phase, User
from core.operations import holding
from core.operations import run as operations
from core.operations.errors import NotKnown, OperationFailed, explain
from core.operations.results import BackupResult
from core.operations.run import Actor, Run
from core.operations.traits import BACKUPS, TRAITS
from core.register.database import DEFAULT, Register
from core.register.declared import ATTENDANCE_RECORDS, COMPANIES, NOT_CONTENT, SCHEMA, Selection, content_of, filters
from recordsync.backupfile import BackupType, InstallationName, Metadata, Written, write_backup
from recordsync.backupfile.metadata import Application
from recordsync.errors import CommitUnknown, printable_path
from recordsync.model.fields import TIMESTAMP
from recordsync.model.records import checksum
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
        output: Path | IO[bytes] | None = None,
        selection: Selection | None = None,
        compression: Compression | None = None,
        file_format: FileFormat = "2.0",
        purpose: Backup.Purpose = Backup.Purpose.USER,
        progress_callback: Progress | None = None,
    ) -> BackupResult:
        """The backup that was written and entered into the catalogue and the audit trail.

        ``since_date`` (incremental only; a naive one is in the project's TIME_ZONE): records changed at or after
        it; None: since the previous backup. ``output``: a path, a binary stream, or None for the backups
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
            if file_format == v1_0.VERSION and (unfit := scope.unfit_for_1_0(backup_type, since_date, selection)):
                raise OperationFailed(unfit, undone=TRAITS[kind].undone)
            with ExitStack() as snapshot:
                start, store = self._open_snapshot(snapshot, run, backup_type, since_date)
                file = self._write(
                    run,
                    start,
                    scope.Content(store, filters(selection, start.since)),
                    targets.opened(output, name, compression),
                    backup_type=backup_type,
                    selection=selection,
                    file_format=file_format,
                )
                with suppress(Error):  # everything has been read, so a connection that is lost now does no harm
                    snapshot.close()
            self._enter(run, start, file, purpose)
        return _result(run, start, file)

    def create_incremental_backup(self, since_date: dt.datetime | None = None, **options: Any) -> BackupResult:
        """An incremental backup, as :meth:`create_backup` takes it: what changed since a moment (None: since the
        previous backup). ``options``: as there."""
        return self.create_backup("incremental", since_date, **options)

    def _open_snapshot(
        self, snapshot: ExitStack, run: Run, backup_type: BackupType, since: dt.datetime | None
    ) -> tuple[StartingPoint, Store]:
        """Where the backup begins, and a store of the register as it is then, until ``snapshot`` is closed.

        The register's lock is held meanwhile, so that no restore is halfway through.
        """
        with holding.register_lock(run):
            start = scope.starting_point(self.register, backup_type, since)
            catalogue.announce(run, start.taken_at)
            return start, snapshot.enter_context(self.register.read())

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
        metadata = msgspec.convert(
            self._create_metadata(
                installation=start.installation,
                backup_type=backup_type,
                since=start.since,
                parent=start.parent,
                selection=selection,
                created_at=start.taken_at,
                totals={model.name: content.count(model) for model in SCHEMA},
            ),
            Metadata,
        )
        with opened as target:
            if file_format == v1_0.VERSION:
                written = write_v1_0(target.stream, metadata, content, run)
                metadata = v1_0.as_described(metadata, written.digest)
            else:
                written = write_backup(target.stream, SCHEMA, metadata, content, run)
            entries = sum(written.counts.values())
            run(Phase.COMMIT, entries, entries)
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
                    purpose=purpose,
                )
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
        *,
        installation: Installation,
        backup_type: BackupType,
        since: dt.datetime | None,
        parent: Backup | None,
        selection: Selection | None,
        created_at: dt.datetime,
        totals: Mapping[str, int],
    ) -> dict[str, Any]:
        """The metadata of a 2.0 file, but with ``totals`` in one mapping."""
        metadata = Metadata(
            id=str(uuid.uuid4()),
            installation=InstallationName(id=str(installation.id), name=installation.name),
            parent=str(parent.pk) if parent else None,
            backup_type=backup_type,
            since_date=TIMESTAMP.to_text(since),
            selection=msgspec.to_builtins(selection) if selection else None,
            deletions="complete" if since is None else "unknown",
            created_at=cast(str, TIMESTAMP.to_text(created_at)),
            created_by=self.actor.name,
            fields={model.name: list(model.names) for model in SCHEMA},
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
        size=file.target.size,
        digest=file.written.digest,
        seconds=run.seconds,
        metadata=file.metadata,
    )
