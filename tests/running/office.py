"""A file of another installation that has something in common with this register."""

from __future__ import annotations

import io
import uuid

from core.attendance.companies import rename_company
from core.backups.backup_service import BackupService
from core.models import AttendanceRecord, Backup, Company, Installation, Role, User
from core.restores.restore_service import RestoreService
from recordsync.models import Head, Snapshot
from tests.running import databases

OFFICE = "Site A office PC"


def from_the_office(of: Company, *, renamed: str = "") -> bytes:
    """A full backup of the office, after both it and this register have changed records of this company.

    There A001 is on the night shift, A004 is deleted, and A099 is new. Here A003 is on the night shift. Both have
    changed the shift of A002. Writes to the default register, which has had a backup of the office before.
    ``renamed``: the name that the office gave the company; blank: it did not rename it.
    """
    records = AttendanceRecord.objects.filter(company=of)
    Installation.objects.all().delete()
    Installation.objects.create(id=uuid.uuid4(), name=OFFICE)
    common, deleted = _backup(), records.get(ep_no="A004")
    records.filter(ep_no="A001").update(shift="NIGHT")
    records.filter(ep_no="A002").update(shift="G2")
    records.filter(ep_no="A004").delete()
    added = AttendanceRecord.objects.create(
        company=of, ep_no="A099", ep_name="New one", date=deleted.date, status="P", shift="GEN"
    )
    name = of.name
    if renamed:
        rename_company(of.pk, renamed, user=User.objects.filter(role=Role.ROOT)[0])
    theirs = _backup()
    Company.objects.filter(pk=of.pk).update(name=name)

    added.delete()
    deleted.save(force_insert=True)
    records.update(shift="GEN")
    databases.empty_history("default")
    Backup.objects.all().delete()
    Installation.objects.all().delete()
    Installation.objects.create(id=uuid.uuid4(), name="Head office server")
    RestoreService().restore_backup(io.BytesIO(common))
    Head.objects.update(snapshot=Snapshot.objects.get(received_at__isnull=False))  # as if nothing had been here
    records.filter(ep_no="A002").update(shift="G3")
    records.filter(ep_no="A003").update(shift="NIGHT")
    return theirs


def _backup() -> bytes:
    out = io.BytesIO()
    BackupService().create_backup(output=out)
    return out.getvalue()
