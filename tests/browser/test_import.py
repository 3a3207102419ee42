"""Import with errors, correct, import again, export: as a person does it, with JavaScript and without."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import openpyxl
import pytest

from core.models import AttendanceRecord, UploadLog
from tests.browser.conftest import PHONE, OpenAs, Opened
from tests.builders.people import World
from tests.builders.sheets import as_csv, row, table
from tests.running.work_queue import work


def sheet(folder: Path, *rows: dict[str, str]) -> Path:
    path = folder / "november.csv"
    path.write_bytes(as_csv(table(*rows)).getvalue())
    return path


def worked(opened: Opened, text: str) -> str:
    """What the page says when the worker has done its work: it comes by itself, or without scripts by the page's own
    reload."""
    work()
    opened.page.locator("main", has_text=text).wait_for()
    return " ".join(opened.page.inner_text("main").split())


@pytest.mark.parametrize("javascript", [True, False])
def test_import_with_errors_correct_export(world: World, open_as: OpenAs, tmp_path: Path, javascript: bool) -> None:
    opened = open_as("admin", javascript=javascript)
    page = opened.go("/upload/")
    own = {"company_name": world.own.name}
    file = sheet(
        tmp_path,
        row(**own),
        row(**own, ep_no="A001", shift="NIGHT"),
        row(**own, ep_no="'=1+1", status="?"),
        row(company_name="Else"),
    )
    page.set_input_files("#id_file", file)
    page.click("text=Check the sheet")
    assert "Waiting to be checked" in page.inner_text("main")
    text = worked(opened, "Refused rows")
    assert "Row 4, STATUS ? is not a status" in text
    assert "is not your company" in text
    assert not AttendanceRecord.objects.filter(ep_no="E1").exists()
    with page.expect_download() as download:
        page.click("text=Download to correct")
    refused = Path(download.value.path()).read_text("utf-8-sig")
    page.click("text=Import 2 rows")
    text = worked(opened, "Imported:")
    assert "Imported: 1 added, 1 changed. 2 rows were refused: correct them and send them again." in text
    with page.expect_download() as download:
        page.click("text=Download the refused rows")
    assert Path(download.value.path()).read_text("utf-8-sig") == refused
    assert AttendanceRecord.objects.get(ep_no="A001").shift == "NIGHT"

    corrected = tmp_path / "corrected.csv"
    corrected.write_text(refused.replace("?", "P").replace("Else", world.own.name).replace(",E1,", ",E2,"), "utf-8")
    opened.go("/upload/").set_input_files("#id_file", corrected)
    page.click("text=Check the sheet")
    worked(opened, "Nothing has been written yet")
    page.click("main form >> text=Import")
    worked(opened, "Imported: 1 added")
    with page.expect_download() as download:
        page.click("text=Export as CSV")
    exported = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text("utf-8-sig"), newline="")))
    assert {"'=1+1", "E1", "A001"} <= {line["EP NO"] for line in exported}
    assert {line["COMPANY NAME"] for line in exported} == {world.own.name}


def test_import_looks(world: World, open_as: OpenAs, tmp_path: Path) -> None:
    opened = open_as("root", width=PHONE)
    page = opened.go("/upload/")
    opened.look("upload")
    page.set_input_files(
        "#id_file",
        sheet(
            tmp_path,
            row(),
            row(company_name=world.own.name, ep_no="A001", in_time="22:00", shift="NIGHT"),
            row(ep_no="E7", date="31-02-2026", status="<script>alert(1)</script>"),
            row(ep_no="", ep_name="Total", overstay="12:30"),
            row(ep_no="E8"),
            row(),
        ),
    )
    page.click("text=Check the sheet")
    opened.look("upload_waiting")
    worked(opened, "Refused rows")
    opened.look("upload_preview")
    page.click("main form >> text=Import")
    worked(opened, "Imported:")
    opened.look("upload_imported")
    opened.go("/upload/").set_input_files("#id_file", sheet(tmp_path, row(ep_no="E9", date="05/11/2025")))
    page.click("text=Check the sheet")
    worked(opened, "as 5 November 2025. Month first, it would be 11 May 2025.")
    opened.look("upload_dates")
    page.click("text=Read the dates month first")
    worked(opened, "as you chose")
    opened.look("upload_dates_chosen")
    page.click("text=Do not import")
    nothing = sheet(tmp_path, row(), row(ep_no="E7", status="?"))
    opened.go("/upload/").set_input_files("#id_file", nothing)
    page.click("text=Check the sheet")
    worked(opened, "There is nothing to import")
    opened.look("upload_nothing")
    page.click("text=Put it away")
    assert "It was put away. Nothing was changed." in page.inner_text(".alert-secondary")
    opened.look("upload_put_away")
    assert not any(upload.stage == UploadLog.Stage.CHECKED for upload in UploadLog.objects.all())
    opened.go("/upload/logs/")
    opened.look("upload_logs")
    (tmp_path / "picture.csv").write_bytes(b"\x89PNG\0")
    opened.go("/upload/").set_input_files("#id_file", tmp_path / "picture.csv")
    page.click("text=Check the sheet")
    assert "This is a picture, not a spreadsheet" in page.inner_text("main")
    opened.look("upload_failed")


@pytest.mark.parametrize("javascript", [True, False])
def test_export_to_a_workbook(world: World, open_as: OpenAs, javascript: bool) -> None:
    opened = open_as("user1", javascript=javascript)
    page = opened.go("/attendance/?status=P")
    page.click("text=Export XLSX")
    assert "Waiting for the worker" in page.inner_text("main")
    worked(opened, "Download the workbook")
    if javascript:
        opened.look("export_done")
    with page.expect_download() as download:
        page.click("text=Download the workbook")
    with Path(download.value.path()).open("rb") as file:  # whose name has no ending
        assert len(list(openpyxl.load_workbook(file).worksheets[0].iter_rows())) > 1
    page.click("text=Back to the list")
    assert page.url.endswith("/attendance/?status=P")
