"""Nothing is stored that a sheet does not say: sheets of every kind, made from days that are known.

What a cell should say is reckoned here from the day that it was made of, and by nothing that import reads with.
"""

from __future__ import annotations

import datetime as dt
import io
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import openpyxl
import pytest
from hypothesis import event
from hypothesis import strategies as st

from core.models import TIME_FIELDS, AttendanceRecord
from core.register.database import Register
from core.sheets.dates import DateOrder
from core.sheets.import_service import ImportResult, ImportService
from core.sheets.refused_rows import write_refused
from tests.builders.sheets import as_csv
from tests.properties.laws import clear, for_all

NAMES = {
    "own": ("IN", "OUT", "IN (2)", "OUT (2)", "IN (3)", "OUT (3)"),
    "pairs": ("PUNCH1 IN", "PUNCH1 OUT", "PUNCH2 IN", "PUNCH2 OUT", "PUNCH3 IN", "PUNCH3 OUT"),
    "through": ("PUNCH1 IN", "PUNCH2 OUT", "PUNCH3 IN", "PUNCH4 OUT", "PUNCH5 IN", "PUNCH6 OUT"),
}
SPELT = (str, str.lower, lambda name: name.replace(" ", "_"), lambda name: f" {name.replace(' ', '')}\u200b".title())
OTHERS = ("EP NO", "EP NAME", "COMPANY NAME", "DATE", "SHIFT", "OVERSTAY", "STATUS")

CODES: dict[str, dict[str, list[Any]]] = {
    # What was meant: what spreadsheets make of it in CSV and in workbooks, from which nobody can tell it any more.
    "6-2": {"csv": ["02-Jun", "2026-06-02", "6/2/2026", "2026-06-02 00:00:00"], "xlsx": [dt.date(2026, 6, 2)]},
    "6:2": {"csv": ["06:02:00", "6:02:00 AM"], "xlsx": [dt.time(6, 2)]},
    "30:2": {"csv": ["30:02:00"], "xlsx": [dt.timedelta(hours=30, minutes=2)]},
    "true": {"csv": ["TRUE"], "xlsx": [True]},
    "123456789012": {"csv": ["1.23457E+11", "1.23457e+11", "1,23457E+11"], "xlsx": []},
    "1234567890123456": {"csv": ["1234567890123450", "1.23457E+15"], "xlsx": [1234567890123450, 1234567890123456]},
    "12E5": {"csv": ["1.20E+06"], "xlsx": []},
    "1200": {"csv": ["1,200"], "xlsx": []},
    "000123": {"csv": [], "xlsx": []},
    "E01": {"csv": [], "xlsx": []},
}  # fmt: skip
UNSEEN = st.sampled_from(["\u200b", "\u200c", "\u200d", "\u2060", "\ufeff", "\u00ad", "\u200e", "\u202a", "\ufe0f"])


@dataclass
class Cell:
    """``value``: as the sheet has it; ``certain``: whether it tells what was meant."""

    value: Any
    certain: bool = True


@dataclass
class Day:
    """A row, and what it was made of. ``real``: its date is a real one, which a spreadsheet made."""

    meant: dict[str, Any]
    cells: dict[str, Cell]
    real: bool = False

    @property
    def certain(self) -> bool:
        return all(cell.certain for cell in self.cells.values())


@dataclass
class Sheet:
    form: str
    names: tuple[str, ...]
    order: DateOrder
    days: list[Day] = field(default_factory=list)
    proof: bool = False
    """Whether a text of it is a day in one order only."""


