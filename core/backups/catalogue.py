"""The catalogue of backups, and the ancestry that it proves."""

from __future__ import annotations

import datetime as dt
import logging
import os
import uuid
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any

from django.core.files.storage import storages
from django.db.models import Max, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext as _

from core import moments
from core.models import JOBS, Backup, BackupLog, Installation, Kind, Operation
from core.operations.run import Run
from core.operations.traits import BACKUPS
from core.register.database import DEFAULT, Register
from recordsync.backupfile import Metadata
from recordsync.backupfile.metadata import VERSION
from recordsync.model.fields import TIMESTAMP

logger = logging.getLogger(__name__)

TAKEN = tuple(BACKUPS.values())
"""The operations that take backups."""

_SNAPSHOT_AT = "snapshot_at"


def newest_parent(installation: Installation, register: Register) -> Backup | None:
    """The backup that the next one of this installation continues: the newest entry after which no change is missing.
    None where there is no such entry. Reads the catalogue.

    These backups do not qualify, because a reader of the chain would take what they lack for unchanged:

    - a selection, a safety copy, an incremental backup since a moment that somebody chose;
    - one from before a demo register was put in, whose records have old timestamps;
    - one whose file was deleted here, or whose chain needs a file that was deleted here;
    - a 1.0 file, which has no seconds and which no other file can name;
    - one that says it was taken after a backup that was entered later: the clock was ahead then.
    """
    kept = _kept_chains(register)
    rows = _beginnings([installation.id], register).annotate(taken_at=_taken_at(register))
    earliest: dt.datetime | None = None
    for pk, moment in rows.values_list("backup_id", "taken_at"):
        if pk is None:  # a demo register
            return None
        if pk in kept and not _lacks(pk, kept) and (earliest is None or moment <= earliest):
            return register.rows(Backup).get(pk=pk)
        earliest = min(moment, earliest or moment)
    return None


def last_taken(register: Register) -> Backup | None:
    """The newest backup of any kind that was taken here and is kept; None where there is none. Reads the catalogue."""
    rows = _rows(register).filter(operation__in=TAKEN, backup_id__in=_kept(register).values("pk"))
    return register.rows(Backup).filter(pk__in=rows.order_by("-pk").values("backup_id")[:1]).first()


def _rows(register: Register) -> QuerySet[BackupLog]:
    """The audit rows of what succeeded. Their numbers give their order; no clock does."""
    return register.rows(BackupLog).filter(success=True)


def _beginnings(here: Sequence[uuid.UUID] | QuerySet[Any], register: Register) -> QuerySet[BackupLog]:
    """The audit rows of backups that a chain of incremental ones can begin with, and of demo registers, before which no
    chain can begin; newest first.

    ``here``: the id of this installation, or a query for it.
    """
    own = register.rows(Backup).filter(installation_id__in=here, purpose=Backup.Purpose.USER, version=VERSION)
    whole = own.filter(selection__isnull=True).filter(Q(backup_type=Backup.Type.FULL) | Q(parent__isnull=False))
    taken = Q(operation__in=TAKEN, backup_id__in=whole.values("pk"))
    return _rows(register).filter(taken | Q(operation=Kind.SEED_DEMO)).order_by("-pk")


def _taken_at(register: Register) -> Subquery:
    """The moment at which the backup of an audit row was taken."""
    return Subquery(register.rows(Backup).filter(pk=OuterRef("backup_id")).values("taken_at")[:1])


def clock_doubt(parent: Backup) -> str | None:
    """A sentence that says why the clock cannot tell what changed since a backup; None where it can tell."""
    now = timezone.now()
    if now >= parent.taken_at:
        return None
    return _(
        "The last backup says that it was taken on %(taken)s, and now it is %(now)s: the clock was set back, or was "
        "ahead then. So it cannot tell what changed since that backup."
    ) % {"taken": moments.moment(parent.taken_at, seconds=True), "now": moments.moment(now, seconds=True)}


def announce(run: Run, taken_at: dt.datetime) -> None:
    """Note in the running operation when a backup begins to read the register.

    The backup enters the catalogue only when its file is whole. Until then, :func:`stamp` learns its moment from here.
    Writes to the jobs database.
    """
    run.operation.result = {**run.operation.result, _SNAPSHOT_AT: taken_at.isoformat()}
    run.operation.save(using=JOBS, update_fields=["result"])


