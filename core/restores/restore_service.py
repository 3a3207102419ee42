"""Merging a backup file or a snapshot into the register: check, preview, restore.

A restore is one transaction: it checks the whole file, takes the write lock, merges, writes in batches and
commits, or changes nothing.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import IO, Any, BinaryIO, NamedTuple, TypeVar, cast

from core.backups import catalogue
from core.formats import checking
from core.formats.checking import RestoredFile
from core.models import AttendanceRecord, Kind, Operation, User
from core.operations import run as operations
from core.operations.closed import ClosedChoice
from core.operations.errors import NOTHING_CHANGED, OperationFailed, as_failure, sentences
from core.operations.results import Preview, RestoreResult, ValidationResult
from core.operations.run import Actor, Run
from core.register.closed import StandingSeal
from core.register.database import DEFAULT, Register
from core.register.declared import ATTENDANCE_RECORDS, COMPANIES
from core.restores.incoming import BaseChoice, Incoming, Mode, from_file, from_snapshot, snapshot_name
from core.restores.merging import (
    Asked,
    DecidedPlan,
    Done,
    Find,
    Previewed,
    closed_in,
    merged,
    planned,
    require_possible,
    stop_at_closed,
    stop_before,
)
from core.restores.undo import Undo
from recordsync.backupfile import Metadata
from recordsync.merge import Counts, Strategy
from recordsync.model.fields import TIMESTAMP
from recordsync.models import Snapshot
from recordsync.plan import Plan
from recordsync.system.inputs import Input, input_name, opened_input
from recordsync.system.progress import Progress, no_progress

logger = logging.getLogger(__name__)

Restorable = Input | Snapshot | Undo
"""A file, the header of a snapshot of the register's own history, or the undoing of an operation."""

T = TypeVar("T")


