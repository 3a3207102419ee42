"""The history in a browser: which snapshots there are, and what changed in one."""

from __future__ import annotations

import datetime as dt

import pytest
from playwright.sync_api import expect

from recordsync.history.headers import Rename
from recordsync.models import Node, Snapshot
from tests.browser.conftest import PHONE, OpenAs
from tests.builders.people import World
from tests.running.snapshots import NOON, Week, snapshot, tree

LONG = "Büro & Söhne <Bau> " + "W" * 60
FIRST: dict[Week, list[str]] = {
    (LONG, f"2026-{month:02}", "01"): [f"{month} {number}" for number in range(1200)] for month in range(1, 7)
} | {("Asha Builders", "2026-11", "15"): ["1"]}
SECOND = FIRST | {("Asha Builders", "2026-11", "15"): ["other", "more"], (LONG, "2026-03", "01"): ["only"]}
del SECOND[LONG, "2026-05", "01"]


@pytest.fixture
def chain(world: World) -> list[Snapshot]:
    """Three snapshots; the first is not kept any more."""
    none = snapshot("default", tree("default", {}), message="2026-10-31T23:59:59 " + "x" * 80 + ".json.zst", at=NOON)
    first = snapshot("default", tree("default", FIRST), [none], cause="before_rename_company", at=NOON)
    last = snapshot(
        "default", tree("default", SECOND), [first], cause="import", author="Meenakshi Sundaram-Krishnamurthy",
        message="november.xlsx", at=NOON + dt.timedelta(days=1), renames=[Rename("companies", "Asha & Sons", LONG)],
    )  # fmt: skip
    Snapshot.objects.filter(pk=none.pk).update(is_kept=False)
    Snapshot.objects.filter(pk=first.pk).update(left_at=NOON)
    return [none, first, last]


@pytest.mark.parametrize("javascript", [True, False])
def test_the_list_leads_to_what_changed(chain: list[Snapshot], open_as: OpenAs, javascript: bool) -> None:
    opened = open_as("root", width=PHONE, javascript=javascript)
    page = opened.go("/history/")
    assert page.title().endswith("History · Muster")
    rows = page.get_by_role("table", name="Snapshots").locator("tbody tr")
    expect(rows).to_have_count(3)
    expect(rows.nth(0)).to_contain_text("Current")
    expect(rows.nth(0)).to_contain_text("Import")
    expect(rows.nth(1)).to_contain_text("Before the renaming of a company")
    expect(rows.nth(1)).not_to_contain_text("Current")
    expect(rows.nth(2)).to_contain_text("Not kept any more")
    if javascript:
        opened.look("history")
    page.get_by_role("table", name="Snapshots").get_by_role("link", name="2026-11-21").click()
    expect(page.locator("h1")).to_contain_text(f"Snapshot {chain[2].pk[:10]}")
    expect(page.locator("h2")).to_have_text(f"What changed since {chain[1].pk[:10]}")
    expect(page.locator("main")).to_contain_text(f"Asha & Sons was renamed to {LONG}.")
    of_long = page.locator("tbody tr", has_text="Büro")
    expect(of_long).to_contain_text("2026-03, 2026-05")
    expect(of_long).to_contain_text("-2,399")
    expect(page.locator("nav [aria-current=page]")).to_have_text("History")
    if javascript:
        opened.look("snapshot")
    page.get_by_role("link", name=chain[1].pk[:10]).click()
    expect(page.locator("main [role=alert]")).to_contain_text("So nothing tells what changed after it.")
    if javascript:
        opened.look("snapshot-unknown")


def test_a_lost_store_leaves_the_list(chain: list[Snapshot], open_as: OpenAs) -> None:
    Node.objects.using("history").all().delete()
    page = open_as("root").go("/history/")
    table = page.get_by_role("table", name="Snapshots")
    expect(table.locator("tbody tr")).to_have_count(3)
    assert table.inner_text().count("Lost") == 2
    page.get_by_role("table", name="Snapshots").get_by_role("link", name="2026-11-21").click()
    expect(page.locator("main [role=alert]")).to_contain_text("the store was deleted, or is another copy's")


def test_an_empty_history(world: World, open_as: OpenAs) -> None:
    opened = open_as("root", width=PHONE)
    expect(opened.go("/history/").locator("main")).to_contain_text("There are no snapshots yet.")
    opened.look("history-empty")
