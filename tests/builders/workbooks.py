"""Workbooks (XLSX) made of given XML, as other programs write them."""

from __future__ import annotations

import io
import zipfile

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"
XMLNS = f'xmlns="{MAIN}" xmlns:r="{OFFICE}"'


def zipped(parts: dict[str, str | bytes]) -> io.BytesIO:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return stream


def relationships(**targets: str) -> str:
    """The XML of relationships of these kinds. Their ids are the kinds."""
    found = "".join(f'<Relationship Id="{k}" Type="{OFFICE}/{k}" Target="{part}"/>' for k, part in targets.items())
    return f'<Relationships xmlns="{PACKAGE}">{found}</Relationships>'


def parts(
    rows: str,
    texts: str = "",
    formats: str = "",
    sheets: str = '<sheet name="A" r:id="worksheet"/>',
    settings: str = "",
) -> dict[str, str | bytes]:
    """The parts of a workbook. ``rows``, ``texts`` (``si``), ``formats`` (``numFmts``, ``cellXfs``), ``sheets`` and
    ``settings`` (``workbookPr``) are XML."""
    return {
        "_rels/.rels": relationships(officeDocument="xl/workbook.xml"),
        "xl/workbook.xml": f"<workbook {XMLNS}>{settings}<sheets>{sheets}</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": relationships(
            worksheet="worksheets/sheet1.xml", chartsheet="c.xml", sharedStrings="texts.xml", styles="/xl/styles.xml"
        ),
        "xl/texts.xml": f"<sst {XMLNS}>{texts}</sst>",
        "xl/styles.xml": f"<styleSheet {XMLNS}>{formats}</styleSheet>",
        "xl/worksheets/sheet1.xml": f"<worksheet {XMLNS}><sheetData>{rows}</sheetData></worksheet>",
    }  # fmt: skip


def workbook(rows: str, **others: str) -> io.BytesIO:
    """A workbook of :func:`parts`."""
    return zipped(parts(rows, **others))
