"""Importing a sheet of attendance: check, preview, apply.

The good rows become a sorted snapshot on disk, a source like any other, and go through the engine's plan and apply;
the others are refused with their cells and the reasons, and block nobody. What a sheet does not say stays as it is.
"""

from __future__ import annotations

import logging
import re
import tempfile
from array import array
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import asdict, dataclass
from itertools import chain, groupby
from typing import IO, Any, BinaryIO, Final

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _

from core.backups import catalogue
from core.models import Company, Kind, Operation, Phase, Role, User
from core.operations import holding
from core.operations import run as operations
from core.operations.errors import NOTHING_CHANGED, DataMoved, OperationFailed, SheetRefused, as_failure
from core.operations.run import Actor, Run
from core.register.database import DEFAULT, Register
from core.register.declared import ATTENDANCE_RECORDS, COMPANIES, SCHEMA
from core.sheets.checked import KEPT, Sheet, not_read
from core.sheets.columns import Heading, RowReader
from core.sheets.dates import DateOrder, Dates
from core.sheets.heading import find_heading
from core.sheets.spoilt_text import normalised
from core.sheets.spreadsheets import SheetFile, unwrapped
from core.sheets.workbooks import Row
from recordsync.merge import Counts, Strategy, decide_by
from recordsync.model.records import Record
from recordsync.plan import Plan, Step, apply_plan, make_plan
from recordsync.plan.listing import Listing
from recordsync.streams.sort import sorted_on_disk
from recordsync.system.inputs import Input, input_name, opened_input
from recordsync.system.progress import EVERY, Progress, no_progress

logger = logging.getLogger(__name__)

_CHARACTERS_AT_ONCE: Final = 1 << 20
"""Of the rows that are looked at together."""
_DECIDE: Final = decide_by(Strategy.BACKUP_WINS)
"""Same key = update: where the sheet says something else than the register, the sheet is right."""


@dataclass(frozen=True)
class ImportEffect:
    """What importing a sheet does to the register. Counts of rows add up: see :attr:`rows`."""

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
        return not (self.records.added or self.records.updated)

    def verify(self) -> None:
        """Raises OperationFailed unless every row is accounted for."""
        if self.records.read + self.sheet.rejected + self.sheet.repeated != self.rows:
            raise OperationFailed(
                _("Of %(count)s rows read, not all are accounted for. Nothing was changed.")
                % {"count": f"{self.rows:,}"}
            )

    def summary(self) -> dict[str, Any]:
        """For JSON: the keys that every command's summary has."""
        records = self.records
        return {
            "ok": True,
            "operation": Kind.IMPORT.value,
            "file": self.file,
            "id": None,
            "type": None,
            "companies": self.new_companies,
            "records": self.rows,
            "added": records.added,
            "updated": records.updated,
            "deleted": 0,
            "skipped": records.skipped,
            "kept": 0,
            "undecided": 0,
            "conflicts": 0,
            "rejected": self.sheet.rejected,
            "repeated": self.sheet.repeated,
            **self.sheet.summary(),
            "errors": [problem.as_dict() for problem in self.sheet.problems],
            "error_count": self.sheet.rejected,
            "models": {name: asdict(counts) for name, counts in self.models.items()},
            "plan": self.plan_digest,
        }


@dataclass(frozen=True)
class ImportPreview(ImportEffect):
    """What importing would do; iterate it for the steps. Holds temporary files until it is closed."""

    plan: Plan
    _files: ExitStack

    def __iter__(self) -> Iterator[Step]:
        return self.plan.steps(_DECIDE)

    def __enter__(self) -> ImportPreview:
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()

    def summary(self) -> dict[str, Any]:
        return super().summary() | {"operation": "preview"}


@dataclass(frozen=True)
class ImportResult(ImportEffect):
    """What importing did."""

    seconds: float
    log_id: int

    def summary(self) -> dict[str, Any]:
        return super().summary() | {"seconds": round(self.seconds, 3)}


