"""The keys of the rows of a sheet, in the spelling of the register."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from django.utils.translation import gettext as _

from core.models import Company
from core.register.database import Register
from core.register.declared import ATTENDANCE_RECORDS
from core.sheets.cell_text import unwrapped
from core.sheets.columns import Heading, RowReader
from core.sheets.sheet import KEPT, Sheet
from core.sheets.spoilt_text import normalised
from recordsync.model.records import Record


class KnownKeys:
    """Finds keys that the register has as the sheet wrote them, before they were tidied.

    Refuses companies out of reach.
    """

    def __init__(self, register: Register, company: str | None, reader: RowReader, heading: Heading) -> None:
        self._register = register
        self._own = company
        companies = register.rows(Company)
        self._companies = set(companies.values_list("name", flat=True))
        self._company_at, self._ep_no_at = heading.place("company_name"), heading.place("ep_no")
        names = reader.shape.names
        self._company, self._ep_no = names.index("company_name"), names.index("ep_no")
        self._record = reader.shape.record

    def known(
        self, good: Iterable[tuple[int, list[str], tuple[str | None, ...]]], sheet: Sheet
    ) -> Iterator[tuple[int, tuple[str | None, ...]]]:
        """The rows, with their keys in the spelling of the register. Reads the database."""
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
            with self._register.read() as store:
                present = {record.key for record in store.lookup(ATTENDANCE_RECORDS, keys)}
            for position, record in as_written.items():
                if record.key in present:
                    rows_[position] = (rows_[position][0], record.values)
        return iter(rows_)

    def noted(self, records: Iterable[Record], sheet: Sheet) -> Iterator[Record]:
        """The records, which come in key order. The sheet takes note of new companies."""
        last: str | None = None
        for record in records:
            name = record.values[self._company]
            if name != last:
                last = name
                if name not in self._companies and len(sheet.new_companies) < KEPT:
                    sheet.new_companies.append(str(name))
            yield record


def _as_written(cell: str, tidy: str | None) -> str | None:
    """The text of a cell before it was tidied; None if it is the same, or if the cell was changed in other ways too."""
    if cell == tidy:
        return None
    written = unwrapped(cell)
    return written if written != tidy and normalised(written) == tidy else None


def _replaced(values: tuple[str | None, ...], position: int, value: str) -> tuple[str | None, ...]:
    return (*values[:position], value, *values[position + 1 :])
