"""What goes into a backup: the rows that are in it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from django.utils import timezone
from django.utils.translation import gettext as _

from core import moments
from core.backups.parents import ParentChoice
from core.models import Installation
from core.operations.errors import OperationFailed
from core.operations.known import require_companies
from core.register.database import Register
from core.register.declared import Selection
from recordsync.backupfile import BackupType
from recordsync.model.records import Record
from recordsync.model.schema import Model, Shape
from recordsync.stores import Filters, Store
from recordsync.streams import Deletion


@dataclass(frozen=True)
class StartingPoint:
    """Where a backup begins."""

    installation: Installation
    since: dt.datetime | None
    """The moment from which a record counts as changed; None: no moment says what is included."""
    taken_at: dt.datetime
    """The moment of the snapshot."""


def starting_point(register: Register, backup_type: BackupType, since: dt.datetime | None) -> StartingPoint:
    """Where a backup that is taken now begins. ``since``: the moment that somebody chose.

    Writes the installation where there is none yet. Raises OperationFailed for a moment that no backup can begin from.
    """
    installation = Installation.current(register.alias)
    if since is not None:
        _require_past(since, backup_type)
    return StartingPoint(installation, since, timezone.now())


def _require_past(since: dt.datetime, backup_type: BackupType) -> None:
    """Raises OperationFailed for a moment that no backup can begin from."""
    if backup_type == "full":
        raise OperationFailed(_("A full backup holds everything: it has no starting date. No backup was written."))
    if since > (now := timezone.now()):
        shown = {"since": moments.moment(since, seconds=True), "now": moments.moment(now, seconds=True)}
        text = _("%(since)s is still to come: it is %(now)s here now. No backup was written.")
        raise OperationFailed(text % shown)


def require_selection(selection: Selection | None, register: Register) -> None:
    """Raises OperationFailed for a company that is not in the register, and for days in the wrong order. Reads the
    database."""
    if selection is None:
        return
    require_companies(selection.companies or [], register, undone=_("No backup was written."))
    if selection.date_from and selection.date_to and selection.date_from > selection.date_to:
        raise OperationFailed(
            _("The first day (%(first)s) is after the last (%(last)s). No backup was written.")
            % {"first": selection.date_from, "last": selection.date_to}
        )


def unfit(backup_type: str, since: object, selection: Selection | None, asked: ParentChoice) -> str | None:
    """A sentence that says what of a backup does not go together; None if it does."""
    is_asked = asked != ParentChoice()
    if backup_type == "full" and is_asked:
        return _("A full backup holds everything: it continues nothing.")
    if since is not None and is_asked:
        return _("What changed since a moment continues nothing: choose the moment, or what to continue.")
    if asked.parent is not None and asked.installation is not None:
        return _("Choose either what to continue, or the installation that the backup is for.")
    if backup_type == "incremental" and since is None and selection is not None:
        return _(
            "An incremental backup of a part of the register needs a moment to begin from (--since). A full backup of "
            "the part needs none."
        )
    return None


def unfit_for_1_0(backup_type: str, since: object, selection: Selection | None) -> str | None:
    """A sentence that says why a backup cannot be a 1.0 file; None if it can be one."""
    if selection is not None:
        return _("A file of version 1.0 cannot say that it holds a selection: it would look like the whole register.")
    if backup_type == "incremental" and since is None:
        return _(
            "A file of version 1.0 cannot name the backup that it continues: an incremental one needs a moment to "
            "begin from (--since)."
        )
    return None


@dataclass(frozen=True)
class Content:
    """The rows of a store that go into the file."""

    store: Store
    where: Filters

    def count(self, model: Model) -> int:
        return self.store.count(model, self.where[model.name])

    def records(self, model: Model) -> Iterator[Record]:
        return self.store.records(model, self.where[model.name])

    def lines(self, shape: Shape) -> Iterator[bytes]:
        return self.store.lines(shape.model, self.where[shape.model.name])

    def updated(self, model: Model) -> Iterator[str | None]:
        return self.store.updated(model, self.where[model.name])

    def deletions(self, model: Model) -> Iterable[Deletion]:
        return ()  # the register does not remember what was deleted, and the metadata says so
