"""Identifiers that a spreadsheet has changed: read as they were meant where it is certain, refused where it is not."""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Sequence
from typing import Any

import openpyxl
import pytest
from openpyxl.cell import Cell

from core.models import AttendanceRecord
from core.register.database import Register
from core.sheets.cell_text import read_text
from core.sheets.import_service import ImportService
from core.sheets.refused_rows import write_refused
from core.sheets.sheet import Problem
from tests.builders import registers
from tests.builders.days import day
from tests.builders.registers import put, register
from tests.builders.sheets import HEADINGS, as_csv, as_xlsx, row, table
from tests.builders.workbooks import workbook
from tests.running.services import imported

TEXTS = ("ep_no", "shift", "ep_name", "company_name")
CODES = TEXTS[:2]
HEADING = dict(zip(("ep_no", "ep_name", "company_name", "date", "shift"), HEADINGS, strict=False))


def outcomes(alias: str, field: str, cells: Sequence[Any], write: Any = as_csv) -> list[str | Problem]:
    """What becomes of each cell, in one sheet: the text that is stored, or what is wrong with it."""
    days = [(dt.date(2025, 1, 1) + dt.timedelta(number)).isoformat() for number in range(len(cells))]
    sheet = table(*(row(date=day) for day in days))
    at = HEADINGS.index(HEADING[field])
    for line, cell in zip(sheet[1:], cells, strict=True):
        line[at] = cell
    result = ImportService(register=Register(alias)).apply(write(sheet))
    name = "company__name" if field == "company_name" else field
    stored = dict(AttendanceRecord.objects.using(alias).values_list("date", name))
    found: dict[str, str | Problem] = {day.isoformat(): text for day, text in stored.items()}
    for problem in result.sheet.problems:
        assert problem.column == HEADING[field]
        found[days[problem.row - 2]] = problem
    assert len(found) == len(cells)
    return [found[day] for day in days]


@pytest.mark.untraced
@pytest.mark.parametrize("fields", [CODES, TEXTS], ids=["codes", "texts"])
@pytest.mark.parametrize("write", [as_csv, as_xlsx])
def test_what_is_certain_is_read_as_it_was_meant(register_db: str, fields: tuple[str, ...], write: Any) -> None:
    of_codes = {
        "'E01": "E01", "' E01": " E01", " 'E01": "E01", "123.0": "123", "123.00": "123", "0.0": "0",
        "123456789012345.0": "123456789012345", '="123.0"': "123",
    }  # fmt: skip
    of_texts = {
        '="000123"': "000123", ' ="6-2" ': "6-2", '="say ""a"""': 'say "a"', '=" 7 "': "7", "=\"'0012\"": "0012",
        "'000123": "000123", " '000123": "000123", "'6-2": "6-2", "'10:30": "10:30", "'1/2": "1/2", "'TRUE": "TRUE",
        "'1.23457E+11": "1.23457E+11", "'02-Jun": "02-Jun", "'2026-06-02": "2026-06-02", "'-5": "-5", "''012": "'012",
        "'+91 98765": "+91 98765", "'=1+1": "=1+1", "000123": "000123", "12E5": "12E5", "1E3": "1E3", "6-2": "6-2",
        "6/2": "6/2", "09:00": "09:00", "06:00-14:00": "06:00-14:00", "12.5": "12.5", "GEN-02": "GEN-02",
        "1234567890123456": "1234567890123456", "0000000000000000": "0000000000000000", "012345678901234500000":
        "012345678901234500000", "True": "True", "32-Jun": "32-Jun", "02-Junction": "02-Junction", "12-MARS": "12-MARS",
        "99-99-9999": "99-99-9999", "E\u200b1": "E1", "\ufeff00\u00ad12\u2060": "0012", "\u200e12\u200f": "12",
        "1\u200d2\u200c3\ufe0f": "123", "A\u00a0B": "A B", "\u202f7\u2009": "7", "\u202aE1\u202c": "E1",
        "E\u034f1\u3164": "E1", "E\x7f1\x80": "E1", "Nan": "Nan", "1,5": "1,5", "1.234.567": "1.234.567",
    }  # fmt: skip
    expected = of_codes if fields == CODES else of_texts
    # In a workbook what begins like a formula would be one.
    cells = [cell for cell in expected if write is as_csv or cell.lstrip()[0] != "="]
    for field in fields:
        registers.empty(register_db)
        assert dict(zip(cells, outcomes(register_db, field, cells, write), strict=True)) == {
            cell: expected[cell] for cell in cells
        }


