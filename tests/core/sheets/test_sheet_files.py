"""Sheets as files: where one ends too early, what is not read of it, and files that are something else."""

from __future__ import annotations

import io
import zipfile

import openpyxl
import pytest

from core.models import AttendanceRecord
from core.operations.errors import SheetRefused
from core.register.database import Register
from core.sheets import csv_files
from core.sheets.heading import look
from core.sheets.import_service import ImportPreview, ImportResult, ImportService
from core.sheets.refused_rows import write_refused
from core.sheets.spreadsheets import SheetFile
from tests.builders.sheets import HEADINGS, REQUIRED, as_csv, as_xlsx, row, table
from tests.builders.workbooks import zipped

HEAD = ",".join(REQUIRED)
"""EP NO,EP NAME,COMPANY NAME,DATE,SHIFT,OVERSTAY,STATUS"""


def line(number: int, name: str = "Asha", more: str = "") -> str:
    return f"E{number},{name},ABC,2026-11-20,GS,,P{more}"


def text(*lines: str, end: str = "\n") -> io.BytesIO:
    return io.BytesIO(("\n".join(lines) + end).encode())


def previewed(alias: str, file: io.BytesIO) -> ImportPreview:
    return ImportService(register=Register(alias)).preview(io.BytesIO(file.getvalue()))


def refusal(alias: str, file: io.BytesIO) -> str:
    with pytest.raises(SheetRefused) as refused:
        previewed(alias, file)
    return str(refused.value)


def notices(alias: str, file: io.BytesIO) -> list[str]:
    with previewed(alias, file) as preview:
        return list(preview.sheet.notices())


def imported(alias: str, file: io.BytesIO) -> ImportResult:
    return ImportService(register=Register(alias)).apply(file)


# --- A file that ends early

GOOD = text(HEAD, line(1), line(2)).getvalue()
CUT = {
    "in a row": (text(HEAD, line(1), "E2,Asha,ABC", end=""), "that of line 3 has 3 of 7 cells"),
    "in a row after lines in a cell": (
        text(HEAD, line(1, '"As\nha"'), "E2,Asha", end=""),
        "that of line 4 has 2 of 7 cells",
    ),
    "in the row below the heading": (text(HEAD, "E1", end=""), "that of line 2 has 1 of 7 cells"),
    "in a cell in quotation marks": (text(HEAD, line(1), 'E2,"Ash', end=""), "begins in line 3 has a quotation mark"),
    "in a character": (io.BytesIO(GOOD + b"E3,Ash" + "á".encode()[:1]), "ends in the middle of a character"),
    "in a character of UTF-16": (
        io.BytesIO(text(HEAD, line(1)).getvalue().decode().encode("utf-16")[:-1]),
        "ends in the middle of a character",
    ),
    "with zeros": (io.BytesIO(GOOD[:-8] + b"\0" * 4096), "Line 3 has characters that no text has (NUL)"),
    "with zeros after a whole row": (io.BytesIO(GOOD + b"\0" * 4096), "Line 4 has characters that no text has (NUL)"),
    "with zeros in the middle": (io.BytesIO(GOOD + b"\0" * 512 + GOOD), "Line 4 has characters"),
    "a workbook": (io.BytesIO(as_xlsx(table(row())).getvalue()[:-30]), "damaged"),
}
SWALLOWED = {
    "a mark that is never closed": text(HEAD, line(1), line(2, '"Asha'), *map(line, range(3, 9))),
    "two marks that are missing": text(HEAD, line(1), 'E2,"Asha,ABC,2026-11-20,GS,,P', line(3, 'Asha"'), line(4)),
    "and another row's marks": text(HEAD, line(1), line(2, '"Asha'), line(3), line(4, '"Rao, K"'), line(5)),
    "a column that is not read": text(
        f"{HEAD},NOTE", line(1, more=",a"), line(2, more=',"b'), line(3, more=',c"'), line(4, more=",d")
    ),
    "from the last cell to the first": text(
        f"{HEAD},NOTE", line(1, more=","), line(2, more=',"late'), f'E3",{line(3, more=",")}'
    ),
    "with another delimiter": io.BytesIO(
        text(HEAD, line(1), 'E2,"Asha,ABC,2026-11-20,GS,,P', line(3, 'Asha"')).getvalue().replace(b",", b";")
    ),
    "a mark too many": text(HEAD, line(1), line(2, '"Asha"Rao'), line(3)),
}  # fmt: skip


