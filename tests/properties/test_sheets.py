"""Exports import again without a change, and run nothing (property 18), whatever the register holds."""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
from collections.abc import Iterator
from unittest.mock import patch

import openpyxl
from hypothesis import given
from hypothesis import strategies as st

from core.models import AttendanceRecord, Company, Role
from core.register.database import Register
from core.sheets import export
from core.sheets.cell_text import guarded_cell, is_formula, read_text, written_text
from core.sheets.import_service import ImportService
from core.sheets.spoilt_text import normalised, spoilt
from core.sheets.workbook_values import is_error
from recordsync.system.progress import no_progress
from tests.builders.registers import RegisterData, an_account, put, rows
from tests.builders.sheets import as_csv, table
from tests.properties.laws import clear, for_some
from tests.strategies.registers import pairs, registers, texts

any_day = patch("core.sheets.checking.timezone.localdate", return_value=dt.date.max)
"""Registers may hold days that an import would refuse because they are in the future."""


def _exported(alias: str, form: str) -> io.BytesIO:
    records = AttendanceRecord.objects.using(alias).order_by("pk")
    if form == "csv":
        return io.BytesIO(b"".join(export.csv_chunks(records)))
    out = io.BytesIO()
    export.write_xlsx(records, out, no_progress)
    return out


@for_some(register=registers(), form=st.sampled_from(["csv", "xlsx"]))
def test_an_export_imports_again_without_a_change(alias: str, register: RegisterData, form: str) -> None:
    """For all registers, importing what was exported into the same register changes nothing, and into an empty one
    gives the same records. Those of days before 1900, which no sheet may have, are refused by name."""
    put(alias, register)
    before = rows(alias)
    file = _exported(alias, form)
    with any_day:
        result = ImportService(register=Register(alias)).apply(file) if register.records else None
    assert rows(alias) == before
    if result is None:
        return
    good = {key: content for key, content in before.contents.items() if key[1] >= "1900"}
    assert (result.records.skipped, result.new_companies) == (len(good), 0)
    assert {problem.value for problem in result.sheet.problems} == {key[1] for key in before.records if key not in good}
    clear(alias)
    with any_day:
        ImportService(register=Register(alias)).apply(file)
    assert rows(alias).contents == good


SIGNS = tuple("=+-@＝＋－＠")
TEXTS = st.text("'\"=+-@,;|\t\r\n \u200be\u0301é1a", max_size=12)
"""Of what spreadsheets, CSV and import take for something else."""


def pieces(text: str, delimiter: str) -> Iterator[str]:
    """What may become a cell where CSV is opened with this delimiter: by its rules, and by no rules."""
    for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
        yield from row
    yield from re.split(rf"[{delimiter}\r\n]", text)


def runs(cell: str) -> bool:
    """Whether a spreadsheet would take it for a formula. Half a day is no formula, and stands in its own column."""
    return cell.lstrip(" \u200b").startswith(SIGNS) and cell not in ("-1", "-0.5")


@for_some(register=registers(min_records=1), text=TEXTS)
def test_property_18_in_exports(alias: str, register: RegisterData, text: str) -> None:
    """For all text in any field, no cell of an export starts what a spreadsheet would run, whatever delimiter it takes
    CSV to have, and none is a formula."""
    put(alias, register)
    AttendanceRecord.objects.using(alias).update(ep_name=text)
    for delimiter in ",;\t|":
        cells = list(pieces(_exported(alias, "csv").getvalue().decode("utf-8-sig"), delimiter))
        assert not any(map(runs, cells)), cells
    book = openpyxl.load_workbook(_exported(alias, "xlsx"))
    shown = [cell for row in book.worksheets[0].iter_rows() for cell in row]
    assert all(cell.data_type != "f" for cell in shown)
    assert not any(runs(cell.value) or cell.value[:1] in "\t\r\n" for cell in shown if isinstance(cell.value, str))


ERRORS = st.builds(str.__add__, st.text("' ", max_size=2), st.sampled_from(["#N/A", "#DIV/0!", "#NAME?", "#N/A 1"]))


