"""``manage.py import_attendance`` imports a sheet of attendance, or shows what an import would do."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from core.management.console import Error, ReadingCommand, counted, file_name
from core.models import Kind
from core.operations.wording import describe_import
from core.sheets.dates import DateOrder
from core.sheets.import_service import REOPEN_FIRST, ImportService, ImportSummary
from recordsync.errors import printable
from recordsync.system.progress import Progress

EXAMPLES = """\
examples:
  manage.py import_attendance november.xlsx --preview
      what importing it would do: counts, what is refused and why, the first changes; nothing is written
  manage.py import_attendance november.csv
      import the good rows in one transaction and list the others
  manage.py import_attendance november.csv --json
      the same, with the summary as JSON
  manage.py import_attendance november.csv --date-order month --preview
      the same sheet, with 05/11/2026 read as 11 May if no date in it proves the order

A row whose employee, company and date are in the register updates that record. A field without a column stays
as it is. docs/import-export.md says what a sheet looks like.

exit status: 0 done (or nothing to do), 1 failed (nothing was changed) or rows were refused, 2 wrong usage
"""

_SHOWN = 20


class Command(ReadingCommand):
    help = "Import a sheet of attendance (CSV or XLSX) in one transaction, or preview it."
    operation = Kind.IMPORT.value
    examples = EXAMPLES

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--date-order",
            choices=[order.value for order in DateOrder],
            help="what comes first in dates such as 05/11/2026 when nothing in the sheet proves it (default: day)",
        )
        parser.add_argument(
            "input", type=file_name, metavar="FILE", help="the sheet (CSV or XLSX), or - for standard input"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        self._refused = 0
        super().handle(*args, **options)
        if self._refused:  # a script must not think that all of the sheet was imported
            rest = "Nothing was changed" if options["preview"] else "The others were imported"
            raise Error(f"{counted(self._refused, 'row is', 'rows are')} refused. {rest}.")

    def run(self, progress: Progress, **options: Any) -> dict[str, Any]:
        source = self.source(options)
        service = ImportService()
        date_order = DateOrder(options["date_order"]) if options["date_order"] else None
        tell = not options["json"]
        if options["preview"]:
            with service.preview(source, date_order=date_order, progress_callback=progress) as preview:
                if tell:
                    self._tell(preview, done=False)
                    self.list_steps(iter(preview), describe_import, _SHOWN)
                    self.say("This was a preview: nothing was changed.")
                    for month in preview.closed.months:
                        self.say(printable(month.sentence))
                    if preview.closed.months:
                        self.say(f"An import of this is refused. {REOPEN_FIRST}")
                self._refused = preview.sheet.rejected
                return preview.summary()
        result = service.apply(source, date_order=date_order, progress_callback=progress)
        self._refused = result.sheet.rejected
        if tell:
            for warning in result.warnings:
                self.warn(warning)
            self._tell(result, done=True)
            self.say(f"Done in {result.seconds:.1f} s.")
        return result.summary()

    def _tell(self, summary: ImportSummary, *, done: bool) -> None:
        records, sheet = summary.records, summary.sheet
        to = "" if done else "to "
        closed = f"{records.undecided:,} in closed months, " if records.undecided else ""
        added, updated = ("added", "updated") if done else ("add", "update")
        self.say(
            f"{counted(summary.rows, 'row', 'rows')}: {records.added:,} {to}{added}, "
            f"{records.updated:,} {to}{updated}, {records.skipped:,} unchanged, "
            f"{closed}{sheet.repeated:,} repeat another, {sheet.rejected:,} refused; "
            f"{counted(summary.new_companies, 'new company', 'new companies')}."
        )
        if sheet.new_companies:
            more = ", …" if summary.new_companies > len(sheet.new_companies) else ""
            created = "Companies that were created" if done else "Companies to create"
            self.say(f"{created}: {printable(', '.join(sheet.new_companies))}{more}.")
        for notice in sheet.notices():
            self.say(printable(notice))
        if sheet.dates.offered and not done:
            self.say(f"--date-order {sheet.dates.offered} reads them {sheet.dates.offered} first.")
        for problem in sheet.problems[:_SHOWN]:
            self.say(f"  {printable(str(problem))}")
        if sheet.rejected > _SHOWN:
            self.say(f"  … {sheet.rejected:,} rows are refused.")
