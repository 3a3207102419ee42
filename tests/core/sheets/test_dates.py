"""The dates of a sheet: read in one order, which the whole column proves, or nobody is left in doubt about."""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Sequence
from typing import Any

import pytest
from django.utils import timezone

from core.models import AttendanceRecord
from core.operations.errors import DataMoved, SheetRefused
from core.register.database import Register
from core.sheets import checking
from core.sheets.dates import DateOrder
from core.sheets.import_service import ImportPreview, ImportResult, ImportService
from core.sheets.refused_rows import write_refused
from tests.builders.registers import empty
from tests.builders.sheets import as_csv, as_xlsx, row, table

NOV_5, MAY_11, NOV_20 = dt.date(2025, 11, 5), dt.date(2025, 5, 11), dt.date(2025, 11, 20)
DAY, MONTH = DateOrder


def sheet(*cells: Any) -> list[list[Any]]:
    """A row for each date."""
    lines: list[list[Any]] = [*table(*(row(ep_no=f"E{number}") for number in range(len(cells))))]
    for line, cell in zip(lines[1:], cells, strict=True):
        line[3] = cell
    return lines


def read(
    alias: str, cells: Sequence[Any], order: DateOrder | None = None
) -> tuple[list[dt.date | str], ImportPreview | ImportResult]:
    """What each cell is read as, or why it is refused; and all that is said."""
    empty(alias)
    write = as_csv if all(isinstance(cell, str) for cell in cells) else as_xlsx
    result = ImportService(register=Register(alias)).apply(write(sheet(*cells)), date_order=order)
    stored = dict(AttendanceRecord.objects.using(alias).values_list("ep_no", "date"))
    refused = {problem.row - 2: problem.reason for problem in result.sheet.problems}
    assert all(problem.column == "DATE" for problem in result.sheet.problems)
    assert len(stored) + len(refused) == len(cells)
    return [stored.get(f"E{at}") or refused[at] for at in range(len(cells))], result


BOTH = "is day first in “20/11/2025” (row {}) and month first in “11/20/2025” (row {})"

COLUMNS: dict[str, tuple[Sequence[Any], list[dt.date | str], str]] = {
    "a first part over 12": (["05/11/2025", "20/11/2025"], [NOV_5, NOV_20], "proof"),
    "a second part over 12": (["05/11/2025", "11/20/2025"], [MAY_11, NOV_20], "proof"),
    "the same with other separators": (["05-11-2025", "11.20.2025"], [MAY_11, NOV_20], "proof"),
    "nothing": (["05/11/2025", "2025-11-20"], [NOV_5, NOV_20], "default"),
    "the year first": (["2025-05-11", "2025/11/20"], [MAY_11, NOV_20], ""),
    "the same both ways": (["11/11/2025"], [dt.date(2025, 11, 11)], ""),
    "both": (
        ["05/11/2025", "20/11/2025", "11/20/2025", "2025-11-20", "11/11/2025"],
        [BOTH.format(3, 4)] * 3 + [NOV_20, dt.date(2025, 11, 11)],
        "contradiction",
    ),
    "what is no day proves it, too": (["05/11/2025", "02/31/2025"], [MAY_11, "is not a day of the calendar"], "proof"),
    "real dates alone": ([MAY_11, NOV_20], [MAY_11, NOV_20], ""),
    "real dates beside texts with the year first": ([MAY_11, "2025-11-20"], [MAY_11, NOV_20], ""),
    "real dates beside texts that could have become some": ([MAY_11, "05/11/2025"], [MAY_11, NOV_5], "default"),
    "real dates beside texts that a month first program could not read": (
        [MAY_11, "20/11/2025", "05/11/2025", dt.date(2025, 11, 21), dt.date(2025, 11, 11)],
        ["is a real date beside the text “20/11/2025” (row 3)", NOV_20, NOV_5, dt.date(2025, 11, 21),
         dt.date(2025, 11, 11)],
        "proof",
    ),
    "real dates beside texts that a day first program could not read": (
        ["11/20/2025", MAY_11, "05/11/2025"],
        [NOV_20, "is a real date beside the text “11/20/2025” (row 2)", MAY_11],
        "proof",
    ),
    "real dates beside a text that is no day anywhere": ([MAY_11, "31/11/2025"], [MAY_11, "is not a day"], "proof"),
    "a date with a time proves it, too": (["05/11/2025", "11/20/2025 08:00"], [MAY_11, "is not a date"], "proof"),
    "so does one with a short year": (["05/11/2025", "11-20-25"], [MAY_11, "is not a date"], "proof"),
    "what looks a little like a date proves nothing": (
        ["05/11/2025", "11/20/2025 ?", "11/20/205", "11/20/2025 x", "05/11/2025 08:00"],
        [NOV_5, *["is not a date"] * 4],
        "default",
    ),
    "real dates beside a text with a time that a month first program could not read": (
        [MAY_11, "20/11/2025 00:00"],
        ["is a real date beside the text “20/11/2025 00:00” (row 3)", "is not a date"],
        "proof",
    ),
    "real dates beside both": (
        [MAY_11, "20/11/2025", "11/20/2025"],
        ["is a real date beside the text “20/11/2025” (row 3)", BOTH.format(3, 4), BOTH.format(3, 4)],
        "contradiction",
    ),
}  # fmt: skip