@pytest.mark.parametrize("name", CUT)
@pytest.mark.parametrize("engine", ["sqlite"])
def test_a_file_that_ends_early(register_db: str, name: str) -> None:
    file, told = CUT[name]
    assert told in refusal(register_db, file)


@pytest.mark.parametrize("name", SWALLOWED)
@pytest.mark.parametrize("engine", ["sqlite"])
def test_quotation_marks_that_swallow_rows(register_db: str, name: str) -> None:
    assert "row that begins in line 3" in refusal(register_db, SWALLOWED[name])


@pytest.mark.parametrize(
    "file",
    [
        text(HEAD, line(1), line(2), end=""),
        text(HEAD, line(1), line(2), end="\r\n\r\n  "),
        text(HEAD, line(1), line(2), end="\n\x1a"),
        text(HEAD, line(1), line(2, '"As\nha"')),
        text(f"{HEAD},NOTE", line(1, more=',"a, b"'), line(2, more=',"two\nlines"')),
    ],
)
@pytest.mark.parametrize("engine", ["sqlite"])
def test_a_file_that_is_whole(register_db: str, file: io.BytesIO) -> None:
    result = imported(register_db, file)
    assert (result.records.added, result.sheet.rejected) == (2, 0)


@pytest.mark.parametrize("engine", ["sqlite"])
def test_short_rows_are_named(register_db: str) -> None:
    file = text(f"{HEAD},IN,OUT", line(1, more=",09:00,18:00"), *map(line, range(2, 15)), "E15,Asha")
    with previewed(register_db, file) as preview:
        told = list(preview.sheet.notices())
        assert preview.summary()["short_rows"] == {"count": 14, "first": list(range(3, 13))}
        assert (preview.records.added, preview.sheet.rejected) == (14, 1)
    assert told == [
        "14 rows have fewer cells than the heading, and what they lack is read as blank: rows 3, 4, 5, 6, 7, 8, 9, 10, "
        "11, 12, …."
    ]


def test_what_a_row_may_cost_is_bounded_while_it_is_read() -> None:
    """A quotation mark is not closed, and no end comes."""

    class Endless(io.RawIOBase):
        taken = 0

        def readable(self) -> bool:
            return True

        def seekable(self) -> bool:
            return True

        def seek(self, *_where: int) -> int:
            self.taken = 0
            return 0

        def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
            buffer[:] = (b'a,"' if not self.taken else b"").ljust(len(buffer), b"\n")
            self.taken += len(buffer)
            return len(buffer)

    endless = Endless()
    file = csv_files.CsvFile(io.BufferedReader(endless))
    with pytest.raises(SheetRefused, match="line 1 has a quotation mark"):
        list(file.rows())
    assert endless.taken < 2 * csv_files.MAX_ROW


# --- What is not read


@pytest.mark.parametrize("write", [as_csv, as_xlsx])
@pytest.mark.parametrize("engine", ["sqlite"])
def test_values_under_a_blank_heading_are_named(register_db: str, write: object) -> None:
    cells = [
        [*REQUIRED[:3], "", *REQUIRED[3:], "\u200b", ""],
        ["E1", "Asha", "ABC", "", "2026-11-20", "GS", "", "P", "", ""],
        ["E2", "Asha", "ABC", "x", "2026-11-20", "GS", "", "P", "09:00", " "],
    ]
    file = write(cells)  # type: ignore[operator]
    with previewed(register_db, file) as preview:
        assert list(preview.sheet.notices()) == [
            "Columns with values and no heading, which are not read: D (from row 3), I (from row 3)."
        ]
        assert preview.summary()["unread_columns"] == [{"column": "D", "first_row": 3}, {"column": "I", "first_row": 3}]
        assert preview.records.added == 2


@pytest.mark.parametrize("cover", [[], [["Attendance of November"]], [REQUIRED[:3]]])
@pytest.mark.parametrize("engine", ["sqlite"])
def test_a_sheet_that_is_refused_names_those_behind_it(register_db: str, cover: list[list[str]]) -> None:
    book = openpyxl.Workbook()
    for cells in cover:
        book.active.append(cells)
    book.create_sheet("1-15")
    book.create_sheet("16-30")
    file = io.BytesIO()
    book.save(file)
    told = refusal(register_db, file)
    assert told.endswith(" Other sheets of the workbook, which are not read: 1-15, 16-30. Nothing was changed.")
    assert told.count("Nothing was changed.") == 1