CHANGED = st.builds(
    "".join,
    st.tuples(
        st.sampled_from(["", "", "'", "''", " '", '="', "=\"'", "\u200b"]),
        st.sampled_from(
            [
                "000123",
                "6-2",
                "02-Jun",
                "2026-06-02",
                "6:02:00",
                "TRUE",
                "1.2E+11",
                "123.0",
                "123,0",
                "1,234",
                "nan",
                "1" + "0" * 15,
                "E1",
            ]
        ),
        st.sampled_from(["", "", '"', " ", "\u00a0", "\u200d", "-"]),
    ),
)
"""What a spreadsheet has changed, or was kept from changing."""


@given(st.one_of(texts(0, 50), TEXTS, ERRORS, CHANGED), st.booleans())
def test_any_text_survives_a_cell(text: str, is_code: bool) -> None:
    cell = written_text(text)
    read, is_verbatim = read_text(cell, is_code=is_code)
    assert read == text
    assert is_verbatim or not (is_error(text) or spoilt(text))
    assert read_text(guarded_cell(cell, is_code=is_code), is_code=is_code) == (read, is_verbatim)
    if text == normalised(text) and not (is_error(text) or spoilt(text) or set("'=+-@＝＋－＠,;|\t\r\n") & set(text)):
        assert cell == text


@given(st.one_of(TEXTS, ERRORS, CHANGED, st.sampled_from(["-0.5", " -1", "-", "+1,5"])), st.booleans())
def test_a_cell_of_somebodys_sheet_runs_nothing_and_reads_the_same(cell: str, is_code: bool) -> None:
    """For all cells, as those of refused rows are written to be sent again."""
    written = guarded_cell(cell, is_code=is_code)
    text, is_verbatim = read_text(cell, is_code=is_code)
    again, is_verbatim_again = read_text(written, is_code=is_code)
    if is_code and is_formula(cell):
        assert written == "(formula)"
        assert spoilt(written), "doubted as before, and run nowhere"
        return
    assert again == text
    assert bool(spoilt(text, is_code=is_code)) <= (is_verbatim == is_verbatim_again), "doubted as before"
    if re.fullmatch(r"-|[+-][0-9]+([.,][0-9]+)?", normalised(cell)):
        assert written == cell
    else:
        line = as_csv([["x", written]]).getvalue().decode()
        assert not any(runs(piece) for delimiter in ",;\t|" for piece in pieces(line, delimiter))


@for_some(sides=pairs(min_records=1))
def test_an_administrator_changes_only_their_own_company(alias: str, sides: tuple[RegisterData, RegisterData]) -> None:
    """For all registers and sheets, what an administrator imports changes, adds and creates nothing outside the own
    company, and what they export holds nothing of others; of the own company everything good goes in."""
    ours, theirs = sides
    put(alias, ours)
    name = next(iter([*theirs.records, *ours.records, ("Own", "", "")]))[0]
    Company.objects.using(alias).get_or_create(name=name)
    admin = an_account(alias, name)
    admin.role = Role.ADMIN
    admin.save(using=alias)
    before = rows(alias)
    sheet = as_csv(table(*({field: cell(field, text) for field, text in r.items()} for r in theirs.records.values())))
    with any_day:
        result = ImportService(user=admin, register=Register(alias)).apply(sheet)
    after = rows(alias)
    own = {key: content for key, content in theirs.records.items() if key[0] == name and key[1] >= "1900"}
    assert after.companies == before.companies
    assert {k: v for k, v in after.records.items() if k[0] != name} == {
        k: v for k, v in before.records.items() if k[0] != name
    }
    assert {key: after.records[key].content for key in own} == own
    assert result.sheet.rejected == len(theirs.records) - len(own)
    exported = b"".join(export.csv_chunks(AttendanceRecord.objects.using(alias).visible_to(admin))).decode("utf-8-sig")
    names = {line["COMPANY NAME"] for line in csv.DictReader(io.StringIO(exported, newline=""))}
    assert names <= {written_text(name)}


def cell(field: str, text: str | None) -> str:
    """A field's text as a sheet has it."""
    if field in ("ep_name", "ep_no", "company_name", "shift"):
        return written_text(text or "") or ("'" if field == "ep_name" else "")
    return text or ""
