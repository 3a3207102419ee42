"""The traits of each kind of operation: whether it writes, whether it is audited, and its words for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final

from django.utils.translation import gettext_lazy as _

from core.models import Kind, Phase
from core.operations.errors import NOTHING_CHANGED, LazyText
from recordsync.backupfile import BackupType


@dataclass(frozen=True, kw_only=True)
class Traits:
    """The traits of a kind of operation."""

    in_a_sentence: LazyText
    """Its name in a sentence, as in "Meena has been running a restore"."""
    holds_register: bool = False
    """Whether it holds the register's lock while it writes, so that others wait for it."""
    is_of_a_file: bool = False
    """Whether it is named after a file."""
    is_audited: bool = True
    """Whether it leaves a row in the audit trail. An operation that only reads leaves none."""
    undone: LazyText = NOTHING_CHANGED
    """A sentence that says what a failure leaves undone."""
    undone_if_killed: LazyText = NOTHING_CHANGED
    """The same for a process that was killed and could not clean up."""
    perhaps: LazyText = ""
    """What may have happened if the outcome of its commit is unknown. Blank if its audit row shows the outcome."""
    look: LazyText = ""
    """A sentence that says where a person can then see the outcome."""


TRAITS: Final[Mapping[str, Traits]] = {
    Kind.BACKUP_FULL: Traits(
        in_a_sentence=_("a backup"),
        is_of_a_file=True,
        undone=_("No backup was written."),
        undone_if_killed=_("No backup was entered in the catalogue."),
    ),
    Kind.BACKUP_INCREMENTAL: Traits(
        in_a_sentence=_("an incremental backup"),
        is_of_a_file=True,
        undone=_("No backup was written."),
        undone_if_killed=_("No backup was entered in the catalogue."),
    ),
    Kind.VERIFY: Traits(
        in_a_sentence=_("a verification"),
        is_audited=False,
        undone=_("It was not marked as verified."),
        perhaps=_("the backup was marked as verified"),
        look=_("Look at the list of backups when it does."),
    ),
    Kind.CHECK: Traits(in_a_sentence=_("a check"), is_audited=False),
    Kind.RESTORE: Traits(
        in_a_sentence=_("a restore"),
        is_of_a_file=True,
        holds_register=True,
        perhaps=_("the file was restored"),
        look=_("Preview the same file when it does: if nothing differs, it was restored."),
    ),
    Kind.CHECK_SHEET: Traits(in_a_sentence=_("a check of a sheet"), is_audited=False),
    Kind.IMPORT: Traits(
        in_a_sentence=_("an import"),
        is_of_a_file=True,
        holds_register=True,
        perhaps=_("the sheet was imported"),
        look=_("Preview the same sheet when it does: if nothing in it is new or changed, it was imported."),
    ),
    Kind.EXPORT: Traits(in_a_sentence=_("an export"), is_audited=False, undone=_("No file was written.")),
    Kind.DELETE_ALL: Traits(
        in_a_sentence=_("the deletion of all records"),
        is_of_a_file=True,
        holds_register=True,
        perhaps=_("the records were deleted"),
        look=_("Look at the list of attendance when it does."),
    ),
    Kind.RENAME_COMPANY: Traits(
        in_a_sentence=_("the renaming of a company"),
        holds_register=True,
        perhaps=_("the company was renamed"),
        look=_("Look at the companies when it does."),
    ),
    Kind.BULK_EDIT: Traits(
        in_a_sentence=_("a bulk edit"),
        holds_register=True,
        perhaps=_("the days were changed"),
        look=_("Look at the list of attendance when it does."),
    ),
    Kind.CLOSE_MONTH: Traits(
        in_a_sentence=_("the closing of a month"),
        holds_register=True,
        perhaps=_("the month was closed"),
        look=_("Look at the month’s roll when it does."),
    ),
    Kind.REOPEN_MONTH: Traits(
        in_a_sentence=_("the reopening of a month"),
        holds_register=True,
        perhaps=_("the month was reopened"),
        look=_("Look at the month’s roll when it does."),
    ),
    Kind.UNDO: Traits(
        in_a_sentence=_("an undo"),
        holds_register=True,
        perhaps=_("it was undone"),
        look=_("Look at the history when it does."),
    ),
    Kind.SEED_DEMO: Traits(
        in_a_sentence=_("the making of a demo register"),
        holds_register=True,
        perhaps=_("the demo register was made"),
        look=_("Look whether the register is still empty when it does."),
    ),
}

WRITERS: Final = tuple(kind for kind in Kind if TRAITS[kind].holds_register)
UNDOABLE: Final = tuple(kind for kind in WRITERS if kind not in (Kind.CLOSE_MONTH, Kind.REOPEN_MONTH))
"""A month that was closed is reopened on its roll, and the other way round."""
UNAUDITED: Final = tuple(kind for kind in Kind if not TRAITS[kind].is_audited)
BACKUPS: Final[Mapping[BackupType, Kind]] = {"full": Kind.BACKUP_FULL, "incremental": Kind.BACKUP_INCREMENTAL}

BEFORE_THE_LOCK: Final = (Phase.BEGIN, Phase.RECEIVE, Phase.CHECK, Phase.LIST, Phase.WAIT, Phase.SAFETY)
"""Phases in which an operation that writes does not hold the register yet."""


def traits_of(kind: str) -> Traits:
    """The traits of the kind of a row, which another version of the program may have written."""
    return TRAITS.get(kind) or Traits(in_a_sentence=kind)


def name_of(kind: str, name: str) -> str:
    """The name of an operation of this kind for others to see: of a file's path only the last part."""
    return PurePath(name).name if traits_of(kind).is_of_a_file else name


def label_of(kind: str) -> str:
    """The name that people use for the kind of a row; the kind itself if this program does not know it."""
    return str(Kind(kind).label) if kind in Kind.values else kind


def phase_label(phase: str) -> str:
    """The label of a row's phase; the phase itself if this program does not know it."""
    return str(Phase(phase).label) if phase in Phase.values else phase