@st.composite
def texts(draw: st.DrawFn, form: str) -> tuple[str, Cell]:
    """A number or code, and a cell of it."""
    meant = draw(st.sampled_from(sorted(CODES)))
    spoilt = CODES[meant][form]
    how = draw(st.sampled_from(["plain", "spoilt", "spoilt", "apostrophe", "unseen", "spaces", "quoted", "number"]))
    if how == "spoilt" and spoilt:
        return meant, Cell(draw(st.sampled_from(spoilt)), certain=False)
    if how == "apostrophe":
        return meant, Cell(f"'{meant}")
    if how == "unseen":
        at = draw(st.integers(0, len(meant)))
        return meant, Cell(f"{meant[:at]}{draw(UNSEEN)}{meant[at:]}")
    if how == "spaces":
        return meant, Cell(f"\u00a0{meant} ")
    if how == "quoted" and form == "csv":
        return meant, Cell(f'="{meant}"')
    if how == "number" and meant.isdigit() and meant[0] != "0" and len(meant) < 16:
        return meant, Cell(f"{meant}.0" if form == "csv" else int(meant))
    return meant, Cell(meant)


@st.composite
def punches(draw: st.DrawFn, count: int) -> tuple[list[dt.time | None], list[Cell]]:
    """Times of a day, some of them missing, and cells that mark those of the next."""
    moments = draw(st.lists(st.none() | st.integers(0, 2879), min_size=count, max_size=count))
    there = sorted(moment for moment in moments if moment is not None)
    if draw(st.sampled_from([True, True, False])):  # as people work
        there = [moment // 2 for moment in there]
    left = iter(there)
    moments = [None if moment is None else next(left) for moment in moments]
    # The register keeps no day with a time: each punch has to be the next at its time of day.
    can_be = all(after - before < 1440 for before, after in pairwise(there)) and (moments[0] or 0) < 1440
    meant: list[dt.time | None] = []
    cells: list[Cell] = []
    for moment in moments:
        if moment is None:
            meant.append(None)
            cells.append(Cell(draw(st.sampled_from(["", "0", "-"]))))
            continue
        time = dt.time(moment % 1440 // 60, moment % 60)
        mark = draw(st.sampled_from([" (N)", "(n)"])) if moment >= 1440 else ""
        meant.append(time)
        cells.append(Cell(f"{time:%H:%M}{mark}", certain=can_be))
    return meant, cells


@st.composite
def sheets(draw: st.DrawFn) -> Sheet:
    form = draw(st.sampled_from(["csv", "xlsx"]))
    count = 2 * draw(st.integers(1, 3))
    names = NAMES[draw(st.sampled_from(sorted(NAMES)))][:count]
    sheet = Sheet(form, names, draw(st.sampled_from(DateOrder)))
    # Who opened the file before, and takes what it can for dates.
    opened_by = draw(st.sampled_from([None, *DateOrder])) if form == "xlsx" else None
    separator = draw(st.sampled_from("-/."))
    for number in range(draw(st.integers(1, 6))):
        date = draw(st.dates(dt.date(2024, 1, 1), dt.date(2025, 12, 31)))
        meant: dict[str, Any] = {"company_name": f"Company {number}", "date": date}
        cells = {"COMPANY NAME": Cell(meant["company_name"]), "STATUS": Cell("P"), "OVERSTAY": Cell("")}
        for heading, name in (("EP NO", "ep_no"), ("SHIFT", "shift"), ("EP NAME", "ep_name")):
            meant[name], cells[heading] = draw(texts(form))
            if name == "ep_name" and cells[heading].value in ("'E01", "'true", f"{meant[name]}.0", "1,200"):
                meant[name] = cells[heading].value  # a name may be so
                cells[heading].certain = True
        times, cells_of_times = draw(punches(count))
        meant |= dict(zip(TIME_FIELDS, times, strict=False))
        cells |= dict(zip(names, cells_of_times, strict=True))
        style = draw(st.sampled_from(["text", "text", "text", "year first", "real"]))
        day = Day(meant, cells)
        parts = (date.day, date.month) if sheet.order is DateOrder.DAY else (date.month, date.day)
        cells["DATE"] = Cell(f"{parts[0]:02}{separator}{parts[1]:02}{separator}{date.year}")
        if style == "year first":
            cells["DATE"] = Cell(date.isoformat())
        elif style == "real" and form == "xlsx":
            cells["DATE"], day.real = Cell(date), True
        elif opened_by is not None and parts[opened_by is DateOrder.DAY] <= 12:
            first, second = parts
            read = (second, first) if opened_by is DateOrder.DAY else (first, second)
            cells["DATE"], day.real = Cell(dt.date(date.year, *read)), True
        else:
            sheet.proof |= date.day > 12
        sheet.days.append(day)
    return sheet


def file_of(draw_spelling: int, sheet: Sheet) -> io.BytesIO:
    heading = [*OTHERS, *sheet.names]
    spelt = SPELT[draw_spelling]
    lines = [[spelt(name) for name in heading], *([day.cells[name].value for name in heading] for day in sheet.days)]
    if sheet.form == "csv":
        return as_csv(lines)
    book = openpyxl.Workbook()
    for line in lines:
        book.active.append(line)
    stream = io.BytesIO()
    book.save(stream)
    return stream


def stored(alias: str) -> dict[str, dict[str, Any]]:
    """By company, of which every day has one of its own."""
    found = {}
    for record in AttendanceRecord.objects.using(alias).select_related("company"):
        of_it = {name: getattr(record, name) for name in ("ep_no", "ep_name", "shift", "date", *TIME_FIELDS)}
        found[record.company.name] = of_it | {"company_name": record.company.name}
    return found


def meant_of(day: Day) -> dict[str, Any]:
    return dict.fromkeys(TIME_FIELDS) | day.meant


@pytest.mark.parametrize("engine", ["sqlite"])
@for_all(sheet=sheets(), spelling=st.integers(0, len(SPELT) - 1))
def test_a_day_is_stored_as_it_was_meant_or_refused(alias: str, sheet: Sheet, spelling: int) -> None:
    """For all sheets, and for their refused rows when they are sent again as they are."""
    # Real dates of which none shows that day and month have changed places: nobody can see that.
    swapped = [day for day in sheet.days if day.real and day.cells["DATE"].value != day.meant["date"]]
    if swapped and not sheet.proof:
        for day in swapped:
            day.meant["date"] = day.cells["DATE"].value
        event("exchanged, and nothing shows it")
    file = file_of(spelling, sheet)
    service = ImportService(register=Register(alias))
    result = service.apply(file)
    said = result.summary()
    if said["date_order_by"] == "default" and sheet.order is DateOrder.MONTH:
        assert "Month first, it would be" in next(result.sheet.notices())
        clear(alias)
        result = service.apply(file, date_order=DateOrder.MONTH)
        event("month first, by choice")
    check(alias, sheet, result)
    out = io.BytesIO()
    with service.preview(file, date_order=sheet.order if said["date_order_by"] == "default" else None) as preview:
        write_refused(file, preview.sheet, out)
    if result.sheet.rejected:
        again = service.apply(out)
        assert again.sheet.rejected == result.sheet.rejected
        check(alias, sheet, result)


def check(alias: str, sheet: Sheet, result: ImportResult) -> None:
    """That every day is as it was meant, or refused for a reason that this one knows."""
    there = stored(alias)
    for number, day in enumerate(sheet.days, start=2):
        name = day.meant["company_name"]
        problems = [problem for problem in result.sheet.problems if problem.row == number]
        if name in there:
            assert there[name] == meant_of(day)
            assert day.certain
            assert not problems
            continue
        assert problems, day
        in_doubt = day.real and sheet.proof and day.cells["DATE"].value.day <= 12
        assert in_doubt or not day.certain, [str(problem) for problem in problems]
    assert len(there) + result.sheet.rejected == len(sheet.days)
    refused = {heading for day in sheet.days for heading, cell in day.cells.items() if not cell.certain}
    event(f"{sheet.form}: {'some' if result.sheet.rejected else 'none'} refused, {len(refused)} columns in doubt")
