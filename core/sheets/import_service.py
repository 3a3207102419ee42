"""The import of a sheet of attendance: check, preview, apply.

The good rows become a sorted snapshot on disk, a source like any other, which the engine plans and applies. The other
rows are refused with their cells and the reasons, and do not stop the import. What a sheet does not say stays as it is.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any, BinaryIO, Final

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from core.backups import catalogue
from core.models import Company, Kind, Operation, Role, User
from core.operations import holding
from core.operations import run as operations
from core.operations.closed import MonthsAreClosed, TouchedMonths
from core.operations.errors import NOTHING_CHANGED, DataMoved, OperationFailed, as_failure
from core.operations.results import summary_of
from core.operations.run import Actor, Run
from core.register.closed import standing_seals
from core.register.database import DEFAULT, Register
from core.register.declared import ATTENDANCE_RECORDS, COMPANIES
from core.restores.closed import months_in, sealing
from core.sheets.checking import checked
from core.sheets.dates import DateOrder
from core.sheets.sheet import Sheet
from recordsync.merge import Counts, Strategy, decide_by
from recordsync.plan import Plan, Step, adding, apply_plan, make_plan
from recordsync.plan.listing import Listing
from recordsync.system.inputs import Input, input_name, opened_input
from recordsync.system.progress import Progress, no_progress

logger = logging.getLogger(__name__)

_DECIDE: Final = decide_by(Strategy.BACKUP_WINS)
"""A row whose key is in the register updates the record: where they differ, the sheet is right. A row of a closed
month stops the import, if it changes anything there."""
REOPEN_FIRST: Final = gettext_lazy("Reopen what is closed first, or leave these days out of the sheet.")


@dataclass(frozen=True)
class ImportSummary:
    """What the import of a sheet does to the register, or would do. Its rows add up: see :attr:`rows`."""

    file: str
    sheet: Sheet
    models: dict[str, Counts]
    plan_digest: str

    @property
    def rows(self) -> int:
        """Rows read: added + updated + skipped + rejected + repeated."""
        return self.sheet.rows

    @property
    def records(self) -> Counts:
        return self.models[ATTENDANCE_RECORDS.name]

    @property
    def new_companies(self) -> int:
        return self.models[COMPANIES.name].created

    @property
    def changes_nothing(self) -> bool:
        return not (self.records.added or self.records.updated or self.records.undecided)

    def verify(self) -> None:
        """Raise OperationFailed unless every row is accounted for."""
        if self.records.read + self.sheet.rejected + self.sheet.repeated != self.rows:
            raise OperationFailed(
                _("Of %(count)s rows read, not all are accounted for. Nothing was changed.")
                % {"count": f"{self.rows:,}"}
            )

    def summary(self) -> dict[str, Any]:
        """For JSON: the keys that every command's summary has."""
        records = self.records
        return summary_of(
            Kind.IMPORT.value,
            file=self.file,
            companies=self.new_companies,
            records=self.rows,
            added=records.added,
            updated=records.updated,
            skipped=records.skipped,
            rejected=self.sheet.rejected,
            repeated=self.sheet.repeated,
            **self.sheet.summary(),
            errors=[problem.as_dict() for problem in self.sheet.problems],
            error_count=self.sheet.rejected,
            models={name: asdict(counts) for name, counts in self.models.items()},
            plan=self.plan_digest,
        )


@dataclass(frozen=True)
class ImportPreview(ImportSummary):
    """What an import would do. Iterate it for the steps. It holds temporary files until it is closed."""

    plan: Plan
    _files: ExitStack
    closed: TouchedMonths
    """The closed months that it would change, for which it is refused."""

    def __iter__(self) -> Iterator[Step]:
        return self.plan.steps(_DECIDE)

    def __enter__(self) -> ImportPreview:
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()

    def summary(self) -> dict[str, Any]:
        return super().summary() | {"operation": "preview"} | self.closed.summary()


@dataclass(frozen=True)
class ImportResult(ImportSummary):
    """What an import did."""

    seconds: float
    log_id: int
    warnings: Sequence[str]
    """Sentences about what is odd and does no harm."""

    def summary(self) -> dict[str, Any]:
        return super().summary() | {"seconds": round(self.seconds, 3), "warnings": list(self.warnings)}


