"""Imports by example: what a sheet may say, what becomes of its rows, and what is refused."""

from __future__ import annotations

import datetime as dt
import io
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings

from core.models import JOBS, AttendanceRecord, BackupLog, Company, Operation, Role, User
from core.operations.errors import Cancelled, DataMoved, OperationFailed, SheetRefused
from core.operations.wording import describe_import
from core.register.database import Register
from core.sheets.columns import COLUMNS
from core.sheets.import_service import ImportService
from core.sheets.refused_rows import write_refused
from core.sheets.spreadsheets import SheetFile
from recordsync.streams import sort
from tests.builders.days import ABC, XYZ, day
from tests.builders.registers import an_account, everything, put, register, rows
from tests.builders.sheets import HEADINGS, REQUIRED, as_csv, as_xlsx, row, table
from tests.running.services import imported


def stored(alias: str) -> dict[str, object]:
    """The only record, by field."""
    record = AttendanceRecord.objects.using(alias).select_related("company").get()
    return {column.field: getattr(record, column.field.replace("company_name", "company")) for column in COLUMNS}


def reasons(result: object) -> list[str]:
    return [str(problem) for problem in result.sheet.problems]  # type: ignore[attr-defined]


def test_rows_are_added_updated_and_left_alone(register_db: str) -> None:
    put(register_db, register(day(), day(ep_no="E2", ep_name="Ravi")))
    result = imported(register_db, row(), row(ep_no="E2"), row(ep_no="E3", company_name=XYZ))
    counts = result.records
    assert (counts.skipped, counts.updated, counts.added, result.new_companies) == (1, 1, 1, 1)
    assert rows(register_db) == rows(register_db)
    assert {r.ep_name for r in AttendanceRecord.objects.using(register_db)} == {"Meena"}
    log = BackupLog.objects.using(register_db).get()
    assert (log.operation, log.records_added, log.records_updated, log.success) == ("import", 1, 1, True)
    assert Operation.objects.using(JOBS).get().state == "succeeded"
    again = imported(register_db, row(), row(ep_no="E2"), row(ep_no="E3", company_name=XYZ))
    assert (again.records.skipped, again.changes_nothing) == (3, True)


def test_a_column_that_the_sheet_does_not_have_is_left_alone(register_db: str) -> None:
    put(register_db, register(day(in_time_2="19:00:07", out_time_2="20:00:00")))
    imported(register_db, row(status="PD", shift="N", overstay="0"), headings=REQUIRED)
    there = stored(register_db)
    assert (there["status"], there["shift"], there["overstay"]) == ("PD", "N", 0)
    assert (there["in_time"], there["in_time_2"], there["overtime"]) == (dt.time(9), dt.time(19, 0, 7), 90)


@pytest.mark.parametrize("write", [as_csv, as_xlsx])
def test_headings_in_any_order_and_case_and_by_their_other_names(register_db: str, write: object) -> None:
    cells = [
        ["status", "Punch1 In", " ep no ", "ep  name", "CONTRACTOR NAME", "PunchDate", "Shift", "overstay", "Colour"],
        ["P", "9:05", "000123", "Meena", "ABC Corp", "20.11.2026", "", "-", "blue"],
    ]
    result = ImportService(register=Register(register_db)).apply(write(cells))  # type: ignore[operator]
    there = stored(register_db)
    assert (there["ep_no"], there["in_time"], there["date"]) == ("000123", dt.time(9, 5), dt.date(2026, 11, 20))
    assert result.sheet.heading.unknown == ("Colour",)


@pytest.mark.untraced
@pytest.mark.parametrize(
    ("encoding", "delimiter"), [("utf-8", ","), ("utf-8-sig", ";"), ("utf-16", "\t"), ("utf-8", "\t")]
)
def test_ways_to_write_csv(django_db_blocker: object, register_db: str, encoding: str, delimiter: str) -> None:
    file = as_csv(table(row(ep_name='Mé, "na"; x')), encoding, delimiter)
    ImportService(register=Register(register_db)).apply(file)
    assert stored(register_db)["ep_name"] == 'Mé, "na"; x'


