"""The snapshots of a register as people see them, and what changed from one to the next."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import groupby, islice
from typing import Any, Final, NamedTuple
from uuid import UUID

from django.db import Error
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from core.models import JOBS, Kind, Operation
from core.operations.closed import decision_in
from core.operations.errors import OperationFailed, as_failure, explain
from core.operations.results import summary_of
from core.operations.traits import TRAITS, UNDOABLE, WRITERS, name_of
from core.register.database import DEFAULT, Register
from core.register.declared import ATTENDANCE_RECORDS, COMPANIES, SCHEMA, SEALS
from recordsync.errors import HistoryDamaged, HistoryUnusable, printable
from recordsync.history.compare import Difference, differences, totals_in
from recordsync.history.databases import history_of
from recordsync.history.store import HistoryStore
from recordsync.model.fields import TIMESTAMP
from recordsync.models import Head, HeadMove, Snapshot

OPERATION: Final = "history"
"""What listing and showing is called in a summary."""
SHOWN: Final = 10
"""How many characters of an id people read."""
_BEFORE: Final = "before_"
_MERGE: Final = "merge"
_MONTHS_NAMED: Final = 2


@dataclass(frozen=True)
class SnapshotEntry:
    """A snapshot as people see it.

    ``number``, ``author`` and ``installation``: None and blank for a merge. ``totals``: the number of records of each
    model; None if the contents are not at hand, so that they cannot be shown. ``left_at``: when it first left in a
    file. ``renames``: the companies that have other names since its first parent, each with its name before and after.
    """

    id: str
    parents: Sequence[str]
    tree: str
    number: int | None
    moment: dt.datetime
    author: str
    installation: str
    cause: str
    message: str
    left_at: dt.datetime | None
    is_kept: bool
    is_head: bool
    renames: Sequence[tuple[str, str]] = ()
    totals: dict[str, int] | None = None

    @property
    def short(self) -> str:
        """The first characters of the id, which people read and type."""
        return self.id[:SHOWN]

    @property
    def why(self) -> str:
        """Why it was taken, in words."""
        return cause_label(self.cause)

    @property
    def records(self) -> int | None:
        """The number of its attendance records; None if the contents are not at hand."""
        return None if self.totals is None else self.totals[ATTENDANCE_RECORDS.name]

    @property
    def companies(self) -> int | None:
        """The number of its companies; None if the contents are not at hand."""
        return None if self.totals is None else self.totals[COMPANIES.name]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "id": self.id,
            "parents": list(self.parents),
            "tree": self.tree,
            "number": self.number,
            "moment": TIMESTAMP.to_text(self.moment),
            "author": self.author,
            "installation": self.installation,
            "cause": self.cause,
            "message": self.message,
            "renames": [{"before": before, "after": after} for before, after in self.renames],
            "left_at": None if self.left_at is None else TIMESTAMP.to_text(self.left_at),
            "is_head": self.is_head,
            "can_be_shown": self.totals is not None,
            "companies": self.companies,
            "records": self.records,
        }


@dataclass(frozen=True)
class Move:
    """A move of the head, from one snapshot (blank: there was none) to another."""

    before: str
    after: str
    cause: str
    actor: str
    moment: dt.datetime
    operation: str
    """The id of the operation that can be undone by it; blank: none can."""
    of: str
    """The name of the file that came, or of what was undone, as far as the operation is known; blank else."""
    closed: str
    """A sentence that says what was decided about closed months; blank: nothing."""

    @property
    def why(self) -> str:
        """Why the head moved, in words."""
        return cause_label(self.cause)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "before": self.before or None,
            "after": self.after,
            "cause": self.cause,
            "actor": self.actor,
            "moment": TIMESTAMP.to_text(self.moment),
            "operation": self.operation or None,
            "of": self.of,
            "closed": self.closed or None,
        }


@dataclass
class BlockCounts:
    """What differs between two snapshots in a company, or in its month, by blocks: the records of a company in a week
    of a month. ``changed``: the blocks that both have; their records before and after."""

    added: int = 0
    added_records: int = 0
    changed: int = 0
    changed_before: int = 0
    changed_after: int = 0
    gone: int = 0
    gone_records: int = 0

    def add(self, difference: Difference) -> None:
        """Count a block that differs."""
        before, after = difference.before, difference.after
        if before is not None and after is not None:
            self.changed += 1
            self.changed_before += before.count
            self.changed_after += after.count
        elif after is not None:
            self.added += 1
            self.added_records += after.count
        elif before is not None:
            self.gone += 1
            self.gone_records += before.count

    @property
    def more(self) -> int:
        """How many records more there are; negative if there are fewer."""
        return self.added_records + self.changed_after - self.changed_before - self.gone_records

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        changed = {"records_before": self.changed_before, "records_after": self.changed_after}
        return {
            "added": {"blocks": self.added, "records": self.added_records},
            "changed": {"blocks": self.changed, **changed},
            "gone": {"blocks": self.gone, "records": self.gone_records},
        }


@dataclass
class CompanyBlocks(BlockCounts):
    """The same of a company, and by month (YYYY-MM)."""

    company: str = ""
    months: dict[str, BlockCounts] = field(default_factory=dict)

    @property
    def span(self) -> str:
        """Which months differ, as a page has room for: two of them, or the first and the last and how many."""
        months = list(self.months)
        if len(months) <= _MONTHS_NAMED:
            return ", ".join(months)
        return _("%(first)s to %(last)s (%(number)s)") % {
            "first": months[0],
            "last": months[-1],
            "number": len(months),
        }


@dataclass(frozen=True)
class Shown:
    """A snapshot, its first parent (None: it has none), and the companies in which they differ.

    ``companies_changed``: whether the list of companies is another one. ``unknown``: a sentence that says why nothing
    is known of what changed; blank if it is. ``has_more``: whether there are more companies than were asked for.
    ``seals_changed``: whether a month was closed or reopened.
    """

    entry: SnapshotEntry
    parent: SnapshotEntry | None
    companies_changed: bool = False
    changes: Sequence[CompanyBlocks] = ()
    unknown: str = ""
    has_more: bool = False
    seals_changed: bool = False

    def summary(self) -> dict[str, Any]:
        """For JSON: the keys that every command's summary has, and what changed."""
        return summary_of(
            OPERATION,
            warnings=[self.unknown] if self.unknown else [],
            companies=self.entry.companies or 0,
            records=self.entry.records or 0,
            snapshot=self.entry.as_dict(),
            parent=None if self.parent is None else self.parent.as_dict(),
            companies_changed=self.companies_changed,
            closed_months_changed=self.seals_changed,
            changes=[
                {"company": company.company, "month": month, **counts.as_dict()}
                for company in self.changes
                for month, counts in company.months.items()
            ],
        )


