"""Nothing of a sheet goes without a word: every row, column and sheet is stored or named, whatever is in it."""

from __future__ import annotations

import io
from typing import Any

import openpyxl
import pytest
from hypothesis import assume
from hypothesis import strategies as st
from openpyxl.utils.cell import get_column_letter

from core.models import AttendanceRecord
from core.operations.errors import SheetRefused
from core.register.database import Register
from core.sheets.import_service import ImportService
from tests.builders.sheets import HEADINGS, REQUIRED, row, table
from tests.properties.laws import for_some

TITLES = st.lists(st.sampled_from([["Attendance"], ["", "November", "2026"], ["Company: ABC Corp"]]), max_size=2)
EXTRA = st.lists(
    st.sampled_from(["", "NOTE", " ", "Colour", "DEPT"]), max_size=4, unique_by=lambda name: name or object()
)
KINDS = ("good", "bad", "repeat", "rival", "total", "footer", "heading", "blank", "good", "good")


@st.composite
def sheets(draw: st.DrawFn) -> dict[str, Any]:
    """A table with what people's tables have, in parts."""
    optional = draw(st.lists(st.sampled_from(HEADINGS[7:9]), unique=True))
    names = draw(st.permutations([*REQUIRED, *optional, *draw(EXTRA)]))
    groups = draw(st.booleans()) and "IN" in names
    heading = [[*names]]
    if groups:
        heading = [["PUNCH 1" if name == "IN" else name for name in names], ["IN" if n == "IN" else "" for n in names]]
    lines: list[list[str]] = []
    for kind in draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=12)):
        number = {"repeat": 0, "rival": 0}.get(kind, len(lines))
        day = row(ep_no=f"E{number}", status="?" if kind == "bad" else "P", shift="N" if kind == "rival" else "GS")
        [_names, known] = table(day, headings=[*REQUIRED, *optional])
        values = dict(zip([*REQUIRED, *optional], known, strict=True))
        line = [values.get(name) or draw(st.sampled_from(["", "x"])) for name in names]
        if kind == "total":
            line = ["Total" if name == "EP NAME" else "" for name in names]
        elif kind == "footer":
            line = ["Prepared by: K"]
        elif kind == "heading":
            line = [*names]
        elif kind == "blank":
            line = []
        lines.append(line)
    return {
        "titles": draw(TITLES),
        "heading": heading,
        "lines": lines,
        "short": draw(st.lists(st.integers(0, 11), max_size=3)),
        "sheets": draw(st.lists(st.sampled_from(["December", "Lists"]), unique=True)),
        "beyond": draw(st.booleans()),
    }


def as_text(cells: list[list[str]]) -> io.BytesIO:
    """CSV whose rows have just the cells that they have here."""
    return io.BytesIO("".join(",".join(line) + "\n" for line in cells).encode())


def as_workbook(cells: list[list[str]], others: list[str]) -> io.BytesIO:
    book = openpyxl.Workbook()
    for line in cells:
        book.active.append([cell or None for cell in line])
    for name in others:
        book.create_sheet(name).sheet_state = "hidden" if name == "Lists" else "visible"
    stream = io.BytesIO()
    book.save(stream)
    return stream


@pytest.mark.parametrize("engine", ["sqlite"])
@for_some(sheet=sheets(), form=st.sampled_from(["csv", "xlsx"]))
def test_every_row_column_and_sheet_is_stored_or_named(alias: str, sheet: dict[str, Any], form: str) -> None:
    lines = [list(line) for line in sheet["lines"]]
    if form == "csv":
        for at in sheet["short"]:
            if at < len(lines):
                del lines[at][-1:]
    elif sheet["beyond"] and lines[0]:
        lines[0] += ["", "beyond"]
    cells = [*sheet["titles"], *sheet["heading"], *lines]
    below = {
        number: line
        for number, line in enumerate(cells, start=1)
        if number > len(cells) - len(lines) and any(cell.strip() for cell in line)
    }
    assume(below)
    file = as_text(cells) if form == "csv" else as_workbook(cells, sheet["sheets"])
    try:
        result = ImportService(register=Register(alias)).apply(file)
    except SheetRefused:
        assert not AttendanceRecord.objects.using(alias).exists()
        return
    said = result.summary()
    # What is like a heading may be taken for one, or for a part of one: it is said then, and what stands above it.
    above = set(said["rows_above_heading"])
    assert above >= {number for number, line in enumerate(sheet["titles"], start=1) if any(line)}
    below = {number: line for number, line in below.items() if number not in {*said["heading_rows"], *above}}

    stored = {str(record.ep_no) for record in AttendanceRecord.objects.using(alias)}
    names = list(result.sheet.heading.cells)
    named = {error["line"] for error in said["errors"]} | {number for number, _other in result.sheet.repeats}
    for number, line in below.items():
        assert number in named or line[names.index("EP NO")] in stored, (number, line)
    assert said["records"] == len(below) == said["added"] + said["rejected"] + said["repeated"]
    assert said["other_sheets"] == ([] if form == "csv" else sheet["sheets"])

    letters = {column["column"] for column in said["unread_columns"]}
    read = {at for at, _column in result.sheet.heading.columns}
    for at in range(max(map(len, below.values()), default=0)):
        if at not in read and any(at < len(line) and line[at].strip() for line in below.values()):
            name = names[at].strip() if at < len(names) else ""
            too_many = form == "csv" and at >= len(names)
            assert name in said["ignored_columns"] or get_column_letter(at + 1) in letters or too_many, (at, name)
    if form == "csv":
        assert said["short_rows"]["count"] == sum(len(line) < len(names) for line in below.values())
    totals = [number for number, line in below.items() if "Total" in line]
    assert said["totals_row"] == (totals[0] if totals else None)
    assert said["rows_below_totals"] == (sum(number > totals[0] for number in below) if totals else 0)