def test_text_that_no_database_holds(register_db: str) -> None:
    result = ImportService(register=Register(register_db)).apply(as_xlsx(table(row(ep_name="a_x0000_"))))
    assert "cannot be stored" in reasons(result)[0]


def test_real_dates_times_and_numbers_of_a_workbook(register_db: str) -> None:
    cells: list[list[Any]] = [*map(list, table(row())), []]
    cells.append(
        [17, "Ravi", XYZ, dt.date(2026, 11, 19), "GS", dt.timedelta(hours=30, minutes=5), -0.5, dt.time(9, 0, 30),
         dt.time(18), None, None, None, None, dt.time(1, 30), 0]
    )  # fmt: skip
    ImportService(register=Register(register_db)).apply(as_xlsx(cells))
    there = AttendanceRecord.objects.using(register_db).get(ep_no="17")
    assert (there.date, there.status, there.overstay) == (dt.date(2026, 11, 19), "-0.5", 1805)
    assert (there.in_time, there.overtime, there.overtime_to_mandays) == (dt.time(9, 0, 30), 90, 0)


TO_COME = (timezone.localdate() + dt.timedelta(days=2)).isoformat()  # still to come where midnight passes meanwhile


@pytest.mark.parametrize(
    ("field", "cell", "reason"),
    [
        ("ep_no", " ", "is blank"),
        ("ep_no", "x" * 51, "has 51 characters; 50 are allowed"),
        ("ep_name", "", "is blank"),
        ("ep_name", "#N/A", "the error of a formula"),
        ("company_name", " #NAME?", "the error of a formula"),
        ("shift", "#DIV/0!", "the error of a formula"),
        ("shift", "#NV", "the error of a formula"),
        ("ep_no", "#¡VALOR!", "the error of a formula"),
        ("ep_no", "Err:502", "the error of a formula"),
        ("overstay", "#N/A", "is not a duration"),
        ("company_name", "", "is blank"),
        ("date", "", "is blank"),
        ("date", "31-02-2026", "not a day of the calendar"),
        ("date", "2026-11/20", "is not a date"),
        ("date", "20-11-26", "is not a date"),
        ("date", TO_COME, "is in the future"),
        ("status", "X", "is not a status"),
        ("status", "", "is blank"),
        ("in_time", "24:00", "is not a time of day"),
        ("out_time", "9", "is not a time of day"),
        ("overtime", "1:60", "is not a duration"),
        ("overtime", "01:30:05", "is not a duration"),
        ("overstay", "10000:00", "is not a duration"),
    ],
)
def test_a_bad_cell_refuses_its_row_and_no_other(register_db: str, field: str, cell: str, reason: str) -> None:
    result = imported(register_db, row(**{field: cell}), row(ep_no="E2"))
    (text,) = reasons(result)
    heading = next(column.heading for column in COLUMNS if column.field == field)
    assert text.startswith(f"Row 2, {heading}")
    assert reason in text
    assert (result.sheet.rejected, result.records.added, result.rows) == (1, 1, 2)


def test_today_is_not_in_the_future(register_db: str) -> None:
    assert imported(register_db, row(date=timezone.localdate().isoformat())).records.added == 1


def test_rows_that_repeat_a_key(register_db: str) -> None:
    result = imported(
        register_db, row(), row(ep_no="E2"), row(), row(ep_no="E2", shift="N"), row(ep_no="E3", in_time="9:00:00")
    )
    assert result.sheet.repeats == [(4, 2)]
    assert [text[:5] for text in reasons(result)] == ["Row 3", "Row 5"]
    assert "as row 5" in reasons(result)[0]
    assert "as row 3" in reasons(result)[1]
    assert (result.records.added, result.sheet.rejected, result.sheet.repeated, result.rows) == (2, 2, 1, 5)


