"""The catalogue of backups, and the ancestry that it proves."""

from __future__ import annotations

import datetime as dt
import logging
import os
import uuid
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Final, NamedTuple

from django.core.files.storage import storages
from django.db.models import Max, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext as _

from core import moments
from core.history.snapshots import SHOWN
from core.models import JOBS, Backup, BackupLog, Installation, Kind, Operation
from core.operations.run import Run
from core.operations.traits import BACKUPS
from core.register.database import DEFAULT, Register
from recordsync.backupfile import Metadata
from recordsync.backupfile.metadata import VERSION
from recordsync.model.fields import TIMESTAMP
from recordsync.models import Snapshot

logger = logging.getLogger(__name__)

TAKEN = tuple(BACKUPS.values())
"""The operations that take backups."""

_SNAPSHOT_AT = "snapshot_at"
_UUID: Final = 36
"""How many characters the id of a backup has. That of a snapshot has more."""


def continuable(register: Register) -> list[Backup]:
    """The backups of this installation that an incremental one can continue, by the history that this register has;
    newest first, in the order in which they were entered. Reads the catalogue.

    These do not qualify, because a reader of the chain would take what they lack for unchanged: what holds no snapshot
    (a selection, a backup since a moment, a 1.0 file), a safety copy, and one whose file was deleted here, or whose
    chain needs a file that was deleted here.
    """
    here = Installation.without_writing(register.alias)
    own = _kept(register).filter(installation_id=here.id, purpose=Backup.Purpose.USER)
    backups = {row.pk: row for row in own.exclude(snapshot="")}
    lacking = _Chains(_kept(register)).lacking()
    order = _rows(register).filter(operation__in=TAKEN).order_by("-pk").values_list("backup_id", flat=True)
    return [backups[pk] for pk in order if pk in backups and pk not in lacking]


def last_taken(register: Register) -> Backup | None:
    """The newest backup of any kind that was taken here and is kept; None where there is none. Reads the catalogue."""
    rows = _rows(register).filter(operation__in=TAKEN, backup_id__in=_kept(register).values("pk"))
    return register.rows(Backup).filter(pk__in=rows.order_by("-pk").values("backup_id")[:1]).first()


def _rows(register: Register) -> QuerySet[BackupLog]:
    """The audit rows of what succeeded. Their numbers give their order; no clock does."""
    return register.rows(BackupLog).filter(success=True)


def _beginnings(register: Register) -> QuerySet[BackupLog]:
    """The audit rows of backups that hold all that was written until then, and of demo registers; newest first."""
    own = register.rows(Backup).filter(
        installation_id__in=register.rows(Installation).values("id"), purpose=Backup.Purpose.USER, version=VERSION
    )
    whole = own.filter(Q(backup_type=Backup.Type.FULL, selection__isnull=True) | ~Q(snapshot=""))
    taken = Q(operation__in=TAKEN, backup_id__in=whole.values("pk"))
    return _rows(register).filter(taken | Q(operation=Kind.SEED_DEMO)).order_by("-pk")


def _taken_at(register: Register) -> Subquery:
    """The moment at which the backup of an audit row was taken."""
    return Subquery(register.rows(Backup).filter(pk=OuterRef("backup_id")).values("taken_at")[:1])


def announce(run: Run, taken_at: dt.datetime) -> None:
    """Note in the running operation when a backup begins to read the register.

    The backup enters the catalogue only when its file is whole. Until then, :func:`stamp` learns its moment from here.
    Writes to the jobs database.
    """
    run.operation.result = {**run.operation.result, _SNAPSHOT_AT: taken_at.isoformat()}
    run.operation.save(using=JOBS, update_fields=["result"])


def stamp(register: Register) -> dt.datetime:
    """The ``updated_at`` for rows that are about to be written: now, but later than every backup since whose moment
    somebody may ask for what changed, whatever the clock says.

    Makes two queries. A caller that takes the register's lock calls it while it holds the lock.
    """
    now = timezone.now()
    since = Coalesce(Subquery(_beginnings(register).values("pk")[:1]), Value(0))
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
        parent_snapshot=metadata.parent_snapshot or "",
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
    lacks: str
    """A sentence that names the snapshot or backup that it needs, directly or through others, and that no file brings
    back any more; blank if it needs none."""


