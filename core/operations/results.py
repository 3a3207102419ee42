"""The results of the services."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from core.models import Kind
from core.operations.closed import TouchedMonths, side_of
from core.register.declared import ATTENDANCE_RECORDS, COMPANIES, SEALS
from recordsync.backupfile import Metadata
from recordsync.errors import FileError
from recordsync.history.relation import Kinship
from recordsync.merge import Counts, Decide, Strategy, decide_by
from recordsync.plan import Plan, Step


def summary_of(operation: str, **known: Any) -> dict[str, Any]:
    """The JSON summary of a command: the keys that every summary has, and what is ``known``."""
    counts = ("companies", "records", "added", "updated", "deleted", "skipped", "kept", "undecided", "conflicts")
    return {
        "ok": True,
        "operation": operation,
        **dict.fromkeys(("file", "id", "type")),
        **dict.fromkeys(counts, 0),
        "errors": [],
        "models": {},
        **known,
    }


def told_counts(models: Mapping[str, Counts]) -> Iterator[tuple[str, Counts]]:
    """The counts that people are told, by model: those of closed months only where a file has any."""
    for name, counts in models.items():
        if name != SEALS.name or counts != Counts():
            yield name, counts


@dataclass(frozen=True)
class BackupResult:
    """A backup that was written. ``file``: its full path. ``name``: its name in the backups storage, or blank.
    ``deleted``: how many deletions it lists."""

    id: uuid.UUID
    operation: str
    file: str
    name: str
    backup_type: str
    since: dt.datetime | None
    companies: int
    records: int
    deleted: int
    size: int
    digest: str
    seconds: float
    metadata: Metadata
    warnings: Sequence[str] = ()

    def summary(self) -> dict[str, Any]:
        """For JSON: the keys that every command's summary has."""
        return summary_of(
            self.operation,
            file=self.file,
            id=str(self.id),
            type=self.backup_type,
            companies=self.companies,
            records=self.records,
            deleted=self.deleted,
            seconds=round(self.seconds, 3),
            models={name: {"read": count} for name, count in self.metadata.totals.items()},
            since=self.metadata.since_date,
            size=self.size,
            sha256=self.digest,
            parent=self.metadata.parent,
            snapshot=None if self.metadata.snapshot is None else self.metadata.snapshot.id,
            warnings=list(self.warnings),
        )


@dataclass(frozen=True)
class ValidationResult:
    """The result of the check of a file. ``errors``: the first hundred of ``error_count``."""

    valid: bool
    errors: list[FileError]
    error_count: int
    warnings: list[str]
    metadata: Metadata | None
    counts: Mapping[str, int] = field(default_factory=dict)
    digest: str = ""


@dataclass(frozen=True)
class Origin:
    """Where something that is merged comes from: the id and the name of an installation (blank: it is not said, as in
    a 1.0 file), and when it was taken."""

    installation: str
    name: str
    taken_at: str


@dataclass(frozen=True)
class BaseSummary:
    """What a merge was based on. ``why``: a sentence. ``snapshots``: the ids of what both sides had; none: no base.
    ``kinship``: how theirs is related to the register's head, if that is known."""

    why: str
    snapshots: Sequence[str] = ()
    kinship: Kinship | None = None
    is_exact: bool = False
    """Whether the register becomes exactly as theirs."""
    parts_companies: bool = False
    """Whether a company that both sides changed is merged as two, because its new name cannot be followed."""


@dataclass(frozen=True)
class RestoreSummary:
    """What a restore does to the register, or would do, counted by model.

    ``warnings``: sentences about what is odd in the file but does no harm; the first hundred.
    """

    metadata: Metadata | None
    """What a file says of itself; None: it is no file."""
    origin: Origin
    file: str
    models: Mapping[str, Counts]
    base: BaseSummary
    warnings: Sequence[str] = field(default=(), kw_only=True)
    kind: Kind = field(default=Kind.RESTORE, kw_only=True)
    closed: TouchedMonths = field(default=TouchedMonths(), kw_only=True)
    """The closed months that it changes, or would, and what was decided about them."""

    @property
    def records(self) -> Counts:
        return self.models.get(ATTENDANCE_RECORDS.name, Counts())

    @property
    def companies(self) -> Counts:
        return self.models.get(COMPANIES.name, Counts())

    @property
    def conflicts(self) -> int:
        """The number of records and companies that both sides changed, or that cannot be deleted as the file asks."""
        return sum(counts.conflicts for counts in self.models.values())

    @property
    def changes_nothing(self) -> bool:
        return self.closed.changes_nothing and not any(
            c.added + c.updated + c.deleted + c.created + c.absent_deleted + c.conflicts for c in self.models.values()
        )

    def summary(self) -> dict[str, Any]:
        """For JSON: the keys that every command's summary has."""
        records = self.records
        return summary_of(
            self.kind.value,
            file=self.file,
            id=self.metadata and self.metadata.id,
            type=self.metadata and self.metadata.backup_type,
            companies=self.companies.read,
            records=records.read,
            added=records.added,
            updated=records.updated,
            deleted=records.deleted + records.absent_deleted,
            skipped=records.skipped,
            kept=records.kept,
            undecided=records.undecided + records.absent_undecided,
            conflicts=records.conflicts,
            only_here=records.only_here,
            base=asdict(self.base),
            warnings=list(self.warnings),
            models={name: asdict(counts) for name, counts in self.models.items()},
            **self.closed.summary(),
        )


@dataclass(frozen=True)
class Preview(RestoreSummary):
    """What a restore of a file would do. Iterate it for the steps. Nothing was written.

    It holds a temporary file until it is closed (or collected). Give it to ``restore_backup`` to apply exactly this.
    """

    plan: Plan
    strategy: Strategy
    stop: str = ""
    """Sentences that say why a restore stops until somebody has confirmed it, and what to do; blank: it does not."""

    def __iter__(self) -> Iterator[Step]:
        return self.plan.steps(self._decide)

    def to_decide(self) -> Iterator[Step]:
        """The steps that a person has to decide if the strategy is ``manual``."""
        return self.plan.to_decide(self._decide)

    @property
    def _decide(self) -> Decide:
        return decide_by(self.strategy, side_of(self.closed.choice))

    def close(self) -> None:
        self.plan.items.close()

    def __enter__(self) -> Preview:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def summary(self) -> dict[str, Any]:
        return super().summary() | {"operation": "preview", "plan": self.plan.digest, "stop": self.stop or None}


@dataclass(frozen=True)
class RestoreResult(RestoreSummary):
    """What a restore did."""

    seconds: float
    log_id: int

    def summary(self) -> dict[str, Any]:
        return super().summary() | {"seconds": round(self.seconds, 3)}