class ImportService:
    """Imports sheets into the register.

    It acts for ``user``, or runs the waiting ``operation``, in its register and for the account that asked for it.
    Without a user it acts for the user of the operating system, who like root may import for every company and create
    new ones; an administrator may import for their own. Other accounts are refused (OperationFailed).
    """

    def __init__(
        self, *, user: User | None = None, register: Register = DEFAULT, operation: Operation | None = None
    ) -> None:
        self.register = Register(operation.database) if operation else register
        if operation is not None:
            user = self.register.rows(User).filter(pk__in=[operation.actor_id]).first()
            if user is None:
                raise OperationFailed(_("The account that asked for it was deleted."), undone=NOTHING_CHANGED)
        if user is not None and not (user.is_active and user.role in (Role.ROOT, Role.ADMIN)):
            raise OperationFailed(_("This account may not import."), undone=NOTHING_CHANGED)
        self.actor = Actor.of(user)
        self._user = user
        self._operation = operation

    def preview(
        self,
        source: Input,
        *,
        date_order: DateOrder | None = None,
        progress_callback: Progress | None = None,
    ) -> ImportPreview:
        """What an import of the sheet would do now. It writes only temporary files, which the preview holds.

        ``date_order``: the order of its dates if they prove none; None means day first. Raises
        :class:`core.operations.errors.SheetRefused` if the file is no sheet, and OperationFailed otherwise. Reads the
        register.
        """
        progress = progress_callback or no_progress
        with ExitStack() as stack:
            try:
                stream = stack.enter_context(opened_input(source, settings.MUSTER_MAX_SHEET_UPLOAD_BYTES, progress))
                sheet, listing = self._checked(stream, input_name(source), date_order, stack, progress)
                items = stack.enter_context(tempfile.TemporaryFile())
                with self.register.read() as store:
                    seals = standing_seals(self.register)
                    plan = make_plan(store, listing, None, items, progress, seal_of=sealing(seals))
                    closed = TouchedMonths(months_in(plan, _DECIDE, seals))
                preview = ImportPreview(
                    sheet.name, sheet, plan.counts(_DECIDE), plan.digest, plan, files := ExitStack(), closed
                )
                preview.verify()
            except Exception as error:
                logger.info("Preview of %s failed", input_name(source), exc_info=True)
                raise as_failure(error, NOTHING_CHANGED) from error
            files.push(stack.pop_all())
        return preview

    def apply(
        self,
        source: Input,
        *,
        plan_digest: str | None = None,
        date_order: DateOrder | None = None,
        progress_callback: Progress | None = None,
    ) -> ImportResult:
        """The result of an import of the good rows, in one transaction of the register, with an audit row.

        ``plan_digest``: that of a preview, to apply exactly this; raises :class:`DataMoved` if the register or the
        sheet has changed since. ``date_order``: as for the preview. Raises
        :class:`core.operations.errors.SheetRefused`, :class:`core.operations.errors.RegisterBusy`,
        :class:`core.operations.closed.MonthsAreClosed` where a row would change a closed month, or OperationFailed.
        Nothing was changed then, unless the text says that the outcome is not known.
        """
        name = input_name(source)
        with (
            operations.running(
                Kind.IMPORT,
                self.actor,
                self.register,
                filename=name,
                callback=progress_callback,
                operation=self._operation,
            ) as run,
            ExitStack() as stack,
        ):
            stream = stack.enter_context(opened_input(source, settings.MUSTER_MAX_SHEET_UPLOAD_BYTES, run))
            sheet, listing = self._checked(stream, name, date_order, stack, run)
            items = stack.enter_context(tempfile.TemporaryFile())
            with holding.holding_register(run) as (store, _keeper):
                now = catalogue.stamp(self.register)
                with adding(store, listing, now) as adder:
                    seals = standing_seals(self.register)
                    plan = make_plan(store, listing, None, items, run, adder, seal_of=sealing(seals))
                    if plan_digest is not None and plan.digest != plan_digest:
                        raise DataMoved(
                            _(
                                "The register or the file changed after the preview. Nothing was changed. Look at a "
                                "new preview first."
                            )
                        )
                    if closed := months_in(plan, _DECIDE, seals):
                        raise MonthsAreClosed.of(closed, REOPEN_FIRST)
                    counts = apply_plan(plan, store, _DECIDE, now, run)
                summary = ImportSummary(name, sheet, counts, plan.digest)
                summary.verify()
                _complete_log(run, summary)
                run.complete(plan.changes)
        return ImportResult(name, sheet, counts, plan.digest, run.seconds, run.log.pk, tuple(run.warnings))

    def _checked(
        self, stream: BinaryIO, name: str, date_order: DateOrder | None, stack: ExitStack, progress: Progress
    ) -> tuple[Sheet, Listing]:
        return checked(stream, name, self.register, self._own_company(), date_order, stack, progress)

    def _own_company(self) -> str | None:
        """The only company that the user may import for; None for all."""
        if self._user is None or self._user.role == Role.ROOT:
            return None
        return self.register.rows(Company).get(users=self._user.pk).name


def _complete_log(run: Run, summary: ImportSummary) -> None:
    log, records = run.log, summary.records
    log.companies_count = summary.new_companies
    log.records_count = summary.rows
    log.records_added = records.added
    log.records_updated = records.updated
    log.records_skipped = records.skipped
