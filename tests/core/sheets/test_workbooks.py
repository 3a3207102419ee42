"""Workbooks by example: what cells of every kind say, as the format's standard has them, and what is refused."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import openpyxl
import pytest
from pytest_django import Settings

from core.operations.errors import SheetRefused
from core.sheets import workbook_parts, workbooks
from core.sheets.spreadsheets import SheetFile
from tests.builders.workbooks import MAIN, XMLNS, parts, relationships, workbook, zipped


def read(stream: io.BytesIO) -> list[tuple[int, list[str]]]:
    return list(workbooks.Workbook(stream).rows())


def cell(xml: str, **others: str) -> str:
    """The text of a workbook's only cell."""
    [(_number, cells)] = read(workbook(f'<row r="1">{xml}</row>', **others))
    return cells[-1]


FORMATS = (
    '<numFmts><numFmt numFmtId="164" formatCode="[h]:mm"/><numFmt numFmtId="165" formatCode="0.0 &quot;days&quot;"/>'
    '<numFmt numFmtId="166" formatCode="[$-409]d\\-mmm"/></numFmts><cellStyleXfs><xf numFmtId="14"/></cellStyleXfs>'
    "<cellXfs>" + "".join(f'<xf numFmtId="{id_}"/>' for id_ in (0, 14, 20, 22, 46, 164, 165, 166, 30)) + "</cellXfs>"
)
"""Styles of cells: 0 general, 1 date, 2 time, 3 date and time, 4 and 5 durations, 6 a number, 7 and 8 dates."""


@pytest.mark.parametrize(
    ("style", "value", "text"),
    [
        (0, "17", "17"),
        (0, "17.0", "17"),
        (0, "-0.5", "-0.5"),
        (0, "1E-3", "0.001"),
        (0, "0001234567890123456", "1234567890123456"),
        (0, "1.234567890123456E+15", "1234567890123456"),
        (0, "1.5E+16", "1.5e+16"),
        (0, "1_000", "1_000"),
        (0, "١", "١"),
        (0, "nan", "nan"),
        (0, "many", "many"),
        (1, "46346", "2026-11-20"),
        (1, "46345.999999", "2026-11-20"),
        (1, "61", "1900-03-01"),
        (1, "-5", "-5"),
        (1, "99999999", "99999999"),
        (2, "0.375", "09:00:00"),
        (2, "0.37499999", "09:00:00"),
        (2, "0", "00:00:00"),
        (2, "1.25", "1900-01-01 06:00:00"),
        (3, "46346.395833333", "2026-11-20 09:30:00"),
        (4, "0.5", "12:00:00"),
        (5, "1.2534722222", "30:05:00"),
        (5, "-0.5", "-12:00:00"),
        (6, "46346", "46346"),
        (7, "46346", "2026-11-20"),
        (8, "46346", "2026-11-20"),
        (99, "46346", "46346"),
    ],
)
def test_numbers_by_their_formats(style: int, value: str, text: str) -> None:
    assert cell(f'<c r="A1" s="{style}"><v>{value}</v></c>', formats=FORMATS) == text


def test_days_since_1904() -> None:
    settings = '<workbookPr date1904="1"/>'
    assert cell('<c r="A1" s="1"><v>44884</v></c>', formats=FORMATS, settings=settings) == "2026-11-20"