def test_a_row_with_more_cells_than_the_heading_and_a_heading_again(register_db: str) -> None:
    cells = table(row(), row(ep_no="E2"))
    cells[1].append("more")
    cells.append(cells[0])
    result = ImportService(register=Register(register_db)).apply(as_csv(cells))
    assert [text.partition(":")[0] for text in reasons(result)] == ["Row 2", "Row 4"]
    assert result.records.added == 1


def test_text_is_trimmed_and_composed_but_a_key_that_is_there_is_met(register_db: str) -> None:
    loose = "Cafe\u0301 "  # decomposed, and a space at its end
    put(register_db, register(day(company=loose, ep_no=" E1")))
    result = imported(register_db, row(company_name=loose, ep_no=" E1"), row(company_name=loose, ep_no=" E2"))
    assert (result.records.skipped, result.records.added, result.new_companies) == (1, 1, 0)
    assert AttendanceRecord.objects.using(register_db).get(ep_no="E2").company.name == loose
    result = imported(register_db, row(company_name="Neu\u0308 ", ep_name=" Mee\u0301na ", ep_no=" E9 "))
    there = AttendanceRecord.objects.using(register_db).get(ep_no="E9")
    assert (there.company.name, there.ep_name) == ("Ne\u00fc", "Me\u00e9na")


def account(alias: str, role: str, company: str = ABC) -> User:
    user = an_account(alias, company)
    user.role = role
    user.save(using=alias)
    return user


def test_an_administrator_imports_for_their_own_company(register_db: str) -> None:
    Company.objects.using(register_db).create(name=ABC)
    admin = account(register_db, Role.ADMIN)
    file = as_csv(table(row(), row(company_name=XYZ), row(ep_no="E2", company_name="abc corp")))
    result = ImportService(user=admin, register=Register(register_db)).apply(file)
    assert [text.partition(":")[2] for text in reasons(result)] == [" is not your company: you import for ABC Corp"] * 2
    assert set(rows(register_db).companies) == {ABC}
    assert result.records.added == 1


def test_others_may_not(register_db: str) -> None:
    Company.objects.using(register_db).create(name=ABC)
    user = account(register_db, Role.USER1)
    with pytest.raises(OperationFailed, match="may not import"):
        ImportService(user=user, register=Register(register_db))


def test_a_preview_says_what_applying_does_and_is_held_to_it(register_db: str) -> None:
    put(register_db, register(day(), day(ep_no="E2", ep_name="Ravi")))
    before = everything(register_db)
    file = as_csv(table(row(), row(ep_no="E2"), row(ep_no="E3", company_name=XYZ), row(date="x")))
    service = ImportService(register=Register(register_db))
    with service.preview(file) as preview:
        assert [describe_import(step).partition(": ")[2] for step in preview] == [
            'update: ep_name "Ravi" → "Meena"',
            "add",
            "add",
        ]
        counts, digest = preview.records, preview.plan_digest
        assert preview.summary()["rejected"] == 1
    assert everything(register_db) == before
    AttendanceRecord.objects.using(register_db).filter(ep_no="E2").update(shift="moved")
    with pytest.raises(DataMoved, match="changed after the preview"):
        service.apply(file, plan_digest=digest)
    AttendanceRecord.objects.using(register_db).filter(ep_no="E2").update(shift="GS")
    assert service.apply(file, plan_digest=digest).records == counts


def test_a_cancelled_import_changes_nothing(register_db: str) -> None:
    def cancel(phase: str, done: int, total: int | None, /) -> None:
        if phase == "commit":
            raise Cancelled("It was cancelled. Nothing was changed.")

    with pytest.raises(Cancelled):
        ImportService(register=Register(register_db)).apply(as_csv(table(row())), progress_callback=cancel)
    assert not AttendanceRecord.objects.using(register_db).exists()
    assert Operation.objects.using(JOBS).get().state == "cancelled"


