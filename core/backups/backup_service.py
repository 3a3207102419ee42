"""Taking a backup: the register as it is at one moment, or what changed since another, into one file."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, cast, get_args

import msgspec
from django.conf import settings
from django.db import Error, models
from django.utils import timezone
from django.utils.translation import gettext as _

from core import moments
from core.backups import catalogue, targets
from core.formats import v1_0
from core.formats.v1_0_writer import write_v1_0
from core.models import Backup, Company, Installation, Operation, Phase, User
from core.operations import run as operations
from core.operations.errors import NotKnown, OperationFailed, explain
from core.operations.kinds import BACKUPS, TRAITS
from core.operations.results import BackupResult
from core.operations.run import Actor, Run
from core.register.database import DEFAULT, Register
from core.register.declared import ATTENDANCE_RECORDS, COMPANIES, SCHEMA, Selection, content_of, filters
from recordsync.backupfile import BackupType, InstallationName, Metadata, write_backup
from recordsync.backupfile.metadata import Application
from recordsync.errors import CommitUnknown, printable_path
from recordsync.model.fields import TIMESTAMP
from recordsync.model.records import Record, checksum
from recordsync.model.schema import Model, Shape
from recordsync.stores import Filters, Store
from recordsync.streams import Deletion
from recordsync.system.files import Compression
from recordsync.system.progress import Progress

OVERLAP = dt.timedelta(minutes=5)
"""How far an incremental reaches back before the start of its parent's snapshot, for transactions that were
open then. What it repeats is skipped on restore."""

FileFormat = Literal["2.0", "1.0"]
"""The versions of the backup file that are written."""

_SECONDS_TO_WAIT_FOR_CATALOGUE = 600
_NOT_CONTENT = frozenset({"checksum", "created_at", "updated_at", "id"})


@dataclass(frozen=True)
class _Content:
    """The rows of a store that go into the file."""

    store: Store
    where: Filters

    def records(self, model: Model) -> Iterator[Record]:
        return self.store.records(model, self.where[model.name])

    def lines(self, shape: Shape) -> Iterator[bytes]:
        return self.store.lines(shape.model, self.where[shape.model.name])

    def updated(self, model: Model) -> Iterator[str | None]:
        return self.store.updated(model, self.where[model.name])

    def deletions(self, model: Model) -> Iterable[Deletion]:
        return ()  # nothing here remembers what was deleted: the metadata say so


def unfit_for_1_0(backup_type: str, since: object, selection: Selection | None) -> str | None:
    """Why a backup cannot be a 1.0 file, as a sentence; None if it can. A gap must not look like something one had."""
    if selection is not None:
        return _("A file of version 1.0 cannot say that it holds a selection: it would pass for all there is.")
    if backup_type == "incremental" and since is None:
        return _(
            "A file of version 1.0 cannot name the backup that it continues: an incremental one needs a moment to "
            "begin from (--since)."
        )
    return None


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
        """Write a backup, enter it into the catalogue and the audit trail.

        ``since_date`` (incremental only; a naive one is in the project's TIME_ZONE): records changed at or after
        it; None: since the previous backup. ``output``: a path, a binary stream, or None for the backups
        storage. ``file_format``: ``1.0`` for installations that read no other; such a file holds times to the minute,
        is full or since a moment, and is in no ancestry. ``progress_callback``: see
        :class:`recordsync.system.progress.Progress`.

        Raises :class:`OperationFailed`: then no file is there under its final name, unless the text says so; and
        ValueError for another ``backup_type`` or ``file_format``.
        """
        if backup_type not in get_args(BackupType):
            raise ValueError(f"{backup_type!r} is not a type of backup: {', '.join(get_args(BackupType))}")
        if file_format not in get_args(FileFormat):
            raise ValueError(f"{file_format!r} is not a version of the file: {', '.join(get_args(FileFormat))}")
        if since_date is not None and timezone.is_naive(since_date):
            since_date = timezone.make_aware(since_date)
        compression_suffix = {"gzip": ".gz", "zstd": ".zst", None: ""}[compression]
        name = f"backup_{backup_type}_{timezone.localtime():%Y%m%d_%H%M%S}.json{compression_suffix}"
        shown = name if output is None else printable_path(output) if isinstance(output, Path) else "-"
        kind = BACKUPS[backup_type]
        with (
            operations.running(
                kind,
                self.actor,
                self.register,
                filename=shown,
                callback=progress_callback,
                operation=self._operation,
            ) as run,
            ExitStack() as stack,
        ):
            self._check_selection(selection)
            if file_format == v1_0.VERSION and (unfit := unfit_for_1_0(backup_type, since_date, selection)):
                raise OperationFailed(unfit, undone=TRAITS[kind].undone)
            with operations.register_lock(run):  # so that no restore is halfway through
                installation = Installation.current(self.register.alias)
                parent, since = self._starting_point(installation, backup_type, since_date)
                taken_at = timezone.now()
                catalogue.announce(run, taken_at)
                store = stack.enter_context(self.register.read())
            where = filters(selection, since)
            metadata = msgspec.convert(
                self._create_metadata(
                    installation=installation,
                    backup_type=backup_type,
                    since=since,
                    parent=parent,
                    selection=selection,
                    created_at=taken_at,
                    totals={model.name: store.count(model, where[model.name]) for model in SCHEMA},
                ),
                Metadata,
            )
            with targets.opened(output, name, compression) as target:
                content = _Content(store, where)
                if file_format == v1_0.VERSION:
                    written = write_v1_0(target.stream, metadata, content, run)
                    metadata = v1_0.as_described(metadata, written.digest)
                else:
                    written = write_backup(target.stream, SCHEMA, metadata, content, run)
                entries = sum(written.counts.values())
                run(Phase.COMMIT, entries, entries)
            with suppress(Error):  # everything is read: a connection that is lost now is no loss
                stack.close()  # the snapshot: what follows writes
            self._complete_log(run, metadata, target.name or target.file, since, written.digest)
            try:
                # A restore may hold the register by now; a finished backup waits for it.
                with (
                    operations.register_lock(run, _SECONDS_TO_WAIT_FOR_CATALOGUE, undone=""),
                    self.register.commit(),
                ):
                    run.begin()
                    run(Phase.COMMIT, entries, entries)  # from here on it is not interrupted either
                    catalogue.add(
                        metadata,
                        self.register,
                        taken_at=taken_at,
                        file=target.name,
                        location="" if target.name else target.file,
                        size=target.size,
                        digest=written.digest,
                        purpose=purpose,
                    )
                    run.save_log(success=True)
                run.committed = True
            except CommitUnknown as error:
                text = _(
                    "The backup is written and whole (%(file)s). It is not known whether it is in the catalogue: the "
                    "connection to the database was lost during the commit, and the database does not answer now. If "
                    "it is not there when it does, the next incremental backup will not continue it."
                )
                raise NotKnown(text % {"file": target.file}) from error
            except (Exception, KeyboardInterrupt) as error:
                why = "It was interrupted." if isinstance(error, KeyboardInterrupt) else explain(error).strip()
                raise OperationFailed(
                    _(
                        "%(why)s The backup itself is written and whole (%(file)s), but it is not in the catalogue: "
                        "the next incremental backup will not continue it."
                    )
                    % {"why": why, "file": target.file}
                ) from error
        return BackupResult(
            id=uuid.UUID(metadata.id),
            operation=kind,
            file=target.file,
            name=target.name,
            backup_type=backup_type,
            since=since,
            companies=written.counts[COMPANIES.name],
            records=written.counts[ATTENDANCE_RECORDS.name],
            size=target.size,
            digest=written.digest,
            seconds=run.seconds,
            metadata=metadata,
        )

    def create_incremental_backup(self, since_date: dt.datetime | None = None, **options: Any) -> BackupResult:
        """:meth:`create_backup` of what changed since a moment, or since the previous backup."""
        return self.create_backup("incremental", since_date, **options)

    def _starting_point(
        self, installation: Installation, backup_type: BackupType, since: dt.datetime | None
    ) -> tuple[Backup | None, dt.datetime | None]:
        """The backup that this one continues, and the moment from which records count as changed."""
        if since is not None:
            if backup_type == "full":
                raise OperationFailed(
                    _("A full backup holds everything: it has no starting date. No backup was written.")
                )
            if since > (now := timezone.now()):
                shown = {"since": moments.moment(since, seconds=True), "now": moments.moment(now, seconds=True)}
                text = _("%(since)s is still to come: it is %(now)s here now. No backup was written.")
                raise OperationFailed(text % shown)
            return None, since
        parent = catalogue.newest_parent(installation, self.register)
        if backup_type == "full":
            return parent, None
        if parent is None:
            raise OperationFailed(
                _(
                    "There is no backup yet that an incremental one could continue. Take a full backup first, or say "
                    "since when. No backup was written."
                )
            )
        if doubt := catalogue.doubt(parent):
            remedy = _("No backup was written. Set the clock right and take a full backup: the next one continues it.")
            raise OperationFailed(f"{doubt} {remedy}")
        return parent, parent.taken_at - OVERLAP

    def _check_selection(self, selection: Selection | None) -> None:
        if selection is None:
            return
        names = selection.companies or []
        storable = [name for name in names if printable_path(name) == name]  # an argument may not be UTF-8
        known = set(self.register.rows(Company).filter(name__in=storable).values_list("name", flat=True))
        unknown = [name for name in names if name not in known]
        if unknown:
            name = repr(unknown[0]) if unknown[0] in storable else f"'{printable_path(unknown[0])}'"
            raise OperationFailed(
                _("There is no company %(name)s in the register. No backup was written.") % {"name": name}
            )
        if selection.date_from and selection.date_to and selection.date_from > selection.date_to:
            raise OperationFailed(
                _("The first day (%(first)s) is after the last (%(last)s). No backup was written.")
                % {"first": selection.date_from, "last": selection.date_to}
            )

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
        """The metadata of a 2.0 file, but with ``totals`` in one mapping. Reads the catalogue."""
        metadata = Metadata(
            id=str(uuid.uuid4()),
            installation=InstallationName(id=str(installation.id), name=installation.name),
            parent=str(parent.pk) if parent else None,
            merged=catalogue.merged_backups(installation, self.register),
            backup_type=backup_type,
            since_date=TIMESTAMP.to_text(since),
            selection=msgspec.to_builtins(selection) if selection else None,
            deletions="complete" if backup_type == "full" and selection is None else "unknown",
            created_at=cast(str, TIMESTAMP.to_text(created_at)),
            created_by=self.actor.name,
            fields={model.name: list(model.names) for model in SCHEMA},
            application=Application("muster", settings.MUSTER_VERSION),
            totals=dict(totals),
        )
        return cast(dict[str, Any], msgspec.to_builtins(metadata))

    def _serialize_record(self, record: models.Model) -> dict[str, Any]:
        """A company or attendance record as it stands in a 2.0 file."""
        content: dict[str, Any] = content_of(record)
        digest = self._generate_checksum(content)
        created_at = TIMESTAMP.to_text(record.created_at)  # type: ignore[attr-defined] # every declared model has one
        return dict(sorted({**content, "checksum": digest, "created_at": created_at}.items()))

    def _generate_checksum(self, record: dict[str, Any]) -> str:
        """SHA-256 (hex) of a record's content; ``checksum``, ``created_at``, ``updated_at``, ``id`` left aside."""
        return checksum({name: value for name, value in record.items() if name not in _NOT_CONTENT})

    @staticmethod
    def _complete_log(run: Run, metadata: Metadata, filename: str, since: dt.datetime | None, digest: str) -> None:
        log = run.log
        log.filename = filename
        log.companies_count = metadata.totals[COMPANIES.name]
        log.records_count = metadata.totals[ATTENDANCE_RECORDS.name]
        log.backup_id = uuid.UUID(metadata.id)
        log.backup_type = metadata.backup_type
        log.since = since
        log.digest = digest
