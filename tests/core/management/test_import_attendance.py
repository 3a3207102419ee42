"""``import_attendance`` as somebody runs it."""

from __future__ import annotations

import json

from tests.builders.sheets import as_csv, row, table
from tests.running.commands import run
from tests.running.installation import ScratchInstallation


def test_preview_then_import(small: ScratchInstallation) -> None:
    sheet = small.folder / "november.csv"
    sheet.write_bytes(as_csv(table(row(), row(ep_no="E2"), row(company_name="Nova"))).getvalue())
    preview = run(small, "import_attendance", sheet, "--preview")
    assert preview.code == 0, preview.err
    assert "3 rows: 3 to add" in preview.out
    assert "Companies to create: Nova." in preview.out
    assert "    ABC Corp · E2 · 2026-11-20: add\n" in preview.out
    assert preview.out.count("  Attendance records:\n") == 1
    done = run(small, "import_attendance", sheet, "--json", "--quiet")
    said = json.loads(done.out)
    assert (done.code, said["ok"], said["operation"], said["added"], said["rejected"]) == (0, True, "import", 3, 0)
    again = run(small, "import_attendance", sheet)
    assert "3 unchanged" in again.out


def test_the_order_of_dates_is_told_and_chosen(small_sqlite: ScratchInstallation) -> None:
    sheet = small_sqlite.folder / "november.csv"
    sheet.write_bytes(as_csv(table(row(date="05/11/2025"))).getvalue())
    preview = run(small_sqlite, "import_attendance", sheet, "--preview")
    assert "“05/11/2025” (row 2) as 5 November 2025. Month first, it would be 11 May 2025." in preview.out
    assert "--date-order month reads them month first." in preview.out
    done = run(small_sqlite, "import_attendance", sheet, "--date-order", "month", "--json")
    said = json.loads(done.out)
    assert (said["date_order"], said["date_order_by"], said["added"]) == ("month", "choice", 1)
    again = run(small_sqlite, "import_attendance", sheet, "--date-order", "month")
    assert "1 unchanged" in again.out
    assert "--date-order" not in again.out
    assert run(small_sqlite, "import_attendance", sheet, "--date-order", "year").code == 2


def test_refused_rows_are_told_and_fail_the_command(small_sqlite: ScratchInstallation) -> None:
    sheet = small_sqlite.folder / "november.csv"
    sheet.write_bytes(as_csv(table(row(), row(ep_no="E2", date="x"))).getvalue())
    done = run(small_sqlite, "import_attendance", sheet, "--json")
    said = json.loads(done.out)
    assert (done.code, said["added"], said["rejected"]) == (1, 1, 1)
    assert said["errors"][0]["line"] == 3
    assert said["errors"][0]["field"] == "DATE"
    assert "1 row is refused. The others were imported." in done.err
    assert run(small_sqlite, "import_attendance", small_sqlite.folder / "none.csv").code == 1