class RestoreService:
    """Merges a :data:`Restorable` into the register, in the name of ``user`` (None: of the operating system's user), or
    as the waiting ``operation``, in its register and in the name of who asked for it."""

    def __init__(
        self, *, user: User | None = None, register: Register = DEFAULT, operation: Operation | None = None
    ) -> None:
        self.actor = operations.actor_of(operation) if operation else Actor.of(user)
        self._operation = operation
        self.register = Register(operation.database) if operation else register

    def validate_backup(self, source: Input, progress_callback: Progress | None = None) -> ValidationResult:
        """What the check of a whole file finds. Touches no database.

        Raises :class:`OperationFailed` where the file cannot be read at all.
        """
        return checking.validate(source, progress_callback or no_progress)

    def preview_changes(
        self,
        source: Restorable,
        merge_strategy: str = "backup_wins",
        *,
        base: str = BaseChoice.ANCESTRY,
        mode: str = Mode.MERGE,
        closed: ClosedChoice | None = None,
        progress_callback: Progress | None = None,
        items: IO[bytes] | None = None,
    ) -> Preview:
        """What a restore would do now. Reads the register; writes only a temporary file, which the preview holds.

        ``base``: :class:`BaseChoice`; ``mode``: :class:`Mode`; ``closed``: what a person decides about closed months
        (None: nothing). ``items``: an empty file to write the plan to instead;
        it stays the caller's.

        Raises :class:`FileRefused` for a file that is not a valid backup, :class:`OperationFailed` otherwise.
        """
        strategy, choice, wanted = Strategy(merge_strategy), BaseChoice(base), Mode(mode)
        asked = Asked(strategy, closed=closed)
        progress = progress_callback or no_progress
        try:
            require_possible(closed, is_exact=wanted is Mode.EXACT)
            with _Opened.of(source, progress) as opened, ExitStack() as on_error:
                if items is None:
                    items = on_error.enter_context(tempfile.TemporaryFile())
                found = opened.used(
                    lambda file: self._previewed(opened, file, choice, wanted, items, progress), progress
                )
                counts = found.plan.counts(decide := asked.decide)
                months = closed_in(found.plan, asked, found.seals)
                stop: OperationFailed | None = None
                if months.undecided:
                    stop = stop_at_closed(months, found.incoming)
                elif not isinstance(source, Undo):  # which is not done unless somebody says so
                    stop = stop_before(found.plan, found.incoming, decide, lambda: counts, self.register)
                on_error.pop_all()  # the preview holds the plan from here on
        except Exception as error:
            logger.info("Preview of %s failed", _name(source), exc_info=True)
            raise as_failure(error, NOTHING_CHANGED) from error
        incoming = found.incoming
        return Preview(
            found.metadata,
            incoming.origin,
            opened.name,
            counts,
            incoming.summary(),
            found.plan,
            strategy,
            "" if stop is None else sentences(stop.what, stop.then),
            warnings=found.warnings,
            kind=_kind(source),
            closed=months,
        )

    def restore_backup(
        self,
        source: Restorable,
        merge_strategy: str = "backup_wins",
        progress_callback: Progress | None = None,
        *,
        base: str = BaseChoice.ANCESTRY,
        mode: str = Mode.MERGE,
        yes: bool = False,
        closed: ClosedChoice | None = None,
        preview: Previewed | None = None,
        prepare: Callable[[Run], DecidedPlan] | None = None,
        exclusive: bool = False,
    ) -> RestoreResult:
        """What the restore did. Merges into the register in one transaction, and accounts for every entry.

        ``base``: :class:`BaseChoice`; ``mode``: :class:`Mode`. ``yes``: whether it may delete a large part of a company
        (:mod:`core.restores.large_deletions`), or whatever an exact restore deletes. ``closed``: what a person decides
        about closed months (None: nothing, so that they are not changed).

        ``preview``: only this is applied. If the register or the file is not as it was then, :class:`DataMoved` says
        what has changed. ``progress_callback``: see :class:`recordsync.system.progress.Progress`. ``prepare``: called
        as a part of this operation, before the register is locked. It lists the changes of the preview as it was
        decided, and this list is then applied. ``exclusive``: on PostgreSQL, nobody else may read the register until
        the end, so that a restore of much into little takes less time; it has no effect with a ``preview``.

        Raises :class:`FileRefused`, :class:`core.operations.errors.RegisterBusy`, and what
        :func:`core.restores.merging.merged` raises. In each case nothing was changed, except where the message says
        that this is not known.
        """
        asked = Asked(Strategy(merge_strategy), yes, exclusive, closed)
        choice, wanted = BaseChoice(base), Mode(mode)
        with (
            operations.running(
                _kind(source),
                self.actor,
                self.register,
                filename=_name(source),
                callback=progress_callback,
                operation=self._operation,
                parameters={"undo": source.parameters} if isinstance(source, Undo) else None,
            ) as run,
            _Opened.of(source, run) as opened,
        ):
            require_possible(closed, is_exact=wanted is Mode.EXACT)
            decided = None if prepare is None else prepare(run)

            def restored(file: RestoredFile | None) -> tuple[Metadata | None, Done, list[str]]:
                warnings = [] if file is None else self._warnings(file)

                def complete(done: Done) -> None:
                    complete_log(run, done)
                    if done.closed.months:
                        run.operation.result = {**run.operation.result, **done.closed.summary()}
                    if file is not None:
                        self._note(run, file, opened.stream)

                find = self._finding(opened, file, choice, wanted)
                done = merged(run, find, asked, complete, preview=preview, decided=decided)
                return None if file is None else file.metadata, done, warnings

            metadata, done, warnings = opened.used(restored, run)
        return RestoreResult(
            metadata,
            done.incoming.origin,
            opened.name,
            done.counts,
            done.incoming.summary(),
            run.seconds,
            run.log.pk,
            warnings=[*warnings, *run.warnings],
            kind=_kind(source),
            closed=done.closed,
        )

    def _previewed(
        self,
        opened: _Opened,
        file: RestoredFile | None,
        choice: BaseChoice,
        mode: Mode,
        items: IO[bytes],
        progress: Progress,
    ) -> _Found:
        found = planned(self.register, self._finding(opened, file, choice, mode), items, progress)
        if file is None:
            return _Found(found.incoming, found.plan, found.seals, None, found.notes)
        warnings = [*self._warnings(file), *found.notes]
        return _Found(found.incoming, found.plan, found.seals, file.metadata, warnings)

    def _finding(self, opened: _Opened, file: RestoredFile | None, choice: BaseChoice, mode: Mode) -> Find:
        """A function that finds what comes into the register. ``file``: None: it is none."""
        source = opened.source
        if isinstance(source, Undo):
            return source.incoming
        if isinstance(source, Snapshot):
            return lambda spool: from_snapshot(source, self.register, choice, mode, spool)
        assert file is not None
        return lambda spool: from_file(file, self.register, choice, mode, spool)

    def _warnings(self, file: RestoredFile) -> list[str]:
        """Sentences about what is odd in a valid file and does no harm. Reads the catalogue."""
        return [*catalogue.gap_before(file.metadata, self.register), *file.warnings]

    def _note(self, run: Run, file: RestoredFile, stream: BinaryIO | None) -> None:
        """Note in the audit row and in the catalogue which file was restored."""
        assert stream is not None
        log, metadata = run.log, file.metadata
        log.backup_id = cast(Any, metadata.id)
        log.backup_type = metadata.backup_type
        log.since = TIMESTAMP.to_python(metadata.since_date)
        log.digest = file.digest
        deleted = sum(file.deleted.values())
        catalogue.record_restored(metadata, self.register, stream=stream, digest=file.digest, deleted=deleted)

    @staticmethod
    def _get_unique_key(record: Mapping[str, Any] | AttendanceRecord) -> tuple[str, str, str]:
        """The natural key (ep_no, company_name, date) of a record as it stands in a file, or of a row. Reads the row's
        company where it is not known yet."""
        if isinstance(record, Mapping):
            return record["ep_no"], record["company_name"], record["date"]
        return record.ep_no, record.company.name, record.date.isoformat()