@dataclass(frozen=True)
class SnapshotList:
    """The last snapshots and the last moves of the head, newest first, and how many there are in all.

    ``unusable``: a sentence that says why none can be shown; blank if the history store answers.
    """

    entries: Sequence[SnapshotEntry]
    total: int
    moves: Sequence[Move]
    total_moves: int
    unusable: str

    def summary(self) -> dict[str, Any]:
        """For JSON: the keys that every command's summary has, and the lists."""
        return summary_of(
            OPERATION,
            warnings=[self.unusable] if self.unusable else [],
            snapshots=[entry.as_dict() for entry in self.entries],
            snapshots_total=self.total,
            moves=[move.as_dict() for move in self.moves],
            moves_total=self.total_moves,
        )


def cause_label(cause: str) -> str:
    """Why a snapshot was taken, in words. A cause that is not known here, such as a later version's, stays as it is."""
    if cause == _MERGE:
        return _("Merge")
    if cause in Kind.values:
        return str(Kind(cause).label)
    kind = cause.removeprefix(_BEFORE)
    if cause.startswith(_BEFORE) and kind in TRAITS:
        return _("Before %(what)s") % {"what": TRAITS[kind].in_a_sentence}
    return printable(cause)


def newest_first(register: Register = DEFAULT) -> QuerySet[Snapshot]:
    """The snapshots that are known here, newest first. Reads nothing yet."""
    return register.rows(Snapshot).order_by("-order")