@pytest.mark.parametrize(
    ("xml", "text"),
    [
        ('<c r="A1" t="b"><v>1</v></c>', "TRUE"),
        ('<c r="A1" t="b"><v>0</v></c>', "FALSE"),
        ('<c r="A1" t="b"><v>True</v></c>', "TRUE"),
        ('<c r="A1" t="b"><v>2</v></c>', "2"),
        ('<c r="A1" t="e"><v>Fehler</v></c>', "#VALUE!"),
        ('<c r="A1" t="e"><f>NA()</f><v>#N/A</v></c>', "#N/A"),
        ('<c r="A1" t="d"><v>2026-11-20T09:30:00Z</v></c>', "2026-11-20 09:30:00"),
        ('<c r="A1" t="d"><v>2026-11-20</v></c>', "2026-11-20"),
        ('<c r="A1" t="d"><v>yesterday</v></c>', "yesterday"),
        ('<c r="A1" t="d"><v>09:29:59.999</v></c>', "09:30:00"),
        ('<c r="A1" t="d"><v>23:59:59.9</v></c>', "23:59:59.9"),
        ('<c r="A1" t="d"><v>2026-11-20garbage</v></c>', "2026-11-20garbage"),
        ('<c r="A1" t="d"><v>2026-11-20T00:00:00+05:30</v></c>', "2026-11-20T00:00:00+05:30"),
        ('<c r="A1" t="d"><v>PT99999999999999999H</v></c>', "PT99999999999999999H"),
        ('<c r="A1" t="d"><v>9999-12-31T23:59:59.9</v></c>', "9999-12-31T23:59:59.9"),
        ('<c r="A1" t="str"><f>B1</f><v>a_x000D_b</v></c>', "a\rb"),
        ('<c r="A1"><f>1+1</f><v>2</v></c>', "2"),
        ('<c r="A1" t="s"><v>0</v></c>', " plain "),
        ('<c r="A1" t="s"><v>1</v></c>', "Meena Rao"),
        ('<c r="A1" t="inlineStr"><is><t>_x005F_x0041_ &lt;_xD800_</t></is></c>', "_x0041_ <_xD800_"),
        ('<c r="A1" t="inlineStr"><is><t><!-- no -->a<![CDATA[<b]]></t></is></c>', "a<b"),
    ],
)
def test_cells_of_every_kind(xml: str, text: str) -> None:
    texts = (
        '<si><t xml:space="preserve"> plain </t></si>'
        "<si><r><rPr/><t>Meena</t></r><r><t> Rao</t></r><rPh sb='0' eb='1'><t>mee</t></rPh><phoneticPr/></si>"
    )
    assert cell(xml, texts=texts) == text


def test_rows_and_cells_stand_where_they_say_or_else_next() -> None:
    rows = (
        '<row r="2"><c r="B2" t="str"><v>b</v></c><c t="str"><v>c</v></c><c r="E2" s="1"/>'
        '<c r="A2" t="str"><v>a</v></c></row>'
        '<row r="5"><c t="str"><f>""</f><v></v></c></row>'
        '<row><c r="C6" t="str"><v>x</v></c></row>'
    )
    assert read(workbook(rows)) == [(2, ["a", "b", "c"]), (6, ["", "", "x"])]


def test_the_first_visible_sheet_is_read() -> None:
    sheets = (
        '<sheet name="1" state="hidden" r:id="styles"/><sheet name="2" r:id="chartsheet"/>'
        '<sheet name="3" r:id="worksheet"/><sheet name="4" r:id="styles"/>'
    )
    assert cell('<c r="A1"><v>3</v></c>', sheets=sheets) == "3"


def test_sheets_that_are_not_read_are_named() -> None:
    book = openpyxl.Workbook()
    for name, state in (("December", "visible"), ("Notes", "hidden"), ("Half day", "visible")):
        book.create_sheet(name).sheet_state = state
    book.active.append(["a"])
    stream = io.BytesIO()
    book.save(stream)
    file = SheetFile(stream)
    assert file.other_sheets == ["December", "Notes", "Half day"]
    assert list(file.rows()) == [(1, ["a"])]


def test_names_of_parts_and_elements_may_be_written_otherwise() -> None:
    strict = "http://purl.oclc.org/ooxml/spreadsheetml/main"
    found = parts("")
    found["XL\\Worksheets\\Sheet1.xml"] = (
        f'<x:worksheet xmlns:x="{strict}"><x:sheetData><x:row r="1"><x:c r="A1"><x:v>1</x:v></x:c></x:row>'
        "</x:sheetData></x:worksheet>"
    )
    del found["xl/worksheets/sheet1.xml"]
    assert read(zipped(found)) == [(1, ["1"])]