class _Found(NamedTuple):
    """What a preview found."""

    incoming: Incoming
    plan: Plan
    seals: list[StandingSeal]
    metadata: Metadata | None
    warnings: list[str]


class _Opened(NamedTuple):
    """A source that is open. ``stream``: of a file."""

    name: str
    source: Restorable
    stream: BinaryIO | None = None

    @classmethod
    @contextmanager
    def of(cls, source: Restorable, progress: Progress) -> Iterator[_Opened]:
        """The source, until the block ends. Raises what :func:`opened_input` raises."""
        if isinstance(source, Snapshot | Undo):
            yield cls(_name(source), source)
        else:
            with opened_input(source, checking.limits().content, progress) as stream:
                yield cls(_name(source), source, stream)

    def used(self, use: Callable[[RestoredFile | None], T], progress: Progress) -> T:
        """What ``use`` returns for the file (:func:`core.formats.checking.used`); None: it is none."""
        return use(None) if self.stream is None else checking.used(self.stream, use, progress)


def _kind(source: Restorable) -> Kind:
    return Kind.UNDO if isinstance(source, Undo) else Kind.RESTORE


def _name(source: Restorable) -> str:
    if isinstance(source, Undo):
        return source.name
    return snapshot_name(source) if isinstance(source, Snapshot) else input_name(source)


def complete_log(run: Run, done: Done) -> None:
    """Write into the audit row of a run what was merged, and what became of the records."""
    counts = done.counts
    log, records = run.log, counts.get(ATTENDANCE_RECORDS.name, Counts())
    log.companies_count = counts.get(COMPANIES.name, Counts()).read
    log.records_count = records.read
    log.records_added = records.added
    log.records_updated = records.updated
    log.records_deleted = records.deleted + records.absent_deleted
    log.records_skipped = records.skipped
    log.records_kept = records.kept + records.absent_kept
    log.records_only_here = records.only_here
    log.records_in_conflict = records.conflicts
    log.base = sentences(done.incoming.why, done.closed.decision)