@pytest.mark.parametrize("engine", ["sqlite"])
def test_rows_below_totals_are_named(register_db: str) -> None:
    file = text(HEAD, line(1), ",GRAND TOTAL,,,,12:30,", line(2), "Prepared by: K", line(3), ",Total: 3,,,,,")
    with previewed(register_db, file) as preview:
        assert "Row 3 has totals. 4 rows below it are read like the others" in list(preview.sheet.notices())[-1]
        assert str(preview.sheet.problems[0]) == "Row 3: has totals, not an employee's day"
        assert (preview.records.added, preview.sheet.rejected) == (3, 3)
        assert (preview.summary()["totals_row"], preview.summary()["rows_below_totals"]) == (3, 4)


def test_the_total_at_the_end_needs_no_notice(register_db: str) -> None:
    assert notices(register_db, text(HEAD, line(1), "TOTAL,,,,,12:30,")) == []


@pytest.mark.parametrize("engine", ["sqlite"])
def test_refused_rows_have_all_their_cells(register_db: str) -> None:
    """Those that no heading names, and those that are too many."""
    wide = as_xlsx([REQUIRED, ["E1", "Asha", "ABC", "x", "GS", "", "P", "", "note"]])
    many = text(HEAD, "E1,Rao, K,ABC,2026-11-20,GS,,P")
    for file, rest in ((wide, ",,note,Row 2: DATE"), (many, ',GS,,"Row 2: the row has more')):
        out = io.BytesIO()
        with previewed(register_db, file) as preview:
            write_refused(file, preview.sheet, out)
        assert rest in out.getvalue().decode()
    assert out.getvalue().decode().splitlines()[1].endswith(",P")


# --- The heading


TWO_ROWS = [
    ["EP NO", "EP NAME", "COMPANY NAME", "DATE", "SHIFT", "OVERSTAY", "STATUS", "PUNCH 1", "", "PUNCH 2", ""],
    ["", "", "", "", "", "", "", "IN", "OUT", "IN", "OUT"],
    ["E1", "Asha", "ABC", "2026-11-20", "GS", "", "P", "09:00", "13:00", "14:00", "18:00"],
]
BELOW_GROUPS = [
    ["Employee", "", "", "", "", "", "", "Punch1", "", "Punch2", ""],
    ["EP NO", "EP NAME", "COMPANY NAME", "DATE", "SHIFT", "OVERSTAY", "STATUS", "IN", "OUT", "IN", "OUT"],
    TWO_ROWS[2],
]
DETAILS = [
    ["EP NO", "EP NAME", "COMPANY NAME", "DATE", "DETAILS", "", ""],
    ["", "", "", "", "SHIFT", "OVERSTAY", "STATUS"],
    TWO_ROWS[2][:7],
]


@pytest.mark.parametrize("write", [as_csv, as_xlsx])
@pytest.mark.parametrize("cells", [TWO_ROWS, BELOW_GROUPS])
@pytest.mark.parametrize("engine", ["sqlite"])
def test_a_heading_in_two_rows(register_db: str, write: object, cells: list[list[str]]) -> None:
    titled = [["Attendance", "November 2026"], [], *cells]
    result = imported(register_db, write(titled))  # type: ignore[operator]
    assert (result.sheet.heading_rows, result.sheet.rows_above, result.sheet.heading.unknown) == ((3, 4), (1,), ())
    record = AttendanceRecord.objects.using(register_db).get()
    times = [record.in_time, record.out_time, record.in_time_2, record.out_time_2]
    assert [f"{time:%H:%M}" for time in times if time] == TWO_ROWS[2][7:]
    assert list(result.sheet.notices()) == [
        "The heading is in row 3. The rows above it are not read: 1.",
        "The heading is read from rows 3, 4 together.",
    ]


def test_a_heading_whose_columns_are_below_a_group(register_db: str) -> None:
    assert imported(register_db, as_csv(DETAILS)).records.added == 1


