"""A month on paper and as a workbook: the same cells, by each profile, and the proof code of the month."""

from __future__ import annotations

import csv
import datetime as dt
import re
import shutil
import subprocess
from html import unescape
from io import BytesIO
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from django.test import Client
from django.utils import timezone

from core.attendance.prints import PROFILES
from core.history.fingerprint import take_fingerprint
from core.models import AttendanceRecord
from core.operations.wording import proof_code
from core.sheets.cell_text import read_text
from tests.builders.people import World, make_world

pytestmark = pytest.mark.django_db(databases=["default", "jobs", "history"])

NAMES = ("=1+1", "<b>Meena</b>", "+cmd|' /C calc'!A0", "@SUM(A1)", "Ravi\nRao", "&P", "Ünal")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(timezone, "localdate", lambda: dt.date(2026, 11, 25))
    world = make_world()
    world.own.name = "=HYPERLINK(1) & Sons"
    world.own.save()
    for at, name in enumerate(NAMES):
        for day, status in {1: "P", 2: "-0.5", 3: "A", 24: "PH", 28: "L"}.items():
            AttendanceRecord.objects.create(
                company=world.own, ep_no=f"-{at}", ep_name=name, date=dt.date(2026, 11, day), status=status, shift="N",
                in_time=dt.time(20, 5) if day == 1 else None, out_time_2=dt.time(6) if day == 1 else None, overtime=95,
            )  # fmt: skip
    return world


def signed_in(world: World, who: str = "root") -> Client:
    client = Client()
    client.force_login(world.people[who])
    return client


def on_page(page: str) -> list[list[str]]:
    """The cells of the rows and of the sums, as a person reads them."""
    body = page[page.index("<tbody>") : page.index("</table>")].replace("<br>", "\n")
    rows = [re.findall("<td.*?</td>", row, re.DOTALL) for row in re.findall("<tr>.*?</tr>", body, re.DOTALL)]
    return [[unescape(re.sub("<[^>]+>", "", cell)).strip() for cell in row] for row in rows]


def in_workbook(content: bytes) -> tuple[Any, list[list[str]]]:
    sheet = openpyxl.load_workbook(BytesIO(content)).active
    top = int(sheet.print_title_rows.split("$")[-1])
    rows = []
    for cells in sheet.iter_rows(min_row=top + 1):
        assert all(cell.data_type in ("s", "n") for cell in cells), "a formula"
        if not any(cell.border.left.style for cell in cells):
            break
        rows.append(["" if cell.value is None else cell.value for cell in cells])
    return sheet, [[read_text(cell)[0] if isinstance(cell, str) else f"{cell:g}" for cell in row] for row in rows]


QUERIES = [*(f"profile={one.key}" for one in PROFILES), "profile=custom&column=name&column=codes&blank=Sex,=1"]


@pytest.mark.parametrize("query", QUERIES)
def test_paper_and_workbook_have_the_same_cells(world: World, query: str) -> None:
    client, address = signed_in(world), f"/roll/{world.own.pk}/2026-11"
    page = client.get(f"{address}/print/?{query}&paper=a3").content.decode()
    response = client.get(f"{address}/workbook/?{query}&paper=a3")
    sheet, cells = in_workbook(response.content)
    shown_cells = on_page(page)
    assert shown_cells[-1][0] in ("All", "")
    shown_cells[-1][0] = ""
    assert cells == shown_cells
    assert len(cells) == 11 + len(NAMES) + 1
    assert (sheet.page_setup.orientation, int(sheet.page_setup.paperSize)) == ("landscape", 8)
    assert "&P / &N" in sheet.oddFooter.right.text
    assert "Prepared by" in page