def moves_of_writers(register: Register = DEFAULT) -> QuerySet[HeadMove]:
    """The moves of the head by what writes many records, newest first, with their snapshots. Reads nothing yet."""
    return register.rows(HeadMove).filter(cause__in=WRITERS).select_related("before", "after").order_by("-pk")


def list_snapshots(most: int | None, register: Register = DEFAULT) -> SnapshotList:
    """The last ``most`` snapshots and moves of the head (None: all). Raises OperationFailed if the register's database
    does not answer."""
    try:
        rows = newest_first(register)
        of_head = register.rows(HeadMove)
        found, unusable = entries(rows[:most], register)
        return SnapshotList(found, rows.count(), _moves(of_head.order_by("-pk")[:most]), of_head.count(), unusable)
    except Error as error:
        raise as_failure(error) from error


def _moves(rows: Iterable[HeadMove]) -> list[Move]:
    rows = list(rows)
    known = operations_of(rows)
    return [
        Move(
            row.before_id or "",
            row.after_id,
            row.cause,
            row.actor,
            row.moment,
            _undoable(row),
            *known.get(row.operation or UUID(int=0), MovedBy()),
        )
        for row in rows
    ]


class MovedBy(NamedTuple):
    """What is known of what moved the head. ``of``: the name of the file that came, or of what was undone; ``closed``:
    what was decided about closed months. Blank, if there is no such thing."""

    of: str = ""
    closed: str = ""


def operations_of(moves: Iterable[HeadMove]) -> dict[UUID, MovedBy]:
    """The operation of each of these moves, as far as it is known. Reads the jobs database."""
    wanted = [move.operation for move in moves if move.operation is not None]
    keys = ("closed", "closed_months", "newly_closed")
    rows = Operation.objects.using(JOBS).filter(pk__in=wanted)
    told = rows.values_list("pk", "kind", "filename", *(f"result__{key}" for key in keys))
    return {
        pk: MovedBy(name_of(kind, name), decision_in(dict(zip(keys, result, strict=True))))
        for pk, kind, name, *result in told
    }


def _undoable(row: HeadMove) -> str:
    return str(row.operation) if row.operation is not None and row.cause in UNDOABLE else ""


def entries(rows: Iterable[Snapshot], register: Register = DEFAULT) -> tuple[list[SnapshotEntry], str]:
    """These snapshots as people see them, and a sentence that says why none can be shown; blank if the history store
    answers. Reads the head, and the roots of the trees."""
    rows = list(rows)
    head = register.rows(Head).values_list("snapshot_id", flat=True).first()
    store = HistoryStore(history_of(register.alias))
    try:
        totals = _totals(store, {row.tree for row in rows if row.is_kept})
        unusable = ""
    except (HistoryUnusable, Error) as error:
        totals, unusable = {}, explain(error, store.alias)
    return [_entry(row, head, totals.get(row.tree) if row.is_kept else None) for row in rows], unusable


def find(beginning: str, register: Register = DEFAULT) -> Snapshot:
    """The snapshot whose id begins so. Raises OperationFailed if none does, or more than one."""
    wanted = beginning.lower()
    after = f"{wanted}g"  # no id has a greater letter
    try:
        found = list(register.rows(Snapshot).filter(id__gte=wanted, id__lt=after).order_by("id")[:2])
    except Error as error:
        raise as_failure(error) from error
    if not found:
        raise OperationFailed(
            _("No snapshot has an id that begins with %(id)s.") % {"id": beginning},
            then=_("The history lists them (manage.py history --all)."),
        )
    if len(found) > 1:
        raise OperationFailed(
            _("More than one snapshot has an id that begins with %(id)s: %(one)s and %(other)s.")
            % {"id": beginning, "one": found[0].pk[: SHOWN + 6], "other": found[1].pk[: SHOWN + 6]},
            then=_("Give more of its characters."),
        )
    return found[0]