UNCLEAR = {
    "a group that says nothing": (
        [[*REQUIRED, "SHIFT TIMING", ""], [*[""] * 7, "IN", "OUT"], [*TWO_ROWS[2][:9]]],
        "what “IN” below “SHIFT TIMING” is",
    ),
    "the same above": (
        [[*[""] * 7, "SCHEDULE", ""], [*REQUIRED, "IN", "OUT"], TWO_ROWS[2][:9]],
        "“IN” below “SCHEDULE”",
    ),
    "three rows": (
        [[*REQUIRED, "PUNCHES", ""], [*[""] * 7, "PUNCH 1", ""], [*[""] * 7, "IN", "OUT"]],
        "“IN” below “PUNCHES PUNCH 1”",
    ),
    "numbers below a group that says nothing": (
        [[*REQUIRED, "TIMES", ""], [*[""] * 7, "1 IN", "1 OUT"], TWO_ROWS[2][:9]],
        "“1 IN” below “TIMES”",
    ),
    "one column twice": (
        [[*REQUIRED, "PUNCH1", "", "PUNCH1"], [*[""] * 7, "IN", "OUT", "IN"]],
        "the column IN more than once",
    ),
    "a day above it": ([TWO_ROWS[2][:7], REQUIRED], "in row 2, below attendance (row 1)"),
    "nothing like it": ([["a", "b"], ["1", "2"]], "No row at the beginning has the headings"),
    "a part of it": ([["Report", ""], REQUIRED[:5], ["E1", "A", "B", "C", "D"]], "The heading lacks OVERSTAY, STATUS"),
}


@pytest.mark.parametrize("name", UNCLEAR)
@pytest.mark.parametrize("engine", ["sqlite"])
def test_a_heading_that_is_not_clear_is_refused_by_name(register_db: str, name: str) -> None:
    cells, told = UNCLEAR[name]
    for file in (as_csv(cells), as_xlsx(cells)):
        assert told in refusal(register_db, file)


@pytest.mark.parametrize("below", [["", "", "", "(d-m-y)", "", "", ""], ["", "", "", "", "", "hh:mm", ""]])
@pytest.mark.parametrize("engine", ["sqlite"])
def test_a_row_below_the_heading_that_is_none_of_it(register_db: str, below: list[str]) -> None:
    with previewed(register_db, as_csv([REQUIRED, below, TWO_ROWS[2][:7]])) as preview:
        assert (preview.sheet.heading_rows, preview.records.added, preview.sheet.rejected) == ((1,), 1, 1)


# --- Files that are something else


def in_zip(name: str, content: bytes = b"") -> io.BytesIO:
    return zipped({name: content})


FOREIGN = {
    "november.xls": (b"\xef\xbb\xbf\r\n<HTML><table><tr><td>EP NO</td></tr></table></HTML>", "a web page (HTML)"),
    "table.xls": (b"<table border=1><tr><td>EP NO", "a web page (HTML)"),
    "excel.htm": (b'<html xmlns:o="urn:schemas-microsoft-com:office:office">', "a web page (HTML)"),
    "doctype.csv": ("<!DOCTYPE html>".encode("utf-16"), "a web page (HTML)"),
    "2003.xls": (b'<?xml version="1.0"?>\n<?mso-application progid="Excel.Sheet"?>', "XML spreadsheet of 2003"),
    "report.xml": (b"<?xml version='1.0'?><report/>", "This is XML"),
    "old.xls": (b"\x09\x08\x10\x00\x00\x06\x05\x00\0\0\0", "old Excel file"),
    "locked.xlsx": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500), "old Excel file (.xls) or an encrypted one"),
    "a.pdf": (b"%PDF-1.7\n%\xe2\xe3", "This is a PDF"),
    "a.rtf": (rb"{\rtf1\ansi", "document (RTF)"),
    "a.xlsx": (b"\x89PNG\r\n\x1a\n\0\0", "a picture"),
    "a.heic": (b"\0\0\0\x18ftypheic", "a picture"),
    "a.csv.gz": (b"\x1f\x8b\x08\0\0\0", "compressed file"),
    "a.dbf": (b"\x03\x7a\x0b\x14" + bytes(60), "table of a database (.dbf)"),
    "a.mdb": (b"\0\1\0\0Standard Jet DB\0", "a database"),
    "a.db": (b"SQLite format 3\0", "a database"),
    "a.json": (b'[{"EP NO": "E1"}]', "This is JSON"),
    "backup.json": (b'{"metadata":{"application":{"name":"Muster"}}}', "a backup of a register"),
    "a.mht": (b"MIME-Version: 1.0\r\nContent-Type: multipart/related", "a mail or a web page"),
    "attlog.dat": (b"       1\t2026-11-20 09:01:02\t1\t0\t1\t0\r\n" * 2, "log of a clock"),
    "attlog.csv": (b"1,2026-11-20 09:01:02,1,0\r\n", "log of a clock"),
    "attlog-dmy.csv": (b'"E001","20/11/2026 09:01:02",1,,"0",\r\n', "log of a clock"),
    "fragment.xls": (b"<center><b>Attendance</b>", "a web page (HTML)"),
    "a.slk": (b"ID;PWXL;N;E\r\nP;PGeneral\r\n", "an old sheet (SYLK)"),
    "glog.txt": (b"No\tTMNo\tEnNo\tName\tINOUT\tMode\tDateTime\r\n1\t1\t7\t\t0\t1\t", "log of a clock"),
    "a.ods": (in_zip("mimetype", b"application/vnd.oasis.opendocument.spreadsheet").getvalue(), "OpenDocument"),
    "a.numbers": (in_zip("Index/Document.iwa").getvalue(), "iWork"),
    "a.docx": (zipped({"_rels/.rels": b"", "word/document.xml": b""}).getvalue(), "a document or a presentation"),
    "a.zip": (in_zip("november.csv", GOOD).getvalue(), "a ZIP file"),
    "empty.zip": (in_zip("a").getvalue()[-22:], "damaged"),
    "rounds.bin": (bytes(range(256)), "not a spreadsheet"),
}  # fmt: skip