def stamp(register: Register) -> dt.datetime:
    """The ``updated_at`` for rows that are about to be written: now, but later than every backup that an incremental
    one may still count from, whatever the clock says.

    Makes two queries. A caller that takes the register's lock calls it while it holds the lock.
    """
    now = timezone.now()
    beginnings = _beginnings(register.rows(Installation).values("id"), register)
    since = Coalesce(Subquery(beginnings.values("pk")[:1]), Value(0))
    rows = _rows(register).filter(operation__in=(*TAKEN, Kind.SEED_DEMO), pk__gte=since)
    newest = rows.aggregate(newest=Max(Coalesce(_taken_at(register), "created_at")))["newest"]
    running = Operation.objects.using(JOBS).filter(
        state=Operation.State.RUNNING, kind__in=TAKEN, database=register.alias
    )
    announced = [result.get(_SNAPSHOT_AT) for result in running.values_list("result", flat=True)]
    earlier = [newest, *(text and dt.datetime.fromisoformat(text) for text in announced)]
    latest = max(filter(None, earlier), default=None)
    if latest is None or now > latest:
        return now
    # Not always the same moment: an edit tells by it whether somebody else has saved the record meanwhile.
    return latest + dt.timedelta(microseconds=1 + now.microsecond)


def add(
    metadata: Metadata,
    register: Register,
    *,
    taken_at: dt.datetime,
    file: str = "",
    location: str = "",
    size: int,
    digest: str,
    deleted: int = 0,
    purpose: Backup.Purpose = Backup.Purpose.USER,
    merged_at: dt.datetime | None = None,
) -> Backup:
    """The new entry of a file in the catalogue. Writes one row."""
    return register.rows(Backup).create(
        id=uuid.UUID(metadata.id),
        version=metadata.version,
        installation_id=uuid.UUID(metadata.installation.id),
        installation_name=metadata.installation.name[:100],
        parent=uuid.UUID(metadata.parent_backup) if metadata.parent_backup else None,
        snapshot=metadata.snapshot.id if metadata.snapshot else "",
        backup_type=metadata.backup_type,
        selection=metadata.selection,
        since=TIMESTAMP.to_python(metadata.since_date),
        file=file,
        location=location,
        size=size,
        digest=digest,
        companies_count=metadata.totals.get("companies", 0),
        records_count=metadata.totals.get("attendance_records", 0),
        deleted_count=deleted,
        taken_at=taken_at,
        created_by=metadata.created_by[:150],
        purpose=purpose,
        merged_at=merged_at,
    )


@dataclass(frozen=True)
class Entry:
    """How a backup stands in the catalogue."""

    backup: Backup
    is_there: bool
    """Whether its file is in the storage now. Only then can it be verified, downloaded or restored from."""
    restored_at: dt.datetime | None
    """When a file with exactly this content was last restored here."""
    lacks: bool
    """Whether a backup that it needs, directly or through others, is not there any more."""


def entries(backups: Sequence[Backup], register: Register = DEFAULT) -> list[Entry]:
    """An entry for each of these backups, in their order. Reads the catalogue, the audit trail and the storage."""
    logs = register.rows(BackupLog).filter(operation=Kind.RESTORE, success=True)
    logs = logs.filter(backup_id__in=[backup.pk for backup in backups]).order_by("created_at")
    rows = logs.values_list("backup_id", "digest", "created_at")
    restored = {(pk, digest): restored_at for pk, digest, restored_at in rows}
    files = _files()
    kept = _kept_chains(register, files)
    return [
        Entry(
            backup,
            backup.file in files,
            restored.get((backup.pk, backup.digest)),
            _lacks(backup.pk, kept),
        )
        for backup in backups
    ]


def _kept(register: Register) -> QuerySet[Backup]:
    """The backups whose file was not deleted here. A file outside the storage counts as kept: nobody here knows."""
    return register.rows(Backup).exclude(file="", location="")


def _files() -> frozenset[str]:
    """The names of the files in the storage; none where the storage cannot be read."""
    try:
        return frozenset(storages["backups"].listdir("")[1])
    except OSError:
        logger.warning("The folder of backups cannot be read", exc_info=True)
        return frozenset()


def _kept_chains(register: Register, files: frozenset[str] | None = None) -> dict[uuid.UUID, uuid.UUID | None]:
    """The backup that each kept backup needs, by id: an incremental one needs its parent, another one none.

    ``files``: only backups whose file is among these, or was written outside the storage.
    """
    rows = _kept(register).values_list("pk", "backup_type", "parent", "file")
    return {
        pk: parent if backup_type == Backup.Type.INCREMENTAL else None
        for pk, backup_type, parent, file in rows
        if files is None or not file or file in files
    }


def _lacks(pk: uuid.UUID, kept: dict[uuid.UUID, uuid.UUID | None]) -> bool:
    """Whether the chain from a backup that is kept leads to one that is not."""
    passed: set[uuid.UUID] = set()
    needed: uuid.UUID | None = pk if pk in kept else None
    while needed is not None and needed in kept and needed not in passed:
        passed.add(needed)
        needed = kept[needed]
    return needed is not None


