"""Merging a backup file into the register: check, preview, restore.

A restore is one transaction: it checks the whole file, takes the write lock, merges, writes in batches and
commits, or changes nothing.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from typing import IO, Any, BinaryIO, NamedTuple, Protocol, cast

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from core.backups import catalogue
from core.formats import checking
from core.formats.checking import RestoredFile
from core.models import AttendanceRecord, Kind, Operation, Phase, User
from core.operations import holding, snapshots
from core.operations import run as operations
from core.operations.errors import NOTHING_CHANGED, ConflictsLeft, DataMoved, as_failure
from core.operations.results import Preview, RestoreResult, ValidationResult
from core.operations.run import Actor, Run
from core.operations.wording import SECTIONS, conflict, shown_key
from core.register.database import DEFAULT, Register
from core.register.declared import ATTENDANCE_RECORDS, COMPANIES
from recordsync.errors import FileError
from recordsync.merge import Counts, Strategy, decide_by
from recordsync.model.fields import TIMESTAMP
from recordsync.plan import ChangeList, Plan, adding, apply_changes, apply_plan, differences, make_plan
from recordsync.system.inputs import Input, input_name, opened_input
from recordsync.system.progress import Progress, no_progress

logger = logging.getLogger(__name__)

_MOVED_SHOWN = 5


class Previewed(Protocol):
    """What a restore needs of a preview, whether that is in memory or stored."""

    @property
    def plan(self) -> Plan: ...


class DecidedPlan(NamedTuple):
    """A previewed plan as somebody decided it: the counts of what becomes of it, per model, and its changes."""

    counts: dict[str, Counts]
    changes: ChangeList


class RestoreService:
    """Merges backup files into the register, in the name of ``user`` (None: of the operating system's user), or as the
    waiting ``operation``, in its register and in the name of who asked for it."""

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
        source: Input,
        merge_strategy: str = "backup_wins",
        *,
        progress_callback: Progress | None = None,
        items: IO[bytes] | None = None,
    ) -> Preview:
        """What a restore of the file would do now. Reads the register; writes only a temporary file, which the preview
        holds.

        ``items``: an empty file to write the plan to instead; it stays the caller's.

        Raises :class:`FileRefused` for a file that is not a valid backup, :class:`OperationFailed` otherwise.
        """
        strategy = Strategy(merge_strategy)
        progress = progress_callback or no_progress
        try:
            with opened_input(source, checking.limits().content, progress) as stream, ExitStack() as on_error:
                if items is None:
                    items = on_error.enter_context(tempfile.TemporaryFile())
                file, plan, notes = self._planned(stream, items, progress)
                counts = plan.counts(decide_by(strategy))
                warnings = [*self._warnings(file), *notes]
                on_error.pop_all()  # the preview holds the plan from here on
        except Exception as error:
            logger.info("Preview of %s failed", input_name(source), exc_info=True)
            raise as_failure(error, NOTHING_CHANGED) from error
        return Preview(file.metadata, input_name(source), counts, plan, strategy, warnings=warnings)

    def restore_backup(
        self,
        source: Input,
        merge_strategy: str = "backup_wins",
        progress_callback: Progress | None = None,
        *,
        preview: Previewed | None = None,
        prepare: Callable[[Run], DecidedPlan] | None = None,
        exclusive: bool = False,
    ) -> RestoreResult:
        """What the restore did. Merges the file into the register in one transaction, and accounts for every entry.

        ``preview``: only this is applied. If the register or the file is not as it was then, :class:`DataMoved` says
        what has changed. ``progress_callback``: see :class:`recordsync.system.progress.Progress`. ``prepare``: called
        as a part of this operation, before the register is locked. It lists the changes of the preview as it was
        decided, and this list is then applied. ``exclusive``: on PostgreSQL, nobody else may read the register until
        the end, so that a restore of much into little takes less time; it has no effect with a ``preview``.

        Raises :class:`FileRefused`, :class:`core.operations.errors.RegisterBusy`, :class:`ConflictsLeft`
        (``manual``), :class:`DataMoved`, :class:`OperationFailed`. In each case nothing was changed, except where
        the message says that this is not known.
        """
        strategy = Strategy(merge_strategy)
        shown = input_name(source)
        with (
            operations.running(
                Kind.RESTORE,
                self.actor,
                self.register,
                filename=shown,
                callback=progress_callback,
                operation=self._operation,
            ) as run,
            ExitStack() as stack,
        ):
            stream = stack.enter_context(opened_input(source, checking.limits().content, run))
            decided = None if prepare is None else prepare(run)

            def merged(file: RestoredFile) -> tuple[RestoredFile, dict[str, Counts], list[str]]:
                warnings = self._warnings(file)
                counts = self._in_transaction(run, file, strategy, preview, decided, stream, exclusive=exclusive)
                return file, counts, warnings

            file, counts, warnings = checking.used(stream, merged, run)
        return RestoreResult(file.metadata, shown, counts, run.seconds, run.log.pk, warnings=[*warnings, *run.warnings])

    def _planned(
        self, stream: BinaryIO, items: IO[bytes], progress: Progress
    ) -> tuple[RestoredFile, Plan, Sequence[str]]:
        """The file, its plan, and sentences about what is odd with the register's history. Reads the register at one
        moment, and writes the plan's lines to ``items``."""

        def planned(file: RestoredFile) -> tuple[RestoredFile, Plan, Sequence[str]]:
            items.seek(0)
            items.truncate()
            with self.register.read() as store:
                ours, notes = snapshots.our_blocks(self.register, store)
                return file, make_plan(store, file, None, items, progress, ours=ours), notes

        return checking.used(stream, planned, progress)

    def _in_transaction(
        self,
        run: Run,
        file: RestoredFile,
        strategy: Strategy,
        preview: Previewed | None,
        decided: DecidedPlan | None,
        stream: BinaryIO,
        *,
        exclusive: bool,
    ) -> dict[str, Counts]:
        """The counts of what became of the file's records, per model. Writes in one transaction. Where it raises, the
        database is as it was."""
        with tempfile.TemporaryFile() as items, holding.holding_register(run) as (store, keeper):
            now = catalogue.stamp(self.register)
            # What was previewed is compared line by line before anything is written.
            with adding(store, file, now, alone=exclusive) if preview is None else nullcontext() as adder:
                adopting = None if adder is None else keeper.adopting(store)
                plan = make_plan(store, file, None, items, run, adder, ours=keeper.ours(store), adopt=adopting)
                if preview is not None and not plan.is_same_as(preview.plan):
                    raise DataMoved(_moved(preview.plan, plan))
                if decided is not None:
                    counts = decided.counts
                    for done in apply_changes(store, decided.changes.batches(), now, decided.changes.count):
                        run(Phase.APPLY, min(done, plan.size), plan.size)
                else:
                    if strategy is Strategy.MANUAL:
                        self._require_decided(plan)
                    counts = apply_plan(plan, store, decide_by(strategy), now, run)
            if adopting is not None:
                keeper.adopt(adopting, {name: of.added for name, of in counts.items() if of.read == of.added})
            _complete_log(run, file, counts)
            catalogue.record_restored(
                file.metadata, self.register, stream=stream, digest=file.digest, deleted=sum(file.deleted.values())
            )
            run.complete(plan.changes)
        return counts

    def _require_decided(self, plan: Plan) -> None:
        """Raises ConflictsLeft, which names the first conflicts, where the plan has any."""
        first: list[FileError] = []
        count = 0
        for step in plan.to_decide(decide_by(Strategy.MANUAL)):
            count += 1
            if step.merged is not None and count <= checking.limits().errors:
                text, fields = conflict(step, plan.shapes[step.model.name]), ", ".join(step.merged.conflicts)
                first.append(
                    FileError(text, key=step.model.spelt(step.merged.key), field=fields, section=step.model.name)
                )
        if count:
            raise ConflictsLeft(
                ngettext(
                    "%(count)s conflict is left for somebody to decide. Nothing was changed. Choose who wins them all "
                    "with --strategy backup_wins or database_wins.",
                    "%(count)s conflicts are left for somebody to decide. Nothing was changed. Choose who wins them "
                    "all with --strategy backup_wins or database_wins.",
                    count,
                )
                % {"count": f"{count:,}"},
                first,
                count,
            )

    def _warnings(self, file: RestoredFile) -> list[str]:
        """Sentences about what is odd in a valid file and does no harm. Reads the catalogue."""
        return [*catalogue.gap_before(file.metadata, self.register), *file.warnings]

    @staticmethod
    def _get_unique_key(record: Mapping[str, Any] | AttendanceRecord) -> tuple[str, str, str]:
        """The natural key (ep_no, company_name, date) of a record as it stands in a file, or of a row. Reads the row's
        company where it is not known yet."""
        if isinstance(record, Mapping):
            return record["ep_no"], record["company_name"], record["date"]
        return record.ep_no, record.company.name, record.date.isoformat()


def _complete_log(run: Run, file: RestoredFile, counts: dict[str, Counts]) -> None:
    log, metadata, records = run.log, file.metadata, counts.get(ATTENDANCE_RECORDS.name, Counts())
    log.companies_count = counts.get(COMPANIES.name, Counts()).read
    log.records_count = records.read
    log.records_added = records.added
    log.records_updated = records.updated
    log.records_deleted = records.deleted + records.absent_deleted
    log.records_skipped = records.skipped
    log.records_kept = records.kept
    log.backup_id = cast(Any, metadata.id)
    log.backup_type = metadata.backup_type
    log.since = TIMESTAMP.to_python(metadata.since_date)
    log.digest = file.digest


def _moved(before: Plan, now: Plan) -> str:
    """A sentence that says what differs between two plans."""
    moved: dict[str, list[str]] = {}
    count = 0
    for model, key in differences(before, now):
        count += 1
        if count <= _MOVED_SHOWN:
            moved.setdefault(str(SECTIONS[model.name]), []).append(shown_key(model.spelt(key)))
    shown = "; ".join(f"{section} {', '.join(keys)}" for section, keys in moved.items())
    more = " " + _("and %(count)s more") % {"count": f"{count - _MOVED_SHOWN:,}"} if count > _MOVED_SHOWN else ""
    if not moved:
        return _(
            "The file is not the one that was previewed, or another version of Muster previewed it. Nothing was "
            "changed. Preview it again first."
        )
    return _("The register changed after the preview: %(what)s. Nothing was changed. Look at a new preview first.") % {
        "what": shown + more
    }