def test_refused_rows_are_corrected_and_sent_again(register_db: str) -> None:
    file = as_csv(
        table(row(), row(ep_no="E2", status="X", ep_name=" =1+1"), row(ep_no="E3", date="x"), row(ep_no="E3"))
    )
    service = ImportService(register=Register(register_db))
    out = io.BytesIO()
    with service.preview(file) as preview:
        write_refused(file, preview.sheet, out)
    text = out.getvalue().decode("utf-8-sig")
    assert text.splitlines()[0].endswith(",REASON")
    assert ",Row 3: STATUS is not a status: use one of P / A / PH / WO / PD / L / -0.5 / -1\r\n" in text
    corrected = io.BytesIO(text.replace(",X,", ",P,").replace(",x,", ",2026-11-19,").encode())
    result = service.apply(corrected)
    assert (result.sheet.rejected, result.records.added, result.sheet.heading.unknown) == (0, 2, ())
    assert AttendanceRecord.objects.using(register_db).get(ep_no="E2").ep_name == "=1+1"


def test_more_rows_than_are_sorted_at_once(register_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sort, "RUN_LENGTH", 3)
    numbers = ["7", "3", "9", "1", "5", "3", "8", "2"]
    result = imported(register_db, *(row(ep_no=number) for number in numbers))
    assert (result.records.added, result.sheet.repeated) == (7, 1)


# --- What is no sheet


BAD = {
    "empty": (io.BytesIO(), "is empty"),
    "blank": (io.BytesIO(b"\n,,\n"), "no rows"),
    "cp1252": (as_csv(table(row(ep_name="Mé")), "cp1252"), "not in UTF-8"),
    "binary": (io.BytesIO(b"\x89PNG\r\n\0\0\0"), "not a spreadsheet"),
    "old excel": (io.BytesIO(b"\xd0\xcf\x11\xe0" + b"x" * 50), "old Excel"),
    "no heading": (io.BytesIO(b"a,b\n1,2\n"), "No row at the beginning has"),
    "column missing": (as_csv(table(row(), headings=REQUIRED[1:])), "lacks EP NO"),
    "column twice": (as_csv([[*HEADINGS, "ep no"]]), "EP NO more than once"),
    "column by two names": (as_csv([[*HEADINGS, "punchdate"]]), "DATE more than once"),
    "a million columns": (io.BytesIO(b"a," * 500_000), "Line 1 is longer"),
    "many columns": (io.BytesIO(b"a," * 600), "601 columns"),
    "open quote": (
        io.BytesIO(b'EP NO,"x\n' + b"y\n" * 200_000),
        "line 1 has a quotation mark that is opened",
    ),
    "cut zip": (io.BytesIO(as_xlsx(table(row())).getvalue()[:900]), "damaged"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_sheet_is_told_in_one_sentence(name: str, django_db_setup: None, django_db_blocker: object) -> None:
    file, text = BAD[name]
    with django_db_blocker.unblock(), pytest.raises(SheetRefused, match=text) as refused:  # type: ignore[attr-defined]
        ImportService().preview(io.BytesIO(file.getvalue()))
    assert str(refused.value).endswith("Nothing was changed.")


@pytest.mark.parametrize("content", [b"Dear all,\nplease see below\n", as_csv(table(row())).getvalue()])
def test_what_is_named_as_a_workbook_and_is_none_is_told_so(content: bytes, register_db: str, tmp_path: Path) -> None:
    path = tmp_path / "november.XLSX"
    path.write_bytes(content)
    with pytest.raises(SheetRefused, match="not a workbook"):
        ImportService(register=Register(register_db)).preview(path)


def test_a_file_over_the_limit(settings: Settings) -> None:
    settings.MUSTER_MAX_SHEET_UPLOAD_BYTES = 10
    with pytest.raises(SheetRefused, match="larger than"):
        SheetFile(io.BytesIO(b"x" * 11))


def test_a_file_that_is_not_there(register_db: str, tmp_path: Path) -> None:
    with pytest.raises(OperationFailed, match="no such file"):
        ImportService(register=Register(register_db)).preview(tmp_path / "none.csv")