class ImportService:
    """Imports sheets into the register, in the name of ``user``, or as the waiting ``operation``, in its register and
    in the name of who asked for it.

    No user is the operating system's, who like root reaches every company and creates those that are not there; an
    administrator reaches their own. Anybody else is refused (OperationFailed).
    """

    def __init__(
        self, *, user: User | None = None, register: Register = DEFAULT, operation: Operation | None = None
    ) -> None:
        self.register = Register(operation.database) if operation else register
        if operation is not None:
            user = self.register.rows(User).filter(pk__in=[operation.actor_id]).first()
            if user is None:
                raise OperationFailed(_("The account that asked for it is gone."), undone=NOTHING_CHANGED)
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
        """What importing the sheet would do now. Writes nothing but temporary files, which the preview holds.

        ``date_order``: in which its dates are to be read if they prove none; None: day first. Raises
        :class:`core.operations.errors.SheetRefused` for what is not a sheet, OperationFailed otherwise.
        """
        progress = progress_callback or no_progress
        with ExitStack() as stack:
            try:
                stream = stack.enter_context(opened_input(source, settings.MUSTER_MAX_SHEET_UPLOAD_BYTES, progress))
                sheet, listing = self._checked(stream, input_name(source), date_order, stack, progress)
                items = stack.enter_context(tempfile.TemporaryFile())
                with self.register.read() as store:
                    plan = make_plan(store, listing, None, items, progress)
                preview = ImportPreview(
                    sheet.name, sheet, plan.counts(_DECIDE), plan.digest, plan, files := ExitStack()
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
        """Import the good rows, in one transaction, and account for it.

        ``plan_digest``: of a preview, to apply that and nothing else: if the register or the sheet is not as it was
        then, :class:`DataMoved` says so. ``date_order``: as the preview had it. Raises
        :class:`core.operations.errors.SheetRefused`, :class:`core.operations.errors.RegisterBusy`, OperationFailed: in
        each case nothing was changed, except where the text says that it is not known.
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
            with holding.holding_register(run) as store:
                plan = make_plan(store, listing, None, items, run)
                if plan_digest is not None and plan.digest != plan_digest:
                    raise DataMoved(
                        _(
                            "The register or the file changed after the preview. Nothing was changed. Look at a new "
                            "preview first."
                        )
                    )
                counts = apply_plan(plan, store, _DECIDE, catalogue.stamp(self.register), run)
                effect = ImportEffect(name, sheet, counts, plan.digest)
                effect.verify()
                _complete_log(run, effect)
                run.complete(plan.size)
        return ImportResult(name, sheet, counts, plan.digest, run.seconds, run.log.pk)

    # --- Checking

    def _checked(
        self, stream: BinaryIO, name: str, date_order: DateOrder | None, stack: ExitStack, progress: Progress
    ) -> tuple[Sheet, Listing]:
        """The sheet, its good rows sorted on disk. Temporary files go to the stack. Raises SheetRefused."""
        dates = Dates(timezone.localdate(), date_order)
        while True:
            with ExitStack() as files, suppress(_ReadAgain):
                checked = self._checked_once(stream, name, dates, files, progress)
                stack.push(files.pop_all())
                return checked
            dates.begin()

    def _checked_once(
        self, stream: BinaryIO, name: str, dates: Dates, stack: ExitStack, progress: Progress
    ) -> tuple[Sheet, Listing]:
        """The same, by what is known of its dates. Raises _ReadAgain where they turn out to be other ones."""
        file = SheetFile(stream)
        found = stack.enter_context(closing(file.rows()))
        try:
            start = find_heading(found)
        except SheetRefused as unclear:
            if not file.other_sheets:
                raise
            raise SheetRefused(f"{unclear.reason} {not_read(file.other_sheets)}") from unclear
        heading = start.heading
        spill, lines, refused = (stack.enter_context(_temporary()) for _ in range(3))
        sheet = Sheet(
            name,
            refused,
            heading,
            dates,
            heading_rows=start.rows,
            rows_above=tuple(number for number, _cells in start.above),
            other_sheets=file.other_sheets,
        )
        _require_no_day_above(start.above, sheet)
        reader = RowReader(heading, dates)
        names = _Names(self, reader, heading)
        rows = _fitted(chain(start.below, found), sheet, file)
        read = self._read(rows, reader, names, sheet, progress)
        ordered = sorted_on_disk(read, spill, reader.shape.key)
        records = names.noted(_once_each(ordered, reader, sheet), sheet)
        listing = Listing(SCHEMA, reader.shape, records, lines)
        progress(Phase.CHECK, sheet.rows, sheet.rows)
        return sheet, listing

    def _read(
        self, found: Iterable[Row], reader: RowReader, names: _Names, sheet: Sheet, progress: Progress
    ) -> Iterator[tuple[str | int | None, ...]]:
        """Of every good row the values and, last, the number. Raises _ReadAgain."""
        place_of_dates = sheet.heading.place("date")
        for batch in _batches(found):
            good: list[tuple[int, list[str], tuple[str | None, ...]]] = []
            for number, cells in batch:
                if sheet.totals_row is not None:
                    sheet.below_totals += 1
                values = reader.values(cells)
                if values is None:
                    sheet.refuse(number, _problems(number, cells, reader, sheet) if sheet.wants_reasons(number) else ())
                else:
                    good.append((number, cells, values))
            sheet.rows += len(batch)
            sheet.dates.note_rows(batch, place_of_dates)
            if sheet.dates.is_outdated:
                raise _ReadAgain
            for number, values in names.known(good, sheet):
                yield *values, number
            progress(Phase.CHECK, sheet.rows, None)

    def own_company(self) -> str | None:
        """The one company that the user may import into; None: all."""
        if self._user is None or self._user.role == Role.ROOT:
            return None
        return self.register.rows(Company).get(users=self._user.pk).name


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """The rows, some at a time: so many as progress is told of, or fewer that are long."""
    batch: list[Row] = []
    size = 0
    for row in rows:
        batch.append(row)
        size += sum(map(len, row[1]))
        if len(batch) == EVERY or size > _CHARACTERS_AT_ONCE:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _fitted(rows: Iterable[Row], sheet: Sheet, file: SheetFile) -> Iterator[Row]:
    """The rows below the heading, while the sheet is told of cells that are missing, or that no heading names.

    In a workbook a cell beyond the heading is one without a heading; in a text it is a sign that cells have moved.
    """
    heading = sheet.heading.cells
    width = len(heading)
    unnamed = [at for at, cell in enumerate(heading) if not normalised(cell)]
    for number, cells in rows:
        if file.is_text and len(cells) < width:
            sheet.note_short(number)
        elif not file.is_text and len(cells) > width:
            for at in range(width, len(cells)):
                if cells[at].strip():
                    sheet.unread.setdefault(at, number)
            del cells[width:]
        for at in unnamed:
            if at < len(cells) and cells[at].strip():
                sheet.unread[at] = number
                unnamed = [other for other in unnamed if other != at]
        yield number, cells
    file.require_end(width)


class _ReadAgain(Exception):
    """A sheet has to be read again from its start, because its dates are not in the order that they were read in."""


def _require_no_day_above(above: Iterable[Row], sheet: Sheet) -> None:
    """Raises SheetRefused where a row above the heading is one of attendance."""
    readers = [RowReader(sheet.heading, Dates(timezone.localdate(), order)) for order in DateOrder]
    for number, cells in above:
        if any(reader.values(cells) is not None for reader in readers):
            raise SheetRefused(
                _("The heading is in row %(heading)s, below attendance (row %(row)s). Put it above all rows.")
                % {"heading": sheet.heading_rows[0], "row": number}
            )


_TOTALS: Final = re.compile(
    r"\s*(?:(?:grand|sub|net|page|over ?all|final|company|daily|monthly)[\s-]*)?totals?\b", re.IGNORECASE
)


def _problems(number: int, cells: list[str], reader: RowReader, sheet: Sheet) -> list[tuple[str, str, str]]:
    """What is wrong with a row; the sheet is told of totals."""
    ep_no = sheet.heading.place("ep_no")
    says_total = [cell for cell in cells if _TOTALS.match(cell[:50])]
    if says_total and (ep_no >= len(cells) or not cells[ep_no].strip() or cells[ep_no] in says_total):
        if sheet.totals_row is None:
            sheet.totals_row = number
        return [("", "", _("has totals, not an employee's day"))]
    return reader.problems(cells)


class _Names:
    """Finds the keys that the register has verbatim, although a tidy sheet would write them otherwise; and refuses
    companies out of reach."""

    def __init__(self, service: ImportService, reader: RowReader, heading: Heading) -> None:
        self._service = service
        self._own = service.own_company()
        companies = service.register.rows(Company)
        self._companies = set(companies.values_list("name", flat=True))
        self._company_at, self._ep_no_at = heading.place("company_name"), heading.place("ep_no")
        names = reader.shape.names
        self._company, self._ep_no = names.index("company_name"), names.index("ep_no")
        self._record = reader.shape.record

    def known(
        self, good: Iterable[tuple[int, list[str], tuple[str | None, ...]]], sheet: Sheet
    ) -> Iterator[tuple[int, tuple[str | None, ...]]]:
        """The rows, by the register's own spelling of their keys."""
        rows_: list[tuple[int, tuple[str | None, ...]]] = []
        as_written: dict[int, Record] = {}
        for number, cells, values in good:
            written = _as_written(cells[self._company_at], values[self._company])
            if written in self._companies:
                values = _replaced(values, self._company, written)
            if self._own is not None and values[self._company] != self._own:
                heading = sheet.heading.cells[self._company_at].strip()
                reason = _("is not your company: you import for %(company)s") % {"company": self._own}
                sheet.refuse(number, [(heading, cells[self._company_at], reason)])
                continue
            written = _as_written(cells[self._ep_no_at], values[self._ep_no])
            if written is not None:
                as_written[len(rows_)] = self._record(_replaced(values, self._ep_no, written))
            rows_.append((number, values))
        if as_written:
            keys = sorted({record.key for record in as_written.values()})
            with self._service.register.read() as store:
                there = {record.key for record in store.lookup(ATTENDANCE_RECORDS, keys)}
            for at, record in as_written.items():
                if record.key in there:
                    rows_[at] = (rows_[at][0], record.values)
        return iter(rows_)

    def noted(self, records: Iterable[Record], sheet: Sheet) -> Iterator[Record]:
        """The records, which are in the order of their keys, while the sheet is told of companies that are new."""
        last: str | None = None
        for record in records:
            name = record.values[self._company]
            if name != last:
                last = name
                if name not in self._companies and len(sheet.new_companies) < KEPT:
                    sheet.new_companies.append(str(name))
            yield record


def _as_written(cell: str, tidy: str | None) -> str | None:
    """A cell's text before it was tidied; None if that is the same, or more was done to it."""
    if cell == tidy:
        return None
    written = unwrapped(cell)
    return written if written != tidy and normalised(written) == tidy else None


def _replaced(values: tuple[str | None, ...], at: int, value: str) -> tuple[str | None, ...]:
    return (*values[:at], value, *values[at + 1 :])


def _once_each(ordered: Iterable[Any], reader: RowReader, sheet: Sheet) -> Iterator[Record]:
    """Every key once. The later of rows that say the same is counted; rows that differ are all refused."""
    for _key, same_key in groupby(ordered, key=reader.shape.key):
        values, number, others, differing = _compared(same_key)
        if differing is None:
            sheet.repeated += len(others)
            sheet.repeats += [(other, number) for other in others[: KEPT - len(sheet.repeats)]]
            yield reader.shape.record(tuple(values))
            continue
        for row in chain((number,), others):
            rival = differing if row == number else number
            reason = _("the same employee, company and date as row %(row)s, but not the same content: keep one of them")
            sheet.refuse(row, [("", "", reason % {"row": rival})])


def _compared(same_key: Iterator[Any]) -> tuple[list[str | None], int, array[int], int | None]:
    """Of rows with one key: the values and the number of the first, the numbers of the others, and that of the first
    which says something else."""
    *values, number = next(same_key)
    others = array("q")  # of which there may be as many as the sheet has rows
    differing: int | None = None
    for *other_values, other in same_key:
        others.append(other)
        if differing is None and other_values != values:
            differing = other
    return values, number, others, differing


# --- Sources


def _temporary() -> IO[bytes]:
    """A file that is gone when it is closed."""
    return tempfile.TemporaryFile()


def _complete_log(run: Run, effect: ImportEffect) -> None:
    log, records = run.log, effect.records
    log.companies_count = effect.new_companies
    log.records_count = effect.rows
    log.records_added = records.added
    log.records_updated = records.updated
    log.records_skipped = records.skipped
