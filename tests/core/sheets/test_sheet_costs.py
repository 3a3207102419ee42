"""What one account can make the server do with a small file, or keep: measured, with the files that did it."""

from __future__ import annotations

import csv
import io
import struct
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from core.operations.errors import SheetRefused
from core.register.database import Register
from core.sheets import heading as sheet_heading
from core.sheets import refused_rows
from core.sheets.csv_files import CsvFile
from core.sheets.import_service import ImportService
from core.sheets.refused_rows import write_refused
from core.sheets.spreadsheets import SheetFile
from tests.builders.sheets import REQUIRED
from tests.builders.workbooks import parts, workbook, zipped

HEAD = ",".join(REQUIRED).encode() + b"\n"
HEADING = '<row r="1">' + "".join(f'<c t="inlineStr"><is><t>{name}</t></is></c>' for name in REQUIRED) + "</row>"


def a_thousand_rows() -> float:
    """The processor time that it takes to read a thousand rows, on this machine as slow and as busy as it is now."""
    row = ",".join(f"cell {number}" for number in range(20))
    started = time.process_time()
    for cells in csv.reader([row] * 1_000):
        [cell.strip().casefold() for cell in cells]
    return time.process_time() - started


@contextmanager
def within(thousands: float, megabytes: float) -> Iterator[None]:
    """Fails where the block takes more memory, or more processor time than so many thousand rows."""
    tracemalloc.start()  # costs time, both times
    try:
        before = a_thousand_rows()
        tracemalloc.reset_peak()
        started = time.process_time()
        yield
        spent = time.process_time() - started
        _now, peak = tracemalloc.get_traced_memory()
        unit = max(before, a_thousand_rows())
    finally:
        tracemalloc.stop()
    assert spent < thousands * unit, (spent, spent / unit)
    assert peak < megabytes * (1 << 20), peak


def directory(entries: int, told: int | None = None) -> io.BytesIO:
    """A ZIP file that is nothing but a directory, whose size is told in the larger record (ZIP64)."""
    entry = struct.pack("<4s4B4HL2L5H2L", b"PK\1\2", 20, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"a"
    size = len(entry) * entries
    start = b"PK\3\4" + bytes(26)
    record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, size if told is None else told, len(start))
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, len(start) + size, 1)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return io.BytesIO(start + entry * entries + record + locator + end)


@pytest.mark.parametrize("told", [None, 100, 1 << 62])
def test_a_directory_of_very_many_parts(told: int | None) -> None:
    """Whatever it says of its size."""
    stream = directory(400_000, told)
    for read in (sheet_heading.look, SheetFile):
        with within(10, 2), pytest.raises(SheetRefused):
            read(stream)


@pytest.mark.parametrize("row", [b'"' + b"\n" * 4_000_000, b'"a\n",' * 1_000_000, b"a," * 3_000_000])
def test_a_row_without_an_end(row: bytes) -> None:
    stream = io.BytesIO(HEAD + row)
    with within(50, 24), pytest.raises(SheetRefused):
        list(CsvFile(stream).rows())


WIDE = ["EP NO"] + ["é-. 0" * 20] * 499
LOOKED_AT = {
    "blank lines": b"\n" * 4_000_000,
    "headings that go on": "\n".join([",".join(WIDE), *[",".join(["", *WIDE[1:]])] * 40]).encode(),
    "many rows": HEAD + b"1,a,b,2026-11-20,,,P\n" * 200_000,
    "rows of blanks": (b"," * 300 + b"\n") * 10_000,
    "one long line": b"a" * 4_000_000,
    "what is almost a clock's log": HEAD.join([b"1 2026-11-20 09:00" + b" " * 2_000 + b"!\n", b""]),
}


@pytest.mark.untraced
@pytest.mark.parametrize("name", LOOKED_AT)
def test_of_csv_the_head_alone_is_read_in_a_request(name: str) -> None:
    class Counted(io.BytesIO):
        taken = 0

        def read(self, size: int | None = -1, /) -> bytes:
            data = super().read(size)
            self.taken += len(data)
            return data

    stream = Counted(LOOKED_AT[name])
    with within(200, 16):
        try:
            sheet_heading.look(stream)
        except SheetRefused:
            assert name in ("headings that go on", "one long line")
    assert stream.taken < 2 * sheet_heading.LOOK


@pytest.mark.parametrize("engine", ["sqlite"])
def test_texts_that_cells_share_are_not_multiplied(register_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A workbook of two kilobytes, and the file of its refused rows."""
    monkeypatch.setattr(refused_rows, "MAX_BYTES", 1 << 20)
    rows = ("<row>" + '<c t="s"><v>0</v></c>' * 7 + "</row>") * 1_500
    stream = workbook(HEADING + rows, texts=f"<si><t>{'é' * 20_000}</t></si>")
    out = io.BytesIO()
    with within(250, 24), ImportService(register=Register(register_db)).preview(stream) as preview:
        write_refused(stream, preview.sheet, out)
        assert preview.sheet.rejected == 1_500
    assert len(out.getvalue()) < (1 << 20) + 16_384
    *lines, last = list(csv.reader(io.StringIO(out.getvalue().decode("utf-8-sig"), newline="")))[1:]
    assert last[:-1] == [""] * 7
    assert last[-1] == f"{1_500 - len(lines):,} more rows were refused and are not in this file"
    assert lines[0][0] == "é" * 500 + "… [20,000 characters]"
    assert all(len(cell) < 600 for cell in lines[0][:-1])


def test_what_cells_would_be_if_they_did_not_share_is_counted(settings: object) -> None:
    settings.MUSTER_MAX_SHEET_BYTES = 8 << 20  # type: ignore[attr-defined]
    rows = '<row><c t="s"><v>0</v></c></row>' * 2_000
    with within(20, 16), pytest.raises(SheetRefused, match="far more"):
        list(SheetFile(workbook(rows, texts=f"<si><t>{'a' * 60_000}</t></si>")).rows())
    row = "<row>" + '<c t="s"><v>0</v></c>' * 400 + "</row>"
    with within(20, 16), pytest.raises(SheetRefused, match="Row 1 has more than 1,048,576 characters"):
        list(SheetFile(zipped(parts(row, texts=f"<si><t>{'a' * 60_000}</t></si>"))).rows())


@pytest.mark.parametrize("engine", ["sqlite"])
def test_refused_rows_are_counted_when_nobody_can_read_them_all(
    register_db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.sheets.sheet._MAX_LINES", 20_000)
    stream = io.BytesIO(HEAD + b"a,,,,,,\n" * 3_000)
    out = io.BytesIO()
    with ImportService(register=Register(register_db)).preview(stream) as preview:
        write_refused(stream, preview.sheet, out)
        assert (preview.sheet.rejected, preview.rows) == (3_000, 3_000)
        assert preview.sheet.lines.tell() < 22_000
        assert len(preview.sheet.problems) == 100
    lines = out.getvalue().decode("utf-8-sig").splitlines()
    assert f"{3_000 - (len(lines) - 2):,} more rows were refused" in lines[-1]


@pytest.mark.parametrize("engine", ["sqlite"])
def test_long_rows_are_looked_at_a_few_at_a_time(register_db: str) -> None:
    note = "अ" * 120_000
    rows = "".join(f"{number},a,b,2026-11-20,,,P,{note}\n" for number in range(120))
    stream = io.BytesIO(HEAD[:-1] + b",NOTE\n" + rows.encode())
    with within(40, 20), ImportService(register=Register(register_db)).preview(stream) as preview:
        assert preview.records.added == 120
