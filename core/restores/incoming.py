"""What is merged into the register: a file or a snapshot, how it is related to the register, and which base follows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from tempfile import TemporaryFile
from typing import IO, Final

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from core import moments
from core.backups import catalogue
from core.formats.checking import RestoredFile
from core.models import Company
from core.operations.errors import NOTHING_CHANGED, OperationFailed, explain, sentences
from core.operations.results import BaseSummary, Origin
from core.register.database import Register
from core.register.declared import COMPANIES, SCHEMA, SEALS
from recordsync.backupfile import BackupFile, UncheckedFile
from recordsync.backupfile.ancestry import check_ancestry
from recordsync.errors import HistoryDamaged, HistoryUnusable
from recordsync.history.ancestry import Ancestry
from recordsync.history.changed import ChangedTree, SpooledFrame
from recordsync.history.headers import Header, Rename
from recordsync.history.lineage import Lineage, after_taking
from recordsync.history.relation import BaseIds, Kinship, Relation, relation, snapshots_in
from recordsync.history.snapshots import ReceivedSnapshot, header_of
from recordsync.history.store import StoredTree
from recordsync.merge import Counts, Side
from recordsync.model.fields import TIMESTAMP
from recordsync.models import Snapshot
from recordsync.plan import Base as OpenedBase
from recordsync.plan import (
    CarriedBases,
    ChangesDoNotFit,
    NewName,
    Renames,
    Renamings,
    Shared,
    Source,
    TreeSource,
    names_at,
    opened_base,
    renamed_tree,
    tree_of_all,
    tree_with,
)


class BaseChoice(StrEnum):
    """What somebody chooses as the base of a merge."""

    ANCESTRY = "ancestry"
    """What the ancestry of both sides proves."""
    NONE = "none"
    """None, whatever is known: every difference is a conflict, and absence deletes nothing."""


class Mode(StrEnum):
    """What becomes of the register."""

    MERGE = "merge"
    """Theirs is merged into it."""
    EXACT = "exact"
    """It becomes exactly as theirs."""


_UNKNOWN: Final = gettext_lazy(
    "Nothing in common is known: neither has a snapshot of the other. So every difference is a conflict, and what is "
    "only on one side stays."
)
_SAYS_NOTHING: Final = gettext_lazy(
    "The file does not say which snapshot it has, so nothing in common is known: every difference is a conflict, and "
    "what is only on one side stays."
)
_OWN: Final = gettext_lazy(
    "This was taken here: every value that has changed since is a conflict, so that it can be brought back, and what "
    "was added since stays."
)
_CHOSEN: Final = gettext_lazy("No base was chosen: every difference is a conflict, and what is only on one side stays.")
_OTHER_FIELDS: Final = gettext_lazy(
    "Companies were renamed since, and the file does not have every field. So each is merged as the deletion of one "
    "company and the addition of another."
)
_NAMES_NOT_HERE: Final = gettext_lazy(
    "Companies were renamed since, and what both sides had is not at hand here. So a company that has another name "
    "there is merged as another company, and may then stand twice."
)
_EXACT: Final = gettext_lazy("The register becomes exactly as this: what it does not have is deleted here.")


class Helps(StrEnum):
    """What helps where something cannot be merged as it was asked for."""

    NO_BASE = "no_base"
    """To go on without a base."""
    MERGE = "merge"
    """To merge it."""


class BaseNotHere(OperationFailed):
    """The register does not have the records of the base any more."""

    helps = Helps.NO_BASE


class NotExact(OperationFailed):
    """The register cannot become exactly as what comes."""

    helps = Helps.MERGE


@dataclass(frozen=True)
class Incoming:
    """What is merged into the register, and how.

    ``why``: a sentence that says why the base is what it is. ``base``: the snapshots that both sides shared, or the
    side that has the same as the base; None: no base. ``kinship``: how theirs is related to the register's head, if
    that is known. ``lineage``: what the snapshot after descends from (None: from the head). ``received``: the snapshot
    that came, if it enters the history. ``unstored``: its tree, if it is not in the history store yet. ``tree``: the
    digest of theirs' tree, if theirs is a snapshot that comes. ``is_alike``: whether the register's head has it.
    ``renames``: the names under which theirs and the base are seen; None: their own. ``notes``: sentences about what is
    odd.
    ``goes_on_from_theirs``: whether theirs, and not the head, is the first parent of the snapshot after. ``carried``:
    the trees that the file brings for bases. ``parts_companies``: whether a company that both sides changed is merged
    as two, because its new name cannot be followed. ``needs_snapshot``: whether nothing may be done unless the snapshot
    after is taken. ``withdraws``: whether what came is withdrawn, and stays where it came from.
    """

    theirs: Source
    origin: Origin
    why: str
    base: BaseIds | Side | None = None
    kinship: Kinship | None = None
    lineage: Lineage | None = None
    received: ReceivedSnapshot | None = None
    unstored: ChangedTree | None = None
    tree: str = ""
    is_alike: bool = False
    is_exact: bool = False
    renames: Renames | None = None
    notes: Sequence[str] = ()
    goes_on_from_theirs: bool = False
    carried: CarriedBases | None = None
    parts_companies: bool = False
    needs_snapshot: bool = False
    withdraws: bool = False

    @property
    def names(self) -> Mapping[str, Mapping[str, NewName]]:
        """What becomes of names that theirs has for records of ours."""
        return {} if self.renames is None else self.renames.names

    def stated(self, renames: Sequence[Rename]) -> list[Rename]:
        """The renames that the snapshot after states against its first parent. ``renames``: those of the register."""
        if not self.goes_on_from_theirs or self.renames is None:
            return list(renames)
        after = {(rename.model, rename.before): rename.after for rename in renames}
        return [
            Rename(model, name, now)
            for model, seen in self.renames.theirs.items()
            for name, here in seen.items()
            if here is not None and (now := after.get((model, here), here)) != name
        ]

    def becomes(self, counts: Mapping[str, Counts], *, was_empty: bool) -> str | None:
        """The digest of the tree that the register has after this was applied with these counts; None: nobody knows,
        because more than theirs is in it. ``was_empty``: whether there was nothing in the register."""
        if any(of.conflicts or of.created for of in counts.values()):
            return None
        if SEALS.name in counts and counts[SEALS.name].only_here:
            return None  # it was deleted there, or not reopened, and is kept here
        if not self.is_exact and any(of.sealed for of in counts.values()):
            return None  # a closed month stays as it is here, or its seal says who reopened it
        if not was_empty and any(model.name not in self.theirs.counts for model in SCHEMA):
            return None  # what theirs does not speak about stays
        is_new = was_empty and self.base is None
        is_theirs = is_new or self.is_exact or (self.kinship is Kinship.AHEAD and self.base is not None)
        return self.tree or None if is_theirs else None

    def tree_at(self, row: Snapshot, register: Register) -> StoredTree:
        """The tree of a snapshot that the register knows: from the history store, or as the file brings it. Raises
        HistoryDamaged where neither has it, HistoryUnusable."""
        try:
            return tree_of(row, register)
        except (HistoryDamaged, HistoryUnusable):
            brought = None if self.carried is None else self.carried.tree(row.pk)
            if brought is None:
                raise
            return brought

    def summary(self) -> BaseSummary:
        """What is told of its base."""
        known = self.base is not None and not isinstance(self.base, Side)
        snapshots = sorted(snapshots_in(self.base)) if known else ()
        return BaseSummary(self.why, snapshots, self.kinship, self.is_exact, self.parts_companies)

    @contextmanager
    def opened_base(self, register: Register) -> Iterator[OpenedBase | Side | None]:
        """The base to make a plan with, in the block. Reads the history store.

        Raises OperationFailed where its records are not at hand, which names the snapshot and says who has it.
        """
        if self.base is None or isinstance(self.base, Side):
            yield self.base
            return
        rows = {row.pk: row for row in register.rows(Snapshot).filter(pk__in=snapshots_in(self.base))}
        with TemporaryFile() as spool:
            frames: dict[str, SpooledFrame] = {}  # of all snapshots: a base may read the block of another one

            def tree(pk: str) -> StoredTree:
                found = self.tree_at(rows[pk], register)
                if self.renames is None:
                    return found
                return renamed_tree(register.history.store, found, self.renames.bases[pk], spool, frames)

            try:
                opened = opened_base(self.base, tree)
            except (HistoryDamaged, HistoryUnusable) as error:
                if _is_whole(self.theirs) and self.kinship is Kinship.MERGED:
                    yield Side.THEIRS  # the file has it, and nothing of it is taken
                    return
                is_alike = self.is_alike and self.renames is None
                is_head = _is_whole(self.theirs) and (is_alike or self.kinship is Kinship.AHEAD)
                if is_head and register.history.is_unmarked():
                    yield Side.OURS  # the register still is its head, which is the base, or is what theirs is
                    return
                raise self._not_here(list(rows.values()), register, error) from error
            try:
                yield opened
            except HistoryDamaged as error:
                raise self._not_here(list(rows.values()), register, error) from error

    def _not_here(
        self, rows: list[Snapshot], register: Register, error: HistoryDamaged | HistoryUnusable
    ) -> BaseNotHere:
        """The failure for a base whose records are not at hand, which names the snapshots that are concerned."""
        otherwise = _("Or go on without a base: every difference is then a conflict.")
        if lacking := [row for row in rows if self._lacks(row, register)]:
            return BaseNotHere(
                _("The records of %(snapshots)s, which both sides had, are not at hand here.")
                % {"snapshots": _(" and ").join(map(snapshot_name, lacking))},
                undone=NOTHING_CHANGED,
                then=_(
                    "Ask for this backup again, made for this installation (--for): it brings them. Or restore a full "
                    "backup of this snapshot first. Or restore this backup where the snapshot is at hand, and then a "
                    "backup from there here."
                )
                + f" {otherwise}",
            )
        return BaseNotHere(
            _("The records of %(snapshots)s, which both sides had, cannot be read here (%(why)s).")
            % {"snapshots": _(" and ").join(map(snapshot_name, rows)), "why": explain(error).rstrip(".")},
            undone=NOTHING_CHANGED,
            then=_("Mend the history first.") + f" {otherwise}",
        )

    def _lacks(self, row: Snapshot, register: Register) -> bool:
        """Whether the tree of a snapshot is not at hand, though the history store answers."""
        try:
            self.tree_at(row, register)
        except HistoryDamaged:
            return True
        except HistoryUnusable:
            pass
        return False


def from_file(file: RestoredFile, register: Register, choice: BaseChoice, mode: Mode, spool: IO[bytes]) -> Incoming:
    """A file, as it comes into the register as that is now. Reads headers, the catalogue, and the history store.

    ``spool``: an empty temporary file, which stays open and is the caller's. Raises OperationFailed where the file does
    not have all that an exact restore needs, and where its changes do not fit what it continues.
    """
    said, origin = file.metadata.snapshot, _origin(file)
    if said is None or file.metadata.ancestors is None:
        return _as_asked(Incoming(file, origin, str(_SAYS_NOTHING)), mode)
    received = ReceivedSnapshot(said, check_ancestry(said, file.metadata.ancestors, file.metadata.parent, SCHEMA))
    theirs: Source = file
    unstored = None
    if file.metadata.backup_type == "incremental":
        if (parent := _parent(file, received, register)) is None:
            return _as_asked(Incoming(file, origin, _lacks(file, register)), mode)
        try:
            unstored = tree_with(register.history.store, parent, file, said.says.tree, spool)
        except ChangesDoNotFit as error:
            raise OperationFailed(
                str(error), undone=NOTHING_CHANGED, then=_("Ask for a full backup in its place.")
            ) from error
        theirs = TreeSource(unstored)
    head = register.history.head()
    ancestry = register.history.ancestry().with_known(received.ancestors, said)
    related = None if head is None else related_in(ancestry, head.pk, said)
    lineage = after_taking(None if head is None else header_of(head), said, related, is_exact=mode is Mode.EXACT)
    is_alike = head is not None and head.tree == said.says.tree
    kinship = related and related.kinship
    incoming = Incoming(theirs, origin, "", kinship=kinship, tree=said.says.tree, is_alike=is_alike)
    if unstored is not None or isinstance(file, UncheckedFile):  # another one is not read block by block
        incoming = replace(incoming, lineage=lineage, received=received, unstored=unstored)
    if unstored is not None and isinstance(file, BackupFile):
        incoming = replace(incoming, carried=CarriedBases(register.history.store, file, unstored, spool))
    is_own = catalogue.was_taken_here(file.metadata, register)
    incoming = _as_asked(_based(incoming, register, related, choice, is_own=is_own), mode)
    if head is None or related is None or related.base is None:
        return incoming
    renamings = Renamings(ancestry, SCHEMA, head.pk, said.id, related.base)
    return with_renames(incoming, register, renamings, said.id, snapshots_in(related.base), spool)


def from_snapshot(row: Snapshot, register: Register, choice: BaseChoice, mode: Mode, spool: IO[bytes]) -> Incoming:
    """A snapshot of the register's own history, as it comes into the register as that is now. Reads headers and the
    history store. ``spool``: see :func:`from_file`. Raises OperationFailed where its records are not at hand."""
    try:
        theirs = TreeSource(tree_of(row, register))
    except (HistoryDamaged, HistoryUnusable) as error:
        raise not_at_hand(row, error) from error
    said = header_of(row)
    head = register.history.head()
    ancestry = register.history.ancestry()
    related = None if head is None else related_in(ancestry, head.pk, said)
    lineage = after_taking(None if head is None else header_of(head), said, related, is_exact=mode is Mode.EXACT)
    incoming = Incoming(
        theirs,
        origin_of(row),
        "",
        kinship=related and related.kinship,
        lineage=lineage,
        tree=row.tree,
        is_alike=head is not None and head.tree == row.tree,
    )
    is_own = related is not None and related.kinship is Kinship.MERGED
    incoming = _as_asked(_based(incoming, register, related, choice, is_own=is_own), mode)
    if head is None or related is None or related.base is None:
        return incoming
    renamings = Renamings(ancestry, SCHEMA, head.pk, said.id, related.base)
    return with_renames(incoming, register, renamings, said.id, snapshots_in(related.base), spool)


def from_undo(
    before: Snapshot | None, after: Snapshot, register: Register, lineage: Lineage, why: str, spool: IO[bytes]
) -> Incoming:
    """What undoes a move of the head from one snapshot (None: an empty register) to another: theirs is what was before,
    and the base what was after. Reads the history store. ``spool``: see :func:`from_file`.

    Raises OperationFailed where the records of either are not at hand.
    """
    theirs = StoredTree(register.history.store, None, SCHEMA)
    row = after
    try:
        tree_of(after, register)
        if before is not None:
            row = before
            theirs = tree_of(before, register)
    except (HistoryDamaged, HistoryUnusable) as error:
        raise not_at_hand(row, error) from error
    incoming = Incoming(TreeSource(theirs), origin_of(before or after), why, after.pk, lineage=lineage)
    head = register.history.head()
    if head is None:
        return incoming
    # Nothing in an empty register has another name than it had after.
    renamings = Renamings(register.history.ancestry(), SCHEMA, head.pk, (before or after).pk, after.pk)
    theirs_pk = None if before is None else before.pk
    incoming = with_renames(incoming, register, renamings, theirs_pk, [after.pk], spool)
    return replace(incoming, goes_on_from_theirs=lineage.parents[:1] == [theirs_pk])


def _based(
    incoming: Incoming, register: Register, related: Relation | None, choice: BaseChoice, *, is_own: bool
) -> Incoming:
    """The same with its base. ``is_own``: whether its values are to be brought back."""
    if choice is BaseChoice.NONE:
        return replace(incoming, why=str(_CHOSEN))
    if is_own:
        return replace(incoming, why=str(_OWN))
    if related is None or related.base is None:
        return replace(incoming, why=str(_UNKNOWN))
    return replace(incoming, why=_because(register, related), base=related.base)


def _as_asked(incoming: Incoming, mode: Mode) -> Incoming:
    """The same, or an exact one. Raises OperationFailed where theirs does not have all that this needs."""
    if mode is Mode.MERGE:
        return incoming
    if not _is_whole(incoming.theirs):
        raise NotExact(
            _("The register can become exactly as a full backup of version 2.0, or as a snapshot. This is neither."),
            undone=NOTHING_CHANGED,
            then=_("Merge it, or choose another one."),
        )
    return replace(incoming, why=str(_EXACT), base=Side.OURS, is_exact=True)


def _is_whole(theirs: Source) -> bool:
    """Whether theirs speaks about every record, with every field."""
    return theirs.is_complete and all(theirs.shape(model).is_whole for model in SCHEMA)


def related_in(ancestry: Ancestry, head: str, said: Header) -> Relation:
    """How a snapshot is related to this one of the register. ``ancestry``: of both."""
    return relation(ancestry.parents, ancestry.merges, head, said.id)


def with_renames(
    incoming: Incoming,
    register: Register,
    renamings: Renamings,
    theirs: str | None,
    bases: Iterable[str],
    spool: IO[bytes],
) -> Incoming:
    """The same, seen under the register's names, where records have other names since the base. ``theirs`` (None: an
    empty register), ``bases``: ids of snapshots. Reads the history store and the register, and of a file all records,
    if there are renames."""
    if renamings.are_none():
        return incoming
    store = register.history.store
    if not _is_whole(incoming.theirs) or any(model.name not in incoming.theirs.counts for model in SCHEMA):
        return _with_notes(incoming, register, [str(_OTHER_FIELDS)])
    tree = incoming.theirs.tree if isinstance(incoming.theirs, TreeSource) else None
    if tree is None:
        tree = tree_of_all(store, incoming.theirs, SCHEMA, spool)
        if incoming.received is not None:
            incoming = replace(incoming, unstored=tree)
    rows = {row.pk: row for row in register.rows(Snapshot).filter(pk__in=bases)}
    ours = {COMPANIES.name: frozenset(register.rows(Company).values_list("name", flat=True))}
    try:
        at = {
            pk: names_at(tree if pk == theirs else incoming.tree_at(row, register), SCHEMA) for pk, row in rows.items()
        }
    except (HistoryDamaged, HistoryUnusable):
        if incoming.kinship is not Kinship.AHEAD or not register.history.is_unmarked():
            if incoming.base is None:
                return _with_notes(incoming, register, [str(_NAMES_NOT_HERE)])
            return incoming  # its base is not here
        at = dict.fromkeys(rows, ours)
    seen = renamings.seen(ours, names_at(tree, SCHEMA), at, incoming.base)
    notes = []
    for one in seen.apart[COMPANIES.name]:
        is_old_name = one.ours in one.bases.values() and one.theirs not in ours[COMPANIES.name]
        notes.append(_apart(one, is_followed_there=is_old_name and incoming.kinship is Kinship.APART))
    theirs_seen = TreeSource(renamed_tree(store, tree, seen.theirs, spool))
    return _with_notes(replace(incoming, theirs=theirs_seen, renames=seen), register, notes)


def _with_notes(incoming: Incoming, register: Register, notes: Sequence[str]) -> Incoming:
    """The same with sentences about companies whose new names cannot be followed. Reads marks."""
    is_apart = incoming.kinship is Kinship.APART or incoming.base is None
    is_apart = is_apart or (incoming.kinship is Kinship.AHEAD and not register.history.is_unmarked())
    return replace(incoming, notes=(*incoming.notes, *notes), parts_companies=bool(notes) and is_apart)


def _apart(shared: Shared, *, is_followed_there: bool) -> str:
    """The sentence for a company whose new name cannot be followed here."""
    text = _(
        "%(theirs)s there and %(ours)s here are one company that was renamed, and another company has one of these "
        "names. So %(theirs)s and %(ours)s are merged as two companies: what the rename took away counts as deleted, "
        "and what it made as added."
    )
    if is_followed_there:  # where ours is joined under the new name, and the old one names the new company alone
        text = sentences(text, _("It can be followed there: restore a backup of this register there first."))
    return text % {"theirs": shared.theirs, "ours": shared.ours}


def tree_of(row: Snapshot, register: Register) -> StoredTree:
    """The tree of a snapshot. Reads the history store. Raises HistoryDamaged where it is not there, HistoryUnusable."""
    return StoredTree(register.history.store, row.tree or row.pk, SCHEMA)


def _parent(file: RestoredFile, received: ReceivedSnapshot, register: Register) -> StoredTree | None:
    """The tree of the snapshot that an incremental file continues; None where it is not at hand, or not all of its
    ancestors are known."""
    named = {parent for known in received.ancestors for parent in known.parents} | {*received.header.parents}
    named.add(str(file.metadata.parent))
    rows = {row.pk: row for row in register.rows(Snapshot).filter(pk__in=named)}
    if not rows.keys() | {known.id for known in received.ancestors} >= named:
        return None
    try:
        return tree_of(rows[str(file.metadata.parent)], register)
    except (HistoryDamaged, HistoryUnusable):
        return None


def _lacks(file: RestoredFile, register: Register) -> str:
    """The sentence for an incremental file whose parent is not at hand."""
    row = register.rows(Snapshot).filter(pk=file.metadata.parent).first()
    named = _("snapshot %(id)s") % {"id": str(file.metadata.parent)[:10]} if row is None else snapshot_name(row)
    return _(
        "The file has the changes since %(snapshot)s, whose records are not at hand here. So it is merged without a "
        "base: every difference is a conflict, and the register does not count as having this snapshot. With a full "
        "backup that holds it, restored first, it has a base."
    ) % {"snapshot": named}


def _because(register: Register, related: Relation) -> str:
    """A sentence that says why the base is what it is."""
    rows = register.rows(Snapshot).filter(pk__in=snapshots_in(related.base)).order_by("order")
    named = _(" and ").join(map(snapshot_name, rows))
    if related.kinship is Kinship.MERGED:
        text = _("%(snapshot)s was merged here already. Nothing of it is taken again.")
        named = named[:1].upper() + named[1:]
    else:
        text = _("Both had %(snapshot)s.")
    return text % {"snapshot": named}


def snapshot_name(row: Snapshot) -> str:
    """The name of a snapshot in a sentence, such as ``snapshot 41 of Site A (2026-11-20 18:40 IST)``."""
    if row.number is None or row.says is None:
        kind = _("the merge %(id)s (known here since %(moment)s)") if row.is_merge else _("snapshot %(id)s")
        return kind % {"id": row.pk[:10], "moment": moments.moment(row.recorded_at)}
    moment: dt.datetime = TIMESTAMP.to_python(row.says["moment"]) or row.recorded_at
    return _("snapshot %(number)s of %(installation)s (%(moment)s)") % {
        "number": f"{row.number:,}",
        "installation": row.says["installation"]["name"],
        "moment": moments.moment(moment),
    }


def _origin(file: RestoredFile) -> Origin:
    metadata = file.metadata
    return Origin(metadata.installation.id, metadata.installation.name, metadata.created_at)


def origin_of(row: Snapshot) -> Origin:
    """Where a snapshot was taken, and when."""
    if row.says is None or row.is_merge:
        return Origin("", "", str(TIMESTAMP.to_text(row.recorded_at)))
    installation = row.says["installation"]
    return Origin(installation["id"], installation["name"], row.says["moment"])


def not_at_hand(row: Snapshot, error: Exception) -> OperationFailed:
    """The failure for a snapshot whose records are needed and not at hand."""
    named = snapshot_name(row)
    return OperationFailed(
        _("The records of %(snapshot)s are not at hand (%(why)s).")
        % {"snapshot": named, "why": explain(error).rstrip(".")},
        undone=NOTHING_CHANGED,
        then=_("The history keeps the last snapshots, and those that left or came in files: manage.py history."),
    )