DOCUMENT: dict[str, str | bytes] = {
    "_rels/.rels": relationships(officeDocument="word.xml"),
    "word.xml": "<document/>",
    "_rels/word.xml.rels": relationships(),
}
REFUSED = {
    "another zip": (zipped({"a.txt": b"x"}), "a ZIP file"),
    "a document": (zipped(DOCUMENT), "no visible sheet"),
    "binary": (zipped({"_rels/.rels": relationships(officeDocument="xl/workbook.bin")}), "xlsb"),
    "hidden": (workbook("", sheets='<sheet name="1" state="veryHidden" r:id="worksheet"/>'), "no visible sheet"),
    "nowhere": (workbook("", sheets='<sheet name="1" r:id="none"/>'), "damaged"),
    "no id": (workbook("", sheets='<sheet name="1"/>'), "damaged"),
    "no styles": (zipped({k: v for k, v in parts("").items() if k != "xl/styles.xml"}), "damaged"),
    "no such text": (workbook('<row><c r="A1" t="s"><v>0</v></c></row>'), "damaged"),
    "no text at all": (workbook('<row><c r="A1" t="s"><v>-1</v></c></row>', texts="<si><t>a</t></si>"), "damaged"),
    "rows not in order": (workbook('<row r="2"/><row r="1"><c r="A1"><v>1</v></c></row>'), "damaged"),
    "a row twice": (workbook('<row r="1"><c r="A1"><v>1</v></c></row><row r="1"/>'), "damaged"),
    "row 0": (workbook('<row r="0"/>'), "damaged"),
    "far row": (workbook('<row r="1048577"/>'), "damaged"),
    "no result at all": (workbook('<row r="3"><c r="B3" t="str"><f>A3</f></c></row>'), "row 3, column 2 was never"),
    "no true result": (
        workbook('<row r="3"><c r="B3"><f>A3</f><v>0</v></c></row>', settings='<calcPr fullCalcOnLoad="1"/>'),
        "row 3, column 2 was never",
    ),
    "no such column": (workbook('<row><c r="A1B1"><v>0</v></c></row>'), "damaged"),
    "far column": (workbook('<row><c r="ABCDEFGH1"><v>0</v></c></row>'), "damaged"),
    "many columns": (workbook('<row r="1"><c r="XFD1"><v>0</v></c></row>'), "16,384 columns"),
    "no formula's result": (workbook('<row r="3"><c r="B3"><f>A3</f><v/></c></row>'), "row 3, column 2 was never"),
    "not closed": (workbook("<row>"), "damaged"),
    "blank": (workbook('<row r="1"><c r="A1" s="1"/></row>'), "no rows"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_workbook_is_told_in_one_sentence(name: str) -> None:
    stream, text = REFUSED[name]
    with pytest.raises(SheetRefused, match=text) as refused:
        list(SheetFile(stream).rows())
    assert str(refused.value).endswith("Nothing was changed.")


def hostile(name: str) -> Iterator[io.BytesIO]:
    """Workbooks of little that would become much."""
    much = 12 << 20
    if name == "depth":
        yield workbook("<a>" * (much // 3))
        yield workbook("", texts="<si>" * (much // 4))
    elif name == "entities":
        declared = f'<!DOCTYPE worksheet [<!ENTITY a "{"a" * 99}">]><worksheet xmlns="{MAIN}">&a;</worksheet>'
        yield zipped({**parts(""), "xl/worksheets/sheet1.xml": declared})
    elif name == "tag":
        yield workbook(f'<row a="{"a" * much}"/>')
    elif name == "cell":
        yield workbook(f'<row><c r="A1" t="str"><v>{"a" * much}</v></c></row>')
    elif name == "texts":
        yield workbook("", texts="<si><t>ab</t></si>" * (much // 18))
    elif name == "formats":
        yield workbook("", formats=f"<cellXfs>{'<xf/>' * (2 * much // 5)}</cellXfs>")
        yield workbook("", formats=f"<cellXfs>{'<xf/>' * 200_000}</cellXfs>")
        codes = "".join(f'<numFmt numFmtId="{id_}" formatCode="{"0" * 900}"/>' for id_ in range(200, 400))
        yield workbook("", formats=f"<numFmts>{codes}</numFmts><cellXfs/>")
    elif name == "spaces":
        yield zipped({**parts(""), "xl/worksheets/sheet1.xml": b" " * (4 * much)})
    elif name == "cells":
        yield workbook("<row>" + "<c/>" * (much // 24) + "</row>")
    elif name == "code":
        yield workbook("", formats=f'<numFmts><numFmt numFmtId="1" formatCode="{"[" * 100_000}"/></numFmts><cellXfs/>')
    elif name == "pieces":
        yield workbook(f'<row><c t="inlineStr"><is>{"<t>x</t>" * 300_000}</is></c></row>')
        yield workbook("", texts=f"<si>{'<r><t>😀</t></r>' * 300_000}</si>")
    elif name == "names":
        yield workbook("".join(f"<a{n:x}/>" for n in range(200_000)))
        yield workbook("".join(f'<a b{n:x}=""/>' for n in range(200_000)))
        yield workbook("".join(f'<a xmlns:p{n:x}="u"/>' for n in range(200_000)))
    elif name == "wide":
        yield workbook('<row><c r="ZZZ"><v>1</v></c></row>' * 4000)
    elif name == "blanks":
        yield workbook('<row><c r="SF"><v>1</v></c></row>' * 4000)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("depth", "damaged"),
        ("entities", "damaged"),
        ("tag", "damaged"),
        ("cell", "longer than"),
        ("texts", "more text"),
        ("formats", "far more"),
        ("spaces", "far more"),
        ("cells", "damaged"),
        ("code", "damaged"),
        ("pieces", "longer than"),
        ("names", "damaged"),
        ("wide", "columns"),
        ("blanks", "far more"),
    ],
)
def test_what_would_become_much_is_refused_before_it_does(
    name: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workbook_parts, "MAX_SHARED_TEXTS", 1 << 20)
    monkeypatch.setattr(workbooks, "_MAX_CELLS", 1 << 20)
    for stream in hostile(name):
        tracemalloc.start()
        with pytest.raises(SheetRefused, match=text):
            list(SheetFile(stream).rows())
        _now, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 16 << 20


@pytest.mark.parametrize("moved", [1000, 0xFFFFFFFF])
def test_parts_that_are_outside_the_file(moved: int, tmp_path: Path) -> None:
    """A file on disk, which cannot be read before its start or beyond what an offset may be."""
    content = bytearray(workbook('<row r="1"><c r="A1"><v>1</v></c></row>').getvalue())
    at = len(content) - 6  # where the directory is, in the record that ends the file
    content[at : at + 4] = moved.to_bytes(4, "little")
    path = tmp_path / "a.xlsx"
    path.write_bytes(content)
    with path.open("rb") as file, pytest.raises(SheetRefused, match="damaged"):
        list(SheetFile(file).rows())


def test_a_bomb_that_lies_about_its_size(settings: Settings) -> None:
    content = workbook(" " * (1 << 20)).getvalue()
    size = len(f"<worksheet {XMLNS}><sheetData></sheetData></worksheet>") + (1 << 20)
    lie = content.replace(size.to_bytes(4, "little"), (10).to_bytes(4, "little"))
    assert lie != content
    with pytest.raises(SheetRefused, match="damaged"):
        list(SheetFile(io.BytesIO(lie)).rows())
    settings.MUSTER_MAX_SHEET_BYTES = 1 << 19
    with pytest.raises(SheetRefused, match="far more"):
        list(SheetFile(io.BytesIO(content)).rows())