def test_a_name_keeps_what_only_a_code_cannot_have(register_db: str) -> None:
    cells = ["'t Hart", "'90s Club", "2.0", "1,234", "O'Neil", "Nan", "nan", "None", "5,00"]
    assert outcomes(register_db, "ep_name", cells) == cells


@pytest.mark.parametrize(
    "name",
    [
        "क्\u200dष",  # half a letter
        "श्री\u200cराम",
        "نمی\u200cدانم",
        "ക\u0d4d\u200d",  # a letter of its own at the end of a word
        "\U0001f469\u200d\U0001f527",
        "\u2764\ufe0f\u200d\U0001f525",
    ],
)
def test_joiners_that_a_script_writes_with_stay(name: str) -> None:
    for is_code in (False, True):
        assert read_text(f"\u200b{name}\u200b", is_code=is_code) == (name, False)
        assert read_text(f"\u200d{name}\u200c x\u200dy", is_code=is_code) == (f"{name} xy", False)


SPOILT = [
    *(("date", cell) for cell in (
        "02-Jun", "2-jun", "Jun-26", "SEP-2026", "02-Jun-26", "2-Sept-2026", "2026-06-02", "2026-06-02 00:00:00",
        "2026-06-02T09:30", "06/02/2026", "2.6.2026", "02-06-2026", "6/2/2026 0:00", '="02-Jun"',
    )),
    *(("time", cell) for cell in ("06:02:00", "6:02:00 AM", "30:05:00")),
    *(("truth value", cell) for cell in ("TRUE", "FALSE")),
    *(("has dropped digits", cell) for cell in ("1.23457E+11", "1.23457e+11", "1,23457E+11", "1E+11", "5.00E-03",
                                             "12.34E+10", "1.23457e11", "1,5E3")),
    *(("its 15th digit", cell) for cell in ("1234567890123450", "123456789012345000000", "1\u200b000000000000000")),
]  # fmt: skip


@pytest.mark.parametrize("field", TEXTS)
def test_what_is_not_certain_is_refused_by_cell(register_db: str, field: str) -> None:
    of_codes = [
        ("decimals or commas", cell) for cell in ("1.000", "000123.0", "1,234", "12,34,567", "1,234.00", "123,0")
    ]
    of_codes += [
        ("formula", cell) for cell in ("=000123", '="000123"&""', '="000123', "=A2", " = 6-2", "＝1", "(formula)")
    ]
    of_codes += [("where there is nothing", cell) for cell in ("nan", "NaN", "<NA>", "NaT", "None")]
    spoilt = SPOILT + (of_codes if field in CODES else [])
    problems = outcomes(register_db, field, [cell for _reason, cell in spoilt])
    for (reason, cell), problem in zip(spoilt, problems, strict=True):
        assert isinstance(problem, Problem), cell
        assert reason in problem.reason, cell


NO_TEXTS = {
    dt.date(2026, 6, 2): "is a date or a time of the spreadsheet",
    dt.datetime.fromisoformat("2026-06-02 09:30"): "is a date or a time of the spreadsheet",
    dt.time(6, 2): "is a date or a time of the spreadsheet",
    dt.timedelta(hours=30): "is a date or a time of the spreadsheet",
    True: "is a truth value of the spreadsheet",
    1234567890123456: "more than 15 digits",
    12345678901234567890: "more than 15 digits",
}


@pytest.mark.untraced
@pytest.mark.parametrize("field", TEXTS)
def test_a_workbooks_cells_that_are_no_text_are_refused_as_texts(register_db: str, field: str) -> None:
    problems = outcomes(register_db, field, list(NO_TEXTS), as_xlsx)
    for reason, problem in zip(NO_TEXTS.values(), problems, strict=True):
        assert isinstance(problem, Problem)
        assert reason in problem.reason
    assert not AttendanceRecord.objects.using(register_db).exists()


def test_they_are_not_taken_for_texts_when_the_refused_rows_are_sent_again(register_db: str) -> None:
    cells: list[list[Any]] = [*table(*(row() for _ in NO_TEXTS))]
    for line, value in zip(cells[1:], NO_TEXTS, strict=True):
        line[0] = line[1] = line[2] = line[4] = value
    file = as_xlsx(cells)
    out = io.BytesIO()
    with ImportService(register=Register(register_db)).preview(file) as preview:
        write_refused(file, preview.sheet, out)
    assert len(preview.sheet.problems) == 4 * len(NO_TEXTS)
    again = ImportService(register=Register(register_db)).apply(out)
    assert len(again.sheet.problems) == 4 * len(NO_TEXTS)


