"""What commands say of closed months: nothing but ``--keep-closed`` or ``--reopen`` decides about them."""

from __future__ import annotations

import json

from core.models import AttendanceRecord, BackupLog, Company, Seal
from tests.builders.sheets import as_csv, row, table
from tests.core.management.test_restore_data import full, summary
from tests.running import inspection
from tests.running.commands import run
from tests.running.installation import ScratchInstallation

CLOSED = {"closed_by": "asha", "closed_as": "ABC Corp", "digest": "0" * 64}


def test_commands_ask_for_a_decision_about_closed_months(small_sqlite: ScratchInstallation) -> None:
    path = full(small_sqlite)
    with small_sqlite.opened() as alias:
        rows = AttendanceRecord.objects.using(alias).filter(company__name="ABC Corp")
        first = rows.earliest("date").date
        days = rows.filter(date__year=first.year, date__month=first.month)
        changed = days.update(shift="NIGHT")
        seal = Seal(company=Company.objects.using(alias).get(name="ABC Corp"), month=first.replace(day=1), **CLOSED)
        seal.save(using=alias)
    before = inspection.state_of(small_sqlite)
    month = f"{first:%B %Y} of ABC Corp"
    restore = ["restore_data", "--input", path, "--base", "none"]
    would = f"{changed} {'day' if changed == 1 else 'days'} of it would change."

    run(small_sqlite, *restore, "--yes").assert_refused(
        f"{month} is closed (by asha, ", would, "Nothing was changed.", "say --keep-closed to leave it as it is, or"
    )
    refused = run(small_sqlite, *restore, "--strategy", "manual", "--json")
    assert (refused.code, would in summary(refused)["message"]) == (1, True)
    (one,) = summary(refused)["closed_months"]
    assert (one["company"], one["month"], one["days"]) == ("ABC Corp", f"{first:%Y-%m}", changed)
    preview = run(small_sqlite, *restore, "--preview")
    assert preview.code == 0
    assert f"{month} is closed (by asha, " in preview.out
    assert f"{changed} to decide" in preview.out
    assert "its month is closed\n" in preview.out
    assert "Without --preview it stops first." in preview.out
    said = summary(run(small_sqlite, *restore, "--preview", "--json", "--keep-closed"))
    assert (said["closed"], said["kept"], said["undecided"], said["stop"]) == ("keep_closed", changed, 0, None)
    assert [(one["company"], one["days"], one["closed_by"]) for one in said["closed_months"]] == [
        ("ABC Corp", changed, "asha")
    ]
    for choice, becomes in (
        ("--keep-closed", "To stay closed, as it is here"),
        ("--reopen", "To reopen, unless it is then as somebody closed it"),
    ):
        assert f"\n{becomes}: {month}.\n" in run(small_sqlite, *restore, "--preview", choice).out
    assert run(small_sqlite, *restore, "--keep-closed", "--reopen").code == 2
    exact = ["restore_data", "--input", path, "--mode", "exact", "--yes"]
    run(small_sqlite, *exact, "--keep-closed").assert_refused("so it cannot keep them closed. Nothing was changed.")
    run(small_sqlite, *exact).assert_refused("say --reopen to reopen it and change it.")
    assert inspection.state_of(small_sqlite) == before

    kept = run(small_sqlite, *restore, "--keep-closed")
    assert (kept.code, inspection.state_of(small_sqlite)) == (0, before)
    assert f"Kept closed, as it was here: {month}." in kept.out
    done = run(small_sqlite, *restore, "--reopen")
    assert (done.code, f"Reopened and changed: {month}." in done.out) == (0, True)
    assert f"    Reopened and changed: {month}.\n" in run(small_sqlite, "history").out
    with small_sqlite.opened() as alias:
        assert not Seal.objects.using(alias).standing().exists()
        assert BackupLog.objects.using(alias).latest("pk").base.endswith(f"Reopened and changed: {month}.")
        Seal(company_id=seal.company_id, month=seal.month, **CLOSED).save(using=alias)
    undo = ["undo", "--strategy", "backup_wins"]
    asked = run(small_sqlite, *undo)
    assert (asked.code, f"{month} is closed (by asha, " in asked.out) == (1, True)
    run(small_sqlite, *undo, "--yes").assert_refused(would, "say --keep-closed")
    assert run(small_sqlite, *undo, "--yes", "--reopen").code == 0

    with small_sqlite.opened() as alias:
        Seal(company_id=seal.company_id, month=seal.month, **CLOSED).save(using=alias)
    sheet = small_sqlite.folder / "sheet.csv"
    sheet.write_bytes(as_csv(table(row(date=str(first), ep_no="NEW"))).getvalue())
    shown = run(small_sqlite, "import_attendance", sheet, "--preview")
    assert "NEW · " in shown.out
    assert "1 in closed months" in shown.out
    assert shown.out.splitlines()[-2].startswith(f"{month} is closed (by asha, ")
    assert "An import of this is refused. Reopen what is closed first" in shown.out
    assert json.loads(run(small_sqlite, "import_attendance", sheet, "--preview", "--json").out)["closed_months"]
    run(small_sqlite, "import_attendance", sheet).assert_refused("1 day of it would change. Nothing was changed.")
    refused = run(small_sqlite, "import_attendance", sheet, "--json")
    assert [one["days"] for one in summary(refused)["closed_months"]] == [1]