def entries(backups: Sequence[Backup], register: Register = DEFAULT) -> list[Entry]:
    """An entry for each of these backups, in their order. Reads the catalogue, the audit trail and the storage."""
    logs = register.rows(BackupLog).filter(operation=Kind.RESTORE, success=True)
    logs = logs.filter(backup_id__in=[backup.pk for backup in backups]).order_by("created_at")
    rows = logs.values_list("backup_id", "digest", "created_at")
    restored = {(pk, digest): restored_at for pk, digest, restored_at in rows}
    files = _files()
    lacking = _Chains(_kept(register), files).lacking()
    holders = _holders({lacking[backup.pk] for backup in backups if backup.pk in lacking}, register)
    return [
        Entry(
            backup,
            backup.file in files,
            restored.get((backup.pk, backup.digest)),
            _what_lacks(lacking[backup.pk], holders) if backup.pk in lacking else "",
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


class _Link(NamedTuple):
    """A kept backup in the chain of those that it needs. What a backup ``needs``, and what it ``gives`` to others, are
    ids: of a backup, or of a snapshot. It needs a blank one if it is enough by itself."""

    pk: uuid.UUID
    needs: str
    gives: tuple[str, ...]


class _Chains:
    """The kept backups, and which of them need others."""

    def __init__(self, kept: QuerySet[Backup], files: frozenset[str] | None = None) -> None:
        """``files``: only backups whose file is among these, or was written outside the storage."""
        columns = ("pk", "backup_type", "parent", "parent_snapshot", "snapshot", "file")
        self._links = [
            _Link(
                pk,
                parent_snapshot or (str(parent) if parent and backup_type == Backup.Type.INCREMENTAL else ""),
                (str(pk), snapshot) if snapshot else (str(pk),),
            )
            for pk, backup_type, parent, parent_snapshot, snapshot, file in kept.values_list(*columns)
            if files is None or not file or file in files
        ]

    def lacking(self, without: uuid.UUID | None = None) -> dict[uuid.UUID, str]:
        """For each backup that needs something which no chain of files brings back: the id of that.

        ``without``: a backup whose file counts as not kept.
        """
        links = [link for link in self._links if link.pk != without]
        waiting: defaultdict[str, list[_Link]] = defaultdict(list)
        for link in links:
            waiting[link.needs].append(link)
        ready, whole = waiting.pop("", []), set[str]()
        while ready:
            for given in ready.pop().gives:
                if given not in whole:
                    whole.add(given)
                    ready += waiting.pop(given, [])
        givers = {given: link for link in links for given in link.gives}
        return {link.pk: _end(link, givers) for some in waiting.values() for link in some}


def _end(link: _Link, givers: Mapping[str, _Link]) -> str:
    """What the chain from a backup needs at its end, and no file gives."""
    passed = set[str]()
    while link.needs not in passed and link.needs in givers:
        passed.add(link.needs)
        link = givers[link.needs]
    return link.needs


def _holders(needed: Collection[str], register: Register) -> dict[str, Backup]:
    """For each of these ids of snapshots and backups, where it is known, a backup that holds it or is it. Makes one
    query."""
    if not needed:
        return {}
    backups = [pk for pk in needed if len(pk) <= _UUID]
    rows = register.rows(Backup).filter(Q(snapshot__in=set(needed).difference(backups)) | Q(pk__in=backups))
    return {pk: row for row in rows.order_by("-taken_at") for pk in (row.snapshot, str(row.pk)) if pk in needed}


def _what_lacks(needed: str, holders: Mapping[str, Backup]) -> str:
    """The sentences about a snapshot or a backup that a chain needs and lacks. ``holders``: :func:`_holders`."""
    is_snapshot = len(needed) > _UUID
    shown = _("snapshot %(id)s") % {"id": needed[:SHOWN]} if is_snapshot else _("backup %(id)s") % {"id": needed}
    text = _("It needs %(what)s, directly or through others, and no file that is kept here holds that.")
    lacks = text % {"what": shown}
    held = holders.get(needed)
    if held is None:
        return lacks
    where = _("The backup of %(when)s does, and its file is no longer here.") % {"when": moments.moment(held.taken_at)}
    return f"{lacks} {where}"


def continued_by(backup: Backup, register: Register = DEFAULT) -> list[Backup]:
    """The incremental backups that need this one's file, directly or through others, because no other file holds the
    same snapshot; oldest first.

    Without those that lack something already, because a backup between is not kept. Reads the catalogue.
    """
    chains = _Chains(_kept(register))
    lost = chains.lacking(without=backup.pk).keys() - chains.lacking().keys()
    return list(register.rows(Backup).filter(pk__in=lost).order_by("taken_at"))


def is_only_full(backup: Backup, register: Register = DEFAULT) -> bool:
    """Whether this file is the only one in the storage that brings the whole register back. Another file of version 1.0
    does not count, because it has no seconds. Reads the catalogue and the storage."""
    whole = register.rows(Backup).filter(backup_type=Backup.Type.FULL, selection__isnull=True, file__in=_files())
    others = whole.filter(version=VERSION).exclude(pk=backup.pk)
    return whole.filter(pk=backup.pk).exists() and not others.exists()


def _had_parent(metadata: Metadata, register: Register) -> bool:
    """Whether this register had what the file continues: a snapshot that is in its history or came in a file that is in
    our ancestry, or a backup that was made by this installation or is in our ancestry."""
    merged = register.rows(Backup).filter(merged_at__isnull=False)
    if metadata.parent_snapshot is not None:
        known = register.rows(Snapshot).filter(pk=metadata.parent_snapshot)
        return known.exists() or merged.filter(snapshot=metadata.parent_snapshot).exists()
    if metadata.parent_backup is None:
        return False
    parents = register.rows(Backup).filter(installation_id=metadata.installation.id, pk=metadata.parent_backup)
    is_own = metadata.installation.id == str(Installation.current(register.alias).id)
    return (parents if is_own else parents & merged).exists()


def gap_before(metadata: Metadata, register: Register) -> list[str]:
    """One warning where an incremental file continues a snapshot or a backup that this register never had, else none.
    Reads the catalogue and headers."""
    if metadata.parent is None or _had_parent(metadata, register):
        return []
    remedy = _(
        "What changed before then may be missing here: restore the full backup first, and every incremental one after "
        "it in order."
    )
    if metadata.parent_snapshot is not None:
        text = _("This is what changed after snapshot %(parent)s, which is not known here.")
        return [f"{text % {'parent': metadata.parent[:10]}} {remedy}"]
    since = TIMESTAMP.to_python(metadata.since_date)
    assert since is not None  # of a file that continues a backup
    text = _(
        "This is what changed since %(since)s, after backup %(parent)s, which was never made or restored here, or "
        "itself lacks what came before it."
    )
    return [f"{text % {'since': moments.moment(since), 'parent': metadata.parent}} {remedy}"]


def record_restored(metadata: Metadata, register: Register, *, stream: IO[bytes], digest: str, deleted: int) -> None:
    """Note in the catalogue that a file was restored here. Called in the transaction of the restore.

    A file of another installation is entered as received, and into our ancestry. The file of the storage itself is
    noted as verified. Only a full file, or one that continues what we had already, enters the ancestry. A
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
