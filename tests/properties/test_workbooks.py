"""Workbooks say what was written in them, whoever wrote it, and damage is refused or changes nothing."""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Iterator
from itertools import pairwise
from xml.sax.saxutils import escape

import openpyxl
from hypothesis import given
from hypothesis import strategies as st

from core.operations.errors import SheetRefused
from core.sheets import workbook_parts, workbook_values, workbooks
from core.sheets.rows import Row
from core.sheets.workbooks import Workbook
from tests.builders.workbooks import parts, workbook, zipped

ANY_TEXT = st.text(max_size=20) | st.text("_x0415FfeE\r\n\t \ufffe<&]>", max_size=20)
STORED = ANY_TEXT.map(lambda text: text.encode("utf-8", "ignore").decode())
"""Text that a database holds, without halves of surrogate pairs."""

DAYS = st.dates(dt.date(1900, 3, 1))
WHOLE_SECONDS = st.integers(0, 86_399)
VALUES = st.one_of(
    st.none(),
    STORED.map(workbook_values.written_xlsx).filter(lambda text: text[:1] != "="),  # that, openpyxl takes for formulas
    st.booleans(),
    st.integers(-(2**53), 2**53),
    st.floats(-1e12, 1e12, allow_subnormal=False),
    DAYS,
    st.builds(lambda day, s: dt.datetime.combine(day, dt.time()) + dt.timedelta(seconds=s), DAYS, WHOLE_SECONDS),
    WHOLE_SECONDS.map(lambda s: dt.time(s // 3600, s // 60 % 60, s % 60)),
    st.integers(0, 10**8).map(lambda s: dt.timedelta(seconds=s)),
)


def rows_of(stream: io.BytesIO) -> Iterator[Row]:
    return Workbook(stream).rows()


def text_of(value: object) -> str:
    """How a value that is no number has to be read."""
    if value is None:
        return ""
    if isinstance(value, str):
        return workbook_values.read_xlsx(value)
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, dt.datetime):
        return str(value.date()) if value.time() == dt.time() else str(value)
    if isinstance(value, dt.timedelta):
        minutes, seconds = divmod(int(value.total_seconds()), 60)
        return f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02}"
    return str(value)


@given(st.lists(st.lists(VALUES, max_size=6), min_size=1, max_size=6), st.booleans())
def test_what_was_written_is_read(table: list[list[object]], all_at_once: bool) -> None:
    """For all tables of texts, numbers, days, times and durations, written in either way of openpyxl."""
    book = openpyxl.Workbook(write_only=not all_at_once)
    sheet = book.active if all_at_once else book.create_sheet()
    for row in table:
        sheet.append(row)
    stream = io.BytesIO()
    book.save(stream)
    found = dict(rows_of(stream))
    for number, row in enumerate(table, start=1):
        cells = found.get(number, [])
        assert len(cells) <= len(row)
        for value, cell in zip(row, [*cells, *[""] * (len(row) - len(cells))], strict=True):
            if isinstance(value, float):
                assert float(cell) == float(f"{value:.16g}")  # which is what openpyxl writes
            else:
                assert cell == text_of(value)


@given(st.lists(STORED, min_size=1, max_size=8))
def test_any_text_survives_a_workbook(texts: list[str]) -> None:
    """For all texts, as cells of their own and as those that cells share, written as the standard has it."""
    xml = [escape(workbook_values.written_xlsx(text)) for text in texts]
    own = "".join(f'<c t="inlineStr"><is><t>{text}</t></is></c>' for text in xml)
    shared = "".join(f'<c t="s"><v>{number}</v></c>' for number in range(len(xml)))
    stream = workbook(
        f'<row r="1">{own}<c t="b"><v>1</v></c></row><row r="2">{shared}<c t="b"><v>1</v></c></row>',
        texts="".join(f"<si><t>{text}</t></si>" for text in xml),
    )
    assert list(rows_of(stream)) == [(1, [*texts, "TRUE"]), (2, [*texts, "TRUE"])]


def _sample() -> bytes:
    formats = '<cellXfs><xf numFmtId="0"/><xf numFmtId="14"/><xf numFmtId="20"/></cellXfs>'
    rows = "".join(
        f'<row r="{n}"><c r="A{n}" t="s"><v>{n % 2}</v></c><c r="B{n}" s="1"><v>{46_000 + n}</v></c>'
        f'<c r="D{n}" s="2"><v>0.375</v></c><c r="E{n}" t="inlineStr"><is><t>é{n}</t></is></c></row>'
        for n in range(1, 30)
    )
    return zipped(parts(rows, texts="<si><t>E1</t></si><si><t>Meena</t></si>", formats=formats)).getvalue()


SAMPLE = _sample()
READ = list(rows_of(io.BytesIO(SAMPLE)))


@given(st.lists(st.integers(0, len(SAMPLE) * 8 - 1), max_size=3), st.integers(0, len(SAMPLE)) | st.just(len(SAMPLE)))
def test_damage_is_refused_or_changes_nothing(bits: list[int], length: int) -> None:
    """For all flipped bits and all lengths that are left of a file."""
    content = bytearray(SAMPLE)
    for bit in bits:
        content[bit // 8] ^= 1 << bit % 8
    try:
        found = list(rows_of(io.BytesIO(bytes(content[:length]))))
    except SheetRefused:
        return
    assert found == READ


@given(st.lists(st.integers(1, 2000), max_size=20))
def test_rows_do_not_depend_on_how_the_file_is_read(sizes: list[int]) -> None:
    """For all blocks that a part is read in."""
    book = workbooks._Book(workbook_parts.Package(io.BytesIO(SAMPLE)))
    book.load()
    whole = b"".join(book.package.blocks(book.sheet))
    cuts = [0, *(sum(sizes[:n]) for n in range(1, len(sizes) + 1)), len(whole)]
    blocks = [whole[a:b] for a, b in pairwise(cuts)]
    assert list(workbooks._Rows(book).read(blocks)) == READ