@pytest.mark.untraced
@pytest.mark.parametrize("name", COLUMNS)
def test_what_proves_the_order_counts_for_the_whole_column(register_db: str, name: str) -> None:
    cells, expected, by = COLUMNS[name]
    found, result = read(register_db, cells)
    for outcome, wanted in zip(found, expected, strict=True):
        assert wanted in outcome if isinstance(wanted, str) and isinstance(outcome, str) else outcome == wanted
    assert result.summary()["date_order_by"] == (by or None)


def test_a_proof_counts_for_rows_long_before_it(register_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "EVERY", 3)
    found, _result = read(register_db, ["05/11/2025"] * 10 + ["11/20/2025"])
    assert found == [MAY_11] * 10 + [NOV_20]
    found, result = read(register_db, ["05/11/2025"] * 10 + ["11/20/2025"] * 4 + ["20/11/2025"] + ["2025-11-20"])
    assert found[-1] == NOV_20
    assert result.sheet.rejected == 15
    notices = list(result.sheet.notices())
    assert notices == [
        "The dates are day first in “20/11/2025” (row 16) and month first in “11/20/2025” (row 12). Those that depend "
        "on the order are refused."
    ]


@pytest.mark.parametrize("date", ["20/11/2025", "11/20/2025"])
def test_attendance_above_the_heading_is_known_in_either_order(register_db: str, date: str) -> None:
    heading, above, below = (line[:7] for line in sheet(date, "05/11/2025"))
    with pytest.raises(SheetRefused, match="below attendance"):
        ImportService(register=Register(register_db)).apply(as_csv([above, heading, below]))


def test_rows_that_are_refused_for_another_reason_prove_it_as_well(register_db: str) -> None:
    lines = sheet("05/11/2025", "11/20/2025")
    lines[2][0] = ""
    result = ImportService(register=Register(register_db)).apply(as_csv(lines))
    assert AttendanceRecord.objects.using(register_db).get().date == MAY_11
    assert result.sheet.rejected == 1


def test_where_nothing_proves_it_the_preview_says_so_and_offers_the_other(register_db: str) -> None:
    file = as_csv(sheet("2025-11-20", "05/11/2025"))
    service = ImportService(register=Register(register_db))
    with service.preview(file) as preview:
        assert list(preview.sheet.notices()) == [
            "Nothing in the sheet tells whether its dates are day first or month first. They are read day first: "
            "“05/11/2025” (row 3) as 5 November 2025. Month first, it would be 11 May 2025."
        ]
        assert preview.sheet.dates.offered is MONTH
        assert (preview.summary()["date_order"], preview.summary()["date_order_by"]) == ("day", "default")
        digest = preview.plan_digest
    with service.preview(file, date_order=MONTH) as preview:
        assert list(preview.sheet.notices()) == [
            "The dates are read month first, as you chose: “05/11/2025” (row 3) as 11 May 2025. Day first, it would be "
            "5 November 2025."
        ]
        assert preview.sheet.dates.offered is DAY
        assert (preview.summary()["date_order"], preview.summary()["date_order_by"]) == ("month", "choice")
    with service.preview(file, date_order=DAY) as preview:
        assert "day first, as you chose" in next(preview.sheet.notices())
    with pytest.raises(DataMoved):
        service.apply(file, plan_digest=digest, date_order=MONTH)
    service.apply(file, plan_digest=digest)
    assert AttendanceRecord.objects.using(register_db).filter(date=NOV_5).exists()