def test_a_form_says_what_the_register_holds(world: World) -> None:
    client, address = signed_in(world), f"/roll/{world.own.pk}/2026-11/print/"
    [xvi] = [row for row in on_page(client.get(f"{address}?profile=form-xvi&q=-1").content.decode()) if row[1] == "-1"]
    assert xvi[:8] == ["1", "-1", "<b>Meena</b>", "", "", "P", "½", "A"]
    assert xvi[5 + 27 : 5 + 30] == ["L", "", ""]  # the future is printed, and counted nowhere
    assert xvi[-1] == ""
    [form_d] = [row for row in on_page(client.get(f"{address}?profile=form-d&q=-1").content.decode()) if row[0] == "-1"]
    assert form_d[:6] == ["-1", "<b>Meena</b>", "N", "", "20:05\n06:00", "½"]
    assert form_d[-3:] == ["1.5", "", ""]
    [plain] = [row for row in on_page(client.get(f"{address}?q=-1").content.decode()) if row[0] == "-1"]
    assert plain[-9:] == ["1", "1", "0", "1", "0", "1", "21", "6:20", "1.5"]


def test_a_form_is_offered_from_the_month_of_its_rule_on(world: World) -> None:
    client = signed_in(world)
    offered = {}
    for month in ("1971-01", "1971-02", "2017-01", "2017-02"):
        page = client.get(f"/roll/{world.own.pk}/{month}/print/").content.decode()
        choice = page[page.index('<select name="profile"') :]
        offered[month] = re.findall(r'<option value="([a-z-]+)"', choice[: choice.index("</select>")])
    assert offered == {
        "1971-01": ["plain", "custom"],
        "1971-02": ["plain", "form-xvi", "custom"],
        "2017-01": ["plain", "form-xvi", "custom"],
        "2017-02": ["plain", "form-xvi", "form-d", "custom"],
    }
    page = client.get(f"/roll/{world.own.pk}/2016-01/print/?profile=form-d&paper=a5").content.decode()
    assert '<h1 class="h5 mb-0">Muster roll</h1>' in page  # what is not offered is as if it were not chosen


def test_the_proof_code_is_the_fingerprint_of_the_month(world: World) -> None:
    address = f"/roll/{world.own.pk}/2026-11/print/"
    [part] = [part for part in take_fingerprint(world.own.name, "2026-11").parts if part.month == "2026-11"]
    assert part.records
    for who in ("root", "admin"):
        assert proof_code(part.digest) in signed_in(world, who).get(address).content.decode()
    assert proof_code(part.digest) in signed_in(world).get(f"{address}?q=nobody").content.decode()
    supervisor = signed_in(world, "user1").get(address).content.decode()
    assert proof_code(part.digest) not in supervisor
    assert "There is no proof code. This account does not see all days." in supervisor
    AttendanceRecord.objects.filter(company=world.own, ep_no="-1", date__day=1).update(overtime=96)
    assert proof_code(part.digest) not in signed_in(world).get(address).content.decode()


SOFFICE = shutil.which("soffice")


@pytest.mark.deep
@pytest.mark.skipif(SOFFICE is None, reason="LibreOffice is not installed (libreoffice-calc-nogui)")
@pytest.mark.parametrize("query", QUERIES)
def test_libreoffice_shows_the_same_cells(world: World, query: str, tmp_path: Path) -> None:
    """Another program than the one that wrote it opens the workbook, and calculates nothing."""
    content = signed_in(world).get(f"/roll/{world.own.pk}/2026-11/workbook/?{query}&paper=a4").content
    sheet, cells = in_workbook(content)
    (tmp_path / "roll.xlsx").write_bytes(content)
    command = [str(SOFFICE), "--headless", f"-env:UserInstallation=file://{tmp_path}/profile"]
    command += ["--convert-to", "csv:Text - txt - csv (StarCalc):44,34,76,1", "--outdir", str(tmp_path)]
    subprocess.run([*command, str(tmp_path / "roll.xlsx")], check=True, capture_output=True, timeout=120)
    with (tmp_path / "roll.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    top = int(sheet.print_title_rows.split("$")[-1])
    assert [[read_text(cell)[0] for cell in row] for row in rows[top : top + len(cells)]] == cells
