"""Which snapshot an incremental backup continues."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from django.db import Error
from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from core.backups import catalogue
from core.history.snapshots import SHOWN, find
from core.models import Backup, Installation
from core.operations.errors import LazyText, OperationFailed
from core.operations.run import Run
from core.register.database import Register
from recordsync.errors import HistoryUnusable, RecordSyncError, printable
from recordsync.history.ancestry import Known, ancestry
from recordsync.history.relation import best_common_ancestors, with_ancestors
from recordsync.models import Snapshot

logger = logging.getLogger(__name__)

_BASES: Final = 8
"""How many ancestors a file for another installation has at least, where they are at hand."""
_NOT_WRITTEN: Final = gettext_lazy("No backup was written.")
_TAKE_FULL: Final = gettext_lazy("Take a full backup first: incremental ones then continue it.")
_FULL_FOR_IT: Final = gettext_lazy("Take a full backup for it.")


@dataclass(frozen=True)
class ParentChoice:
    """What the person asked to continue; at most one of both. Neither: the last backup.

    ``parent``: the beginning of a snapshot's id, or the id of a backup. ``installation``: for which installation the
    backup is, by its id or its name: what it is known to have is continued.
    """

    parent: str | None = None
    installation: str | None = None


def parent_of(run: Run, known: Sequence[Known], asked: ParentChoice) -> Snapshot:
    """The snapshot that an incremental backup continues. Its contents are in the history store.

    ``known``: the snapshot of now and all of its ancestors. Reads the catalogue and headers. Raises OperationFailed
    where there is none, or not the one that was asked for.
    """
    register = run.register
    if asked.installation is not None:
        return _shared_with(run, asked.installation, known)
    if asked.parent is not None:
        snapshot = _asked_for(register, asked.parent)
        if snapshot.pk not in {one.id for one in known}:
            raise _refusal(
                _(
                    "Snapshot %(id)s is not in the history of what the register is now, so nothing tells what changed "
                    "since."
                )
                % {"id": snapshot.pk[:SHOWN]}
            )
        if not _at_hand(register, [snapshot]):
            raise _refusal(_("The contents of snapshot %(id)s are no longer kept here.") % {"id": snapshot.pk[:SHOWN]})
        return snapshot
    last = _last(register, known)
    if last is not None:
        return last[1]
    if catalogue.continuable(register):
        raise _refusal(
            _(
                "The history does not have the contents of any backup that an incremental one could continue: they "
                "are no longer kept, or the register was put back to an older copy."
            )
        )
    raise _refusal(_("There is no backup yet that an incremental one could continue."))


def bases_of(register: Register, known: Sequence[Known], parent: str) -> list[Snapshot]:
    """The ancestors of now whose content a file for another installation brings as well, because a later merge of that
    one may need them as its base; newest first. These are all since ``parent`` that are at hand, and older ones until
    there are eight.

    ``known``: the snapshot of now and all of its ancestors. Reads headers.
    """
    before = with_ancestors({one.id: one.parents for one in known}, [parent])
    kept = {row.pk: row for row in register.rows(Snapshot).filter(is_kept=True)}
    at_hand = _at_hand(register, kept.values())
    ids = [one.id for one in reversed(known[:-1]) if one.id in at_hand and one.id != parent]
    since = [pk for pk in ids if pk not in before]
    older = [pk for pk in ids if pk in before]
    return [kept[pk] for pk in (*since, *older[: max(0, _BASES - len(since))])]


def next_parent(register: Register) -> Backup | None:
    """The backup that the next incremental one continues; None where there is none, or nobody can tell. Reads the
    catalogue and headers."""
    try:
        head = register.history.head()
        last = None if head is None else _last(register, ancestry(register.alias, [head.pk]))
    except (RecordSyncError, HistoryUnusable, Error):
        logger.warning("It is not known which backup the next one continues", exc_info=True)
        return None
    return None if last is None else last[0]


def known_installations(register: Register) -> Mapping[str, str]:
    """The name of each other installation that is known here, by its id: from headers of snapshots and from the
    catalogue."""
    own = Installation.without_writing(register.alias).id
    backups = register.rows(Backup).exclude(installation_id=own).order_by("taken_at")
    names = {str(pk): name for pk, name in backups.values_list("installation_id", "installation_name")}
    headers = register.rows(Snapshot).filter(installation__isnull=False).exclude(installation=own).order_by("order")
    return names | {str(pk): name for pk, name in headers.values_list("installation", "says__installation__name")}


def _last(register: Register, known: Sequence[Known]) -> tuple[Backup, Snapshot] | None:
    """The newest backup whose chain is whole and whose snapshot is at hand and known, and that snapshot."""
    ids = {one.id for one in known}
    backups = [backup for backup in catalogue.continuable(register) if backup.snapshot in ids]
    snapshots = register.rows(Snapshot).in_bulk([backup.snapshot for backup in backups])
    at_hand = _at_hand(register, snapshots.values())
    for backup in backups:
        if backup.snapshot in at_hand:
            return backup, snapshots[backup.snapshot]
    return None


def _at_hand(register: Register, snapshots: Collection[Snapshot]) -> set[str]:
    """The ids of those of these snapshots whose trees the history store has."""
    kept = [snapshot for snapshot in snapshots if snapshot.is_kept]
    roots = register.history.store.known_nodes({snapshot.tree for snapshot in kept})
    return {snapshot.pk for snapshot in kept if snapshot.tree in roots}


def _asked_for(register: Register, text: str) -> Snapshot:
    """The snapshot that somebody names by the beginning of its id, or by the id of a backup."""
    if "-" not in text:
        try:
            return find(text, register)
        except OperationFailed as failure:
            raise _refusal(failure.what, then=failure.then) from failure
    try:
        backup = register.rows(Backup).filter(pk=uuid.UUID(text)).first()
    except ValueError:
        backup = None
    if backup is None:
        raise _refusal(_("No backup has the id %(id)s.") % {"id": printable(text)}, then="")
    if not backup.snapshot:
        raise _refusal(
            _(
                "Backup %(id)s holds no snapshot, as a selection and a backup since a moment do not: nothing can "
                "continue it."
            )
            % {"id": text}
        )
    snapshot = register.rows(Snapshot).filter(pk=backup.snapshot).first()
    if snapshot is None:
        raise _refusal(_("The snapshot of backup %(id)s is not known here.") % {"id": text})
    return snapshot


def _shared_with(run: Run, text: str, known: Sequence[Known]) -> Snapshot:
    """The newest snapshot that another installation is known to have as well."""
    register = run.register
    installation, name = _installation(register, text)
    shown = {"name": name}
    # A merge says no installation: which one had it, the file says in which it came.
    received = register.rows(Backup).filter(installation_id=installation).exclude(snapshot="")
    of_theirs = Q(installation=installation) | Q(pk__in=received.values("snapshot"))
    theirs = register.rows(Snapshot).filter(of_theirs).order_by("-order").first()
    if theirs is None:
        raise _refusal(
            _(
                "No snapshot of %(name)s is known here, so nothing tells what it has. Restore a newer file of it here "
                "first."
            )
            % shown,
            then=_("Or take a full backup for it."),
        )
    both = {one.id: one.parents for one in (*known, *ancestry(register.alias, [theirs.pk]))}
    best = best_common_ancestors(both, [known[-1].id], [theirs.pk])
    if not best:
        raise _refusal(_("This register and %(name)s have no snapshot in common.") % shown, then=_FULL_FOR_IT)
    snapshots = register.rows(Snapshot).in_bulk(best)
    at_hand = [pk for pk in best if pk in _at_hand(register, snapshots.values())]
    shown["id"] = best[0][:SHOWN]
    if not at_hand:
        raise _refusal(
            _("The contents of snapshot %(id)s, the last one that %(name)s has as well, are no longer kept here.")
            % shown,
            then=_FULL_FOR_IT,
        )
    if len(best) > 1:
        run.warn(
            _("%(name)s has several last snapshots of this register: %(all)s. This backup continues %(one)s.")
            % {"name": name, "all": ", ".join(pk[:SHOWN] for pk in best), "one": at_hand[0][:SHOWN]}
        )
    return snapshots[at_hand[0]]


def _installation(register: Register, text: str) -> tuple[str, str]:
    """The id and the name of the installation that somebody names by one of these."""
    own = Installation.current(register.alias)
    if text.casefold() in (str(own.id), own.name.casefold()):
        raise _refusal(_("%(name)s is this installation itself.") % {"name": own.name}, then="")
    known = known_installations(register)
    found = [pk for pk, name in known.items() if text.casefold() in (pk, name.casefold())]
    if not found:
        names = ", ".join(sorted(known.values())) or _("none yet")
        raise _refusal(
            _("No installation %(name)s is known here. Known are: %(names)s.")
            % {"name": printable(text), "names": names},
            then=_("Restore a backup of it here first, or take a full backup for it."),
        )
    if len(found) > 1:
        raise _refusal(
            _("More than one installation is named %(name)s: %(ids)s.")
            % {"name": printable(text), "ids": ", ".join(sorted(found))},
            then=_("Give the id of one."),
        )
    return found[0], known[found[0]]


def _refusal(what: LazyText, then: LazyText = _TAKE_FULL) -> OperationFailed:
    """The failure of a backup that has nothing to continue."""
    return OperationFailed(what, undone=_NOT_WRITTEN, then=then)
