"""The pictures of the guides, of synthetic registers: ``MUSTER_SCREENSHOTS=docs/images`` renews them.

MUSTER_TEST_DEEP=1 MUSTER_SCREENSHOTS=docs/images .venv/bin/python -m pytest tests/browser/test_guide.py
"""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

import pytest
from django.utils import timezone
from playwright.sync_api import Page

from core.backups.backup_service import BackupService
from core.demo.generator import DemoPlan
from core.demo.service import DemoService
from core.models import AttendanceRecord, Installation
from tests.browser.conftest import SCREENSHOTS, OpenAs
from tests.browser.test_restore_wizard import uploaded
from tests.builders.people import World
from tests.running.installation import PROJECT
from tests.running.office import from_the_office
from tests.running.work_queue import work

PICTURES = {
    "restore-guide": (
        "guide-backup", "guide-check", "guide-preview", "guide-decide", "guide-summary", "guide-refused"
    ),
    "register": (
        "register-dashboard", "register-roll", "register-select", "register-closed", "register-employee",
        "register-exceptions",
    ),
}  # fmt: skip
"""By the page of the documentation that shows them."""


def said_in_the_code() -> str:
    """The source of the services, views and templates, with what is one text written as one."""
    files = [path for kind in ("*.py", "*.html") for path in (PROJECT / "core").rglob(kind)]
    text = "\n".join(path.read_text(encoding="utf-8") for path in files)
    return re.sub(r'"\s*\n\s*f?"', "", text)


def test_troubleshooting_quotes_what_people_see() -> None:
    guide = (PROJECT / "docs/restore-guide.md").read_text(encoding="utf-8")
    messages = re.findall(r"^\| (.+?) \| .+ \|$", guide.partition("## What a message means")[2], re.MULTILINE)[1:]
    assert len(messages) > 15
    code = said_in_the_code()
    for message in messages:
        for part in message.split("…"):
            # What was not changed is said by whoever tells it.
            assert part.strip() in code or part.removesuffix("Nothing was changed.").strip() in code, message


def picture(page: Page, name: str, height: int) -> None:
    """Of the upper part of a page; small, because it is in the repository."""
    assert any(name in of_page for of_page in PICTURES.values())
    page.set_viewport_size({"width": 1000, "height": height})
    page.evaluate("document.activeElement && document.activeElement.blur()")
    page.evaluate("window.scrollTo(0, 0)")
    if SCREENSHOTS:
        page.screenshot(path=Path(SCREENSHOTS) / f"{name}.png")


@pytest.mark.parametrize(("guide", "pictures"), PICTURES.items())
def test_a_guide_shows_each_picture_and_each_is_small(guide: str, pictures: tuple[str, ...]) -> None:
    text = (PROJECT / f"docs/{guide}.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"\(images/([a-z-]+)\.png\)", text)) == sorted(pictures)
    for name in pictures:
        assert (PROJECT / f"docs/images/{name}.png").stat().st_size < 120_000


@pytest.mark.deep
def test_the_pictures(world: World, open_as: OpenAs, tmp_path: Path, settings: object) -> None:
    settings.DATA_DIR = tmp_path  # type: ignore[attr-defined]
    path = tmp_path / "site-a.json"
    path.write_bytes(from_the_office(world.own))
    BackupService().create_backup()
    opened = open_as("root")
    page = opened.go("/backup/")
    picture(page, "guide-backup", 720)
    uploaded(opened, path)
    picture(page, "guide-check", 380)
    page.click("text=Look at what would change")
    page.click("article >> button:has-text('Keep what is here') >> nth=0")
    assert page.locator("text=Backup from Site A office PC").is_visible()
    picture(page, "guide-preview", 830)
    if SCREENSHOTS:
        page.locator("article").first.screenshot(path=Path(SCREENSHOTS) / "guide-decide.png")
    page.click("text=Apply to this register")
    work()
    page.goto(page.url)
    page.locator("text=Done.").wait_for()
    picture(page, "guide-summary", 700)
    assert AttendanceRecord.objects.get(ep_no="A002", company=world.own).shift == "G3", "as it was decided"
    path.write_bytes(path.read_bytes().replace(b'"status":"P"', b'"status":"X"', 1))
    uploaded(opened, path)
    picture(page, "guide-refused", 480)


@pytest.mark.deep
def test_the_pictures_of_the_register(transactional_db: None, open_as: OpenAs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timezone, "localdate", lambda: dt.date(2026, 11, 27))
    DemoService().seed(
        DemoPlan(companies=12, records=48_000, seed=1, until=dt.date(2026, 11, 26)), password="synthetic-demo"
    )
    Installation.objects.update(name="Head office server")
    opened = open_as("root")
    page = opened.go("/")
    page.get_by_text("Missing punch").wait_for()
    picture(page, "register-dashboard", 760)
    page = opened.go("/roll/")
    picture(page, "register-roll", 700)
    page.click("text=Select days")
    for number in (2, 3, 4):
        page.locator("tbody tr").nth(number).locator("td a").nth(17).click()
    page.locator("tbody th").nth(6).click()
    page.select_option("#bulk-edit [name=status]", "L")
    picture(page, "register-select", 620)
    page.locator("tbody th a").nth(2).evaluate("link => location.assign(link.href)")
    page.wait_for_url("**/people/**")
    picture(page, "register-employee", 700)
    picture(opened.go("/exceptions/"), "register-exceptions", 620)
    page = opened.go("/roll/?month=2026-10")
    page.get_by_role("link", name="Close…").click()
    if (box := page.get_by_role("checkbox")).count():
        box.check()
    page.get_by_role("button", name="Close the month").click()
    roll = page.url
    company, month = re.findall(r"/roll/(\d+)/(\d+-\d+)/", roll)[0]
    changed = AttendanceRecord.objects.filter(company=company, date__startswith=month, status="A")[:3]
    AttendanceRecord.objects.filter(pk__in=[one.pk for one in changed]).update(status="P")
    page.goto(roll)
    page.locator("summary", has_text="Show what differs").click()
    picture(page, "register-closed", 640)