def continued_by(backup: Backup, register: Register = DEFAULT) -> list[Backup]:
    """The incremental backups that need this one's file, directly or through others; oldest first.

    Without those that lack something already, because a backup between is not kept. Reads the catalogue.
    """
    children: defaultdict[uuid.UUID | None, list[Backup]] = defaultdict(list)
    for row in _kept(register).filter(backup_type=Backup.Type.INCREMENTAL, parent__isnull=False):
        children[row.parent].append(row)
    descendants: list[Backup] = []
    open_ends = [backup.pk]
    while open_ends:
        following = children.pop(open_ends.pop(), [])
        descendants += following
        open_ends += [row.pk for row in following]
    return sorted(descendants, key=lambda row: row.taken_at)


def is_only_full(backup: Backup, register: Register = DEFAULT) -> bool:
    """Whether this file is the only one in the storage that brings the whole register back. Another file of version 1.0
    does not count, because it has no seconds. Reads the catalogue and the storage."""
    whole = register.rows(Backup).filter(backup_type=Backup.Type.FULL, selection__isnull=True, file__in=_files())
    others = whole.filter(version=VERSION).exclude(pk=backup.pk)
    return whole.filter(pk=backup.pk).exists() and not others.exists()


def _had_parent(metadata: Metadata, register: Register) -> bool:
    """Whether the parent of the file was made by this installation, or is in our ancestry."""
    parents = register.rows(Backup).filter(installation_id=metadata.installation.id)
    if metadata.installation.id != str(Installation.current(register.alias).id):
        parents = parents.filter(merged_at__isnull=False)
    return metadata.parent_backup is not None and parents.filter(pk=metadata.parent_backup).exists()


def gap_before(metadata: Metadata, register: Register) -> list[str]:
    """One warning where an incremental file continues a backup that this register never had, else none. Reads the
    catalogue."""
    since = TIMESTAMP.to_python(metadata.since_date)
    if metadata.parent is None or _had_parent(metadata, register):
        return []
    remedy = _(
        "What changed before then may be missing here: restore the full backup first, and every incremental one after "
        "it in order."
    )
    if since is None:
        text = _("This is what changed after snapshot %(parent)s, which is not known here.")
        return [f"{text % {'parent': metadata.parent}} {remedy}"]
    text = _(
        "This is what changed since %(since)s, after backup %(parent)s, which was never made or restored here, or "
        "itself lacks what came before it."
    )
    return [f"{text % {'since': moments.moment(since), 'parent': metadata.parent}} {remedy}"]


def record_restored(metadata: Metadata, register: Register, *, stream: IO[bytes], digest: str, deleted: int) -> None:
    """Note in the catalogue that a file was restored here. Called in the transaction of the restore.

    A file of another installation is entered as received, and into our ancestry. The file of the storage itself is
    noted as verified. Only a full file, or one whose parent is in our ancestry already, enters the ancestry. A
    selection never does: a gap must not look like something that we had. A file of this installation changes nothing
    else, and neither does a 1.0 file, which does not say where it comes from.
    """
    backups = register.rows(Backup)
    earlier = backups.filter(pk=metadata.id).first()
    if earlier is not None and earlier.digest == digest and _is_file_of(earlier, stream):
        backups.filter(pk=earlier.pk).update(verified_at=timezone.now())
    installation = Installation.current(register.alias)
    if metadata.version != VERSION or metadata.installation.id == str(installation.id):
        return
    enters = metadata.selection is None and (metadata.backup_type == "full" or _had_parent(metadata, register))
    merged_at = timezone.now() if enters else None
    if earlier is None:
        add(
            metadata,
            register,
            taken_at=dt.datetime.fromisoformat(metadata.created_at),
            size=stream.seek(0, os.SEEK_END),
            digest=digest,
            deleted=deleted,
            purpose=Backup.Purpose.RECEIVED,
            merged_at=merged_at,
        )
    elif str(earlier.installation_id) != metadata.installation.id:
        logger.warning("The file says it is backup %s, which the catalogue has from another installation", metadata.id)
    elif enters:
        earlier.merged_at = merged_at
        earlier.save(using=register.alias, update_fields=["merged_at"])


def was_taken_here(metadata: Metadata, register: Register) -> bool:
    """Whether the file is a backup of this register, as its catalogue says. Reads one row."""
    if metadata.snapshot is None:
        return False
    rows = register.rows(Backup).filter(pk=metadata.id, snapshot=metadata.snapshot.id)
    return rows.exclude(purpose=Backup.Purpose.RECEIVED).exists()


def _is_file_of(backup: Backup, stream: IO[bytes]) -> bool:
    """Whether an open file is the file in the storage itself, and not a copy of it."""
    if not backup.file:
        return False
    try:
        stored = os.stat(storages["backups"].path(backup.file))
        return os.path.samestat(os.fstat(stream.fileno()), stored)
    except (OSError, NotImplementedError):  # the stream is not a file, or the storage is not a folder
        return False