@pytest.mark.parametrize("name", FOREIGN)
def test_a_file_that_is_something_else_is_told_what_it_is(name: str) -> None:
    content, told = FOREIGN[name]
    for read in (look, lambda stream: list(SheetFile(stream).rows())):
        stream = io.BytesIO(content)
        stream.name = name
        with pytest.raises(SheetRefused) as refused:
            read(stream)
        assert told in str(refused.value)
        assert str(refused.value).endswith("Nothing was changed.")


ENCODED = {
    "sep=": b"sep=;\r\n" + GOOD.replace(b",", b";"),
    "sep= in quotation marks, tabs": b'\xef\xbb\xbf"SEP=\t"\n' + GOOD.replace(b",", b"\t"),
    "sep= of its own": b"sep=^\n" + GOOD.replace(b",", b"^"),
    "UTF-16": GOOD.decode().encode("utf-16"),
    "UTF-16, big end first": b"\xfe\xff" + GOOD.decode().encode("utf-16-be"),
    "UTF-16 without a mark": GOOD.decode().encode("utf-16-le"),
    "UTF-16 without a mark, big end first": GOOD.decode().encode("utf-16-be"),
    "UTF-32": GOOD.decode().encode("utf-32"),
    "bars": GOOD.replace(b",", b"|"),
    "old line ends": GOOD.replace(b"\n", b"\r"),
    "a title with the other delimiter": b"Attendance, all of it, for November\n" + GOOD.replace(b",", b";"),
}


@pytest.mark.parametrize("name", ENCODED)
@pytest.mark.parametrize("engine", ["sqlite"])
def test_text_is_read_where_it_is_certain_what_it_is(register_db: str, name: str) -> None:
    result = imported(register_db, io.BytesIO(ENCODED[name]))
    assert (result.records.added, result.sheet.rejected) == (2, 0)


@pytest.mark.parametrize("engine", ["sqlite"])
def test_the_line_that_names_the_delimiter_is_no_row(register_db: str) -> None:
    file = io.BytesIO(b"sep=;\n" + text(HEAD, line(1, more=";more")).getvalue().replace(b",", b";"))
    with previewed(register_db, file) as preview:
        assert preview.sheet.problems[0].row == 2
    cut = io.BytesIO(b"sep=;\n" + text(HEAD, "E1;Asha", end="").getvalue().replace(b",", b";"))
    assert "that of line 3" in refusal(register_db, cut)


@pytest.mark.untraced
def test_a_directory_of_very_many_parts_is_not_read() -> None:
    """As a ZIP file has it, and as it says itself in a larger record."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for number in range(70_000):
            archive.writestr(str(number), b"")
    assert len(HEADINGS) > 7
    for read in (look, SheetFile):
        with pytest.raises(SheetRefused, match="more parts than any workbook"):
            read(io.BytesIO(stream.getvalue()))