@pytest.mark.parametrize(("order", "proof", "said"), [
    (MONTH, "20/11/2025", "The dates are to be read month first, which “20/11/2025” (row 3) cannot be."),
    (DAY, "11/20/2025", "The dates are to be read day first, which “11/20/2025” (row 3) cannot be."),
])  # fmt: skip
def test_a_choice_does_not_overrule_a_proof(register_db: str, order: DateOrder, proof: str, said: str) -> None:
    found, result = read(register_db, ["05/11/2025", proof], order)
    assert all("is to be read" in str(outcome) for outcome in found)
    assert next(result.sheet.notices()) == f"{said} Those that depend on the order are refused."
    assert result.sheet.dates.offered is order.other
    assert result.summary()["date_order"] is None
    found, result = read(register_db, ["05/11/2025", proof], order.other)
    assert result.sheet.rejected == 0
    assert result.sheet.dates.offered is None


def test_month_first_is_said_and_day_first_is_what_everybody_expects(register_db: str) -> None:
    _found, result = read(register_db, ["05/11/2025", "11/20/2025"])
    assert list(result.sheet.notices()) == ["The dates are read month first, as “11/20/2025” (row 3) has to be."]
    _found, result = read(register_db, ["05/11/2025", "20/11/2025"])
    assert list(result.sheet.notices()) == []


def test_real_dates_that_may_have_been_exchanged_are_said(register_db: str) -> None:
    _found, result = read(register_db, [MAY_11, "20/11/2025"])
    assert list(result.sheet.notices()) == [
        "Beside real dates there is the text “20/11/2025” (row 3), which the spreadsheet did not take for one. It may "
        "have exchanged day and month of those that it took, such as “2025-05-11” (row 2): they are refused."
    ]


def test_years_that_cannot_be_right(register_db: str) -> None:
    today = timezone.localdate()
    bounds = f"has a year before 1900 or after {today.year + 1}"
    cells = {
        "31-12-1899": bounds, "01-01-1900": dt.date(1900, 1, 1), "20-11-0025": bounds, "2206-11-20": bounds,
        f"{today.year + 1}-12-31": "is in the future", f"{today.year + 2}-01-01": bounds, "2025-00-10": "not a day",
        "00/05/2025": "not a day", "05/11/0000": "not a day", "20-11-25": "is not a date", "": "is blank",
    }  # fmt: skip
    found, result = read(register_db, list(cells))
    for outcome, expected in zip(found, cells.values(), strict=True):
        assert expected in outcome if isinstance(expected, str) and isinstance(outcome, str) else outcome == expected
    assert list(result.sheet.notices()) == []


@pytest.mark.parametrize("cells", [
    ["05/11/2025", "11/20/2025"],
    ["05/11/2025", "2025-11-20"],
    ["05/11/2025", "11/20/2025", "20/11/2025"],
    [MAY_11, "20/11/2025", dt.date(2025, 11, 21)],
    ["12/05/2999", "11/20/2025"],
])  # fmt: skip
@pytest.mark.parametrize("alone", [False, True])
def test_refused_rows_are_read_as_they_were_when_they_are_sent_again(
    register_db: str, cells: list[Any], *, alone: bool
) -> None:
    """Although what proved the order is not among them. What was not certain stays so."""
    lines = sheet(*cells)
    for line in lines[1:2] if alone else lines[1:]:
        line[6] = "?"
    file = (as_xlsx if isinstance(cells[0], dt.date) else as_csv)(lines)
    service = ImportService(register=Register(register_db))
    out = io.BytesIO()
    with service.preview(file) as preview:
        write_refused(file, preview.sheet, out)
        refused = {p.row for p in preview.sheet.problems if p.column == "DATE"}
    again = io.BytesIO(b"\n".join(out.getvalue().replace(b"?,09:00", b"P,09:00").splitlines()[:2]) + b"\n")
    result = service.apply(again)
    stored = [record.date for record in AttendanceRecord.objects.using(register_db)]
    expected, _result = read(register_db, cells)
    assert stored == ([] if 2 in refused else expected[:1])
    assert result.sheet.rejected == (2 in refused)
