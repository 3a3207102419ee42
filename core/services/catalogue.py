"""The catalogue of backups, and the ancestry that it proves (DESIGN §4 and §6)."""

from __future__ import annotations

import datetime as dt
import logging
import uuid

from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from core.models import Backup, BackupLog, Installation
from recordsync.backupfile import Metadata
from recordsync.backupfile.metadata import VERSION
from recordsync.fields import TIMESTAMP

logger = logging.getLogger(__name__)

DEMO = "seed_demo"
"""The operation that fills a register with synthetic records."""


def newest_parent(installation: Installation, using: str) -> Backup | None:
    """The backup that the next one of this installation continues: the newest that leaves no gap behind it.

    Selections, safety copies and incrementals since a moment that somebody chose have gaps: whoever reads
    the chain would take what they lack for unchanged. So has one that was taken while the clock was ahead, or before
    a demo register, whose records bear old timestamps, was put in. A 1.0 file has no seconds, and nothing can name it.
    """
    own = Backup.objects.using(using).filter(installation_id=installation.id, purpose=Backup.Purpose.USER)
    own = own.filter(version=VERSION)
    own = own.filter(taken_at__lte=timezone.now())
    seeded = BackupLog.objects.using(using).filter(operation=DEMO, success=True).order_by("-created_at").first()
    if seeded is not None:
        own = own.filter(taken_at__gt=seeded.created_at)
    whole = own.filter(selection__isnull=True).filter(Q(kind=Backup.Kind.FULL) | Q(parent__isnull=False))
    return whole.order_by("-taken_at").first()


def merged_backups(installation: Installation, using: str) -> dict[str, str]:
    """Per other installation the last of its backups that became part of this register's ancestry."""
    others = Backup.objects.using(using).exclude(installation_id=installation.id).filter(merged_at__isnull=False)
    rows = others.order_by("merged_at").values_list("installation_id", "id")
    return {str(other): str(backup) for other, backup in rows}


def add(
    metadata: Metadata,
    using: str,
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
    """Enter a file into the catalogue."""
    return Backup.objects.using(using).create(
        id=uuid.UUID(metadata.id),
        version=metadata.version,
        installation_id=uuid.UUID(metadata.installation.id),
        installation_name=metadata.installation.name[:100],
        parent=uuid.UUID(metadata.parent) if metadata.parent else None,
        merged=metadata.merged,
        kind=metadata.backup_type,
        selection=metadata.selection,
        since=TIMESTAMP.to_python(metadata.since_date),
        file=file,
        location=location,
        size=size,
        digest=digest,
        companies_count=metadata.totals["companies"],
        records_count=metadata.totals["attendance_records"],
        deleted_count=deleted,
        taken_at=taken_at,
        created_by=metadata.created_by[:150],
        purpose=purpose,
        merged_at=merged_at,
    )


def _had_parent(metadata: Metadata, using: str) -> bool:
    """Whether what the file continues was made by this installation, or is in our ancestry."""
    parents = Backup.objects.using(using).filter(installation_id=metadata.installation.id)
    if metadata.installation.id != str(Installation.current(using).id):
        parents = parents.filter(merged_at__isnull=False)
    return metadata.parent is not None and parents.filter(pk=metadata.parent).exists()


def gap_before(metadata: Metadata, using: str) -> list[str]:
    """A warning where an incremental file continues a backup that this register never had; else none."""
    since = TIMESTAMP.to_python(metadata.since_date)
    if metadata.parent is None or since is None or _had_parent(metadata, using):
        return []
    text = _(
        "This is what changed since %(since)s, after backup %(parent)s, which was never made or restored here, or "
        "itself lacks what came before it. What changed before then may be missing here: restore the full backup "
        "first, and every incremental one after it in order."
    )
    return [text % {"since": f"{timezone.localtime(since):%Y-%m-%d %H:%M %Z}", "parent": metadata.parent}]


def record_restored(metadata: Metadata, using: str, *, size: int, digest: str, deleted: int) -> None:
    """A file was restored here: if it is another installation's, enter it as received, and into our ancestry.

    Only a full file, or one whose parent is in our ancestry already, enters the ancestry, and a selection never:
    a gap must not look like something we had. A file of this installation changes nothing in the catalogue, nor does
    a 1.0 file, which does not say whose it is.
    """
    installation = Installation.current(using)
    if metadata.version != VERSION or metadata.installation.id == str(installation.id):
        return
    backups = Backup.objects.using(using)
    enters = metadata.selection is None and (metadata.backup_type == "full" or _had_parent(metadata, using))
    merged_at = timezone.now() if enters else None
    earlier = backups.filter(pk=metadata.id).first()
    if earlier is None:
        add(
            metadata,
            using,
            taken_at=dt.datetime.fromisoformat(metadata.created_at),
            size=size,
            digest=digest,
            deleted=deleted,
            purpose=Backup.Purpose.RECEIVED,
            merged_at=merged_at,
        )
    elif str(earlier.installation_id) != metadata.installation.id:
        logger.warning("The file says it is backup %s, which is another installation's here", metadata.id)
    elif enters:
        earlier.merged_at = merged_at
        earlier.save(using=using, update_fields=["merged_at"])