def show(snapshot: Snapshot, register: Register = DEFAULT, *, most: int | None = None) -> Shown:
    """The snapshot, and what changed in it since its first parent, in the first ``most`` companies (None: all).

    Reads headers, and those nodes of the two trees that differ, but no record. Raises OperationFailed if the history
    store does not answer, and Error if the register's database does not.
    """
    rows = [snapshot, *register.rows(Snapshot).filter(pk__in=snapshot.parents[:1])]
    (entry, *parents), unusable = entries(rows, register)
    if unusable:
        raise OperationFailed(unusable)
    parent = parents[0] if parents else None
    if entry.parents and parent is None:
        return Shown(entry, None, unknown=_("The register does not have the header of its parent."))
    for one in filter(None, (entry, parent)):
        if one.totals is None:
            return Shown(entry, parent, unknown=_gone(one, is_parent=one is not entry))
    store = HistoryStore(history_of(register.alias))
    try:
        before = None if parent is None else parent.tree
        found = differences(store.nodes, (COMPANIES, ATTENDANCE_RECORDS), before, entry.tree)
        is_resealed = any(differences(store.nodes, (SEALS,), before, entry.tree))
        return replace(_shown(entry, parent, found, most), seals_changed=is_resealed)
    except (HistoryUnusable, HistoryDamaged) as error:
        raise as_failure(error) from error


def _shown(entry: SnapshotEntry, parent: SnapshotEntry | None, found: Iterable[Difference], most: int | None) -> Shown:
    of_companies = False
    changes: list[CompanyBlocks] = []

    def of_records() -> Iterator[Difference]:
        nonlocal of_companies
        for difference in found:
            if difference.model is COMPANIES:
                of_companies = True
            else:
                yield difference

    groups = groupby(of_records(), key=lambda difference: difference.partition[0])
    for company, of_company in islice(groups, most):
        counts = CompanyBlocks(company=company)
        for difference in of_company:
            counts.add(difference)
            counts.months.setdefault(difference.partition[1], BlockCounts()).add(difference)
        changes.append(counts)
    has_more = most is not None and len(changes) == most and next(groups, None) is not None
    return Shown(entry, parent, of_companies, changes, has_more=has_more)


def _gone(entry: SnapshotEntry, *, is_parent: bool) -> str:
    """The sentence for a snapshot whose contents are not at hand."""
    if entry.is_kept:
        text = _(
            "The history store does not have the contents of snapshot %(id)s: the store was deleted, or is another "
            "copy's."
        )
    else:
        text = _("The contents of snapshot %(id)s are not kept any more: it is not among the last ones.")
    what = _("So nothing tells what changed after it.") if is_parent else _("So it cannot be shown.")
    return f"{text % {'id': entry.short}} {what}"


def _totals(store: HistoryStore, roots: set[str]) -> dict[str, dict[str, int]]:
    """For the digest of each of these roots that is at hand: how many records each model has."""
    try:
        texts = dict(store.nodes(list(roots)))
    except HistoryDamaged:  # one of them
        texts = {}
        for root in roots:
            with suppress(HistoryDamaged):
                texts |= store.nodes([root])
    return {root: totals_in(text, SCHEMA) for root, text in texts.items()}


def renames_in(row: Snapshot) -> list[tuple[str, str]]:
    """The companies that have other names in a snapshot since its first parent, each with its name before and after."""
    return [(rename["before"], rename["after"]) for rename in (row.says or {}).get("renames", ())]


def _entry(row: Snapshot, head: str | None, totals: dict[str, int] | None) -> SnapshotEntry:
    says = row.says or {}
    return SnapshotEntry(
        id=row.pk,
        parents=row.parents,
        tree=row.tree,
        number=row.number,
        moment=TIMESTAMP.to_python(says.get("moment")) or row.recorded_at,
        author=says.get("author", ""),
        installation=says["installation"]["name"] if "installation" in says else "",
        cause=says.get("cause", _MERGE),
        message=says.get("message", ""),
        left_at=row.left_at,
        is_kept=row.is_kept,
        is_head=row.pk == head,
        renames=renames_in(row),
        totals=totals,
    )
