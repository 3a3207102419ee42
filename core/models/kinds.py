"""The kinds and the phases of operations, each with its label."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Kind(models.TextChoices):
    """The kinds of operations. :mod:`core.operations.traits` has the traits of each."""

    BACKUP_FULL = "backup_full", _("Full backup")
    BACKUP_INCREMENTAL = "backup_incremental", _("Incremental backup")
    VERIFY = "verify", _("Verifying a backup")
    CHECK = "check", _("Checking a backup file")
    RESTORE = "restore", _("Restore")
    CHECK_SHEET = "check_sheet", _("Checking a sheet")
    IMPORT = "import", _("Import")
    EXPORT = "export_xlsx", _("Export to a workbook")
    DELETE_ALL = "delete_all", _("Delete all records")
    RENAME_COMPANY = "rename_company", _("Rename a company")
    BULK_EDIT = "bulk_edit", _("Bulk edit")
    CLOSE_MONTH = "close_month", _("Close a month")
    REOPEN_MONTH = "reopen_month", _("Reopen a month")
    SEED_DEMO = "seed_demo", _("Demo register")
    UNDO = "undo", _("Undo")


class Phase(models.TextChoices):
    """What an operation is doing now. The engine reports its phases by the same words
    (:mod:`recordsync.system.progress`)."""

    BEGIN = "", _("waiting to begin")
    WAIT = "wait", _("waiting for somebody else’s restore or import")
    RECEIVE = "receive", _("receiving the file")
    CHECK = "check", _("checking the file")
    COMPARE = "compare", _("comparing with the register")
    PREPARE = "prepare", _("preparing the preview")
    LIST = "list", _("listing what will change")
    SNAPSHOT = "snapshot", _("taking a snapshot")
    READ = "read", _("reading the register")
    WRITE = "write", _("writing the file")
    APPLY = "apply", _("writing to the register")
    SAFETY = "safety", _("taking a backup first")
    DELETE = "delete", _("deleting the records")
    COMMIT = "commit", _("finishing")