@pytest.mark.untraced
def test_a_workbooks_numbers_are_numbers(register_db: str) -> None:
    numbers = {123: "123", 123456789012345: "123456789012345", -7: "-7", 6.2: "6.2", 123456789012.0: "123456789012"}
    for field in TEXTS:
        registers.empty(register_db)
        assert outcomes(register_db, field, list(numbers), as_xlsx) == list(numbers.values())


def test_a_number_that_was_calculated_is_no_number_of_anybody(register_db: str) -> None:
    heading, cells = ("".join(f'<c t="str"><v>{text}</v></c>' for text in line) for line in table(row()))
    cells = cells.replace('<c t="str"><v>E1</v></c>', "<c><v>0.30000000000000004</v></c>")
    result = ImportService(register=Register(register_db)).apply(workbook(f"<row>{heading}</row><row>{cells}</row>"))
    assert "more than 15 digits" in str(result.sheet.problems[0])


def test_a_column_may_have_a_date_and_a_text_that_look_alike(register_db: str) -> None:
    """What was read once is remembered, by what it is."""
    book = openpyxl.Workbook()
    sheet = book.active
    for line in table(row(shift="'2026-06-02"), row(ep_no="E2"), row(ep_no="E3", shift="'2026-06-02")):
        sheet.append(line)
    cell = sheet["E3"]
    assert isinstance(cell, Cell)
    cell.value = dt.date(2026, 6, 2)
    stream = io.BytesIO()
    book.save(stream)
    result = ImportService(register=Register(register_db)).apply(stream)
    assert (result.records.added, [problem.row for problem in result.sheet.problems]) == (2, [3])


def test_other_cells_may_be_quoted_too(register_db: str) -> None:
    cells = row(
        date='="20-11-2026"', status="'-0.5", in_time="'09:00", out_time='="18:00"', overtime="\u200e01:30\u200f"
    )
    imported(register_db, cells)
    record = AttendanceRecord.objects.using(register_db).get()
    assert (record.date, record.status, record.overtime) == (dt.date(2026, 11, 20), "-0.5", 90)
    assert (record.in_time, record.out_time) == (dt.time(9), dt.time(18))


def test_a_key_that_the_register_has_with_what_nobody_sees_is_met(register_db: str) -> None:
    put(register_db, register(day(ep_no="E\u200b1", company="ABC\u00a0Corp")))
    result = imported(register_db, row(ep_no="E\u200b1", company_name="ABC\u00a0Corp"))
    assert (result.records.skipped, result.records.added) == (1, 0)
    result = imported(register_db, row(ep_no="E1", company_name="ABC Corp"))
    assert (result.records.added, result.new_companies) == (1, 1)


@pytest.mark.untraced
@pytest.mark.parametrize("wrong", ['="000123"', "'000123", "123.0"])
def test_a_number_that_was_stored_as_it_stood_in_a_sheet_is_not_met_by_it(register_db: str, wrong: str) -> None:
    """The sheet means another number."""
    put(register_db, register(day(ep_no=wrong)))
    assert imported(register_db, row(ep_no=wrong)).records.added == 1


def test_refused_rows_keep_their_identifiers_when_they_are_sent_again(register_db: str) -> None:
    rows = [
        row(ep_no='="000123"', shift="'6-2", status="?"),
        row(ep_no="02-Jun", status="?"),
        row(ep_no="=000123", status="?"),
        row(ep_no='="1.23457E+11"', status="?"),
        row(ep_no="'=1+1", shift='="=2"', status="-0.5", date="?"),
        row(ep_no='="\'E5"', shift=" 'a,=b", status="?"),
    ]
    file = as_csv(table(*rows))
    service = ImportService(register=Register(register_db))
    out = io.BytesIO()
    with service.preview(file) as preview:
        write_refused(file, preview.sheet, out)
    text = out.getvalue().decode("utf-8-sig")
    assert "'000123,Meena" in text  # opened in a spreadsheet program, it stays what it is
    corrected = text.replace("?", "P").replace("ABC Corp,P,", "ABC Corp,2026-11-20,")
    result = service.apply(io.BytesIO(corrected.encode()))
    assert [problem.value for problem in result.sheet.problems] == ["02-Jun", "(formula)", "1.23457E+11"]
    there = dict(AttendanceRecord.objects.using(register_db).values_list("ep_no", "shift"))
    assert there == {"000123": "6-2", "=1+1": "=2", "E5": "a,=b"}
