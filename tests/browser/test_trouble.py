"""What a person sees while somebody holds the register, and of a sheet that no worker has begun."""

from __future__ import annotations

import datetime as dt

from django.utils import timezone
from django_tasks_db.models import DBTaskResult
from pytest_django import Settings

from tests.browser.conftest import OpenAs
from tests.builders.people import World
from tests.builders.sheets import as_csv, row, table
from tests.running.holder import held
from tests.running.work_queue import work


def test_while_somebody_holds_the_register(world: World, open_as: OpenAs, settings: Settings) -> None:
    settings.SAVE_WAIT_SECONDS = 0.2
    opened = open_as("root")
    opened.allowed.add(503)
    page = opened.go(f"/attendance/{world.record.pk}/edit/")
    with held("default"):
        page.fill("#id_ep_name", "typed")
        page.click("button:text-is('Save')")
        page.locator("[role=alert]", has_text="meena has been running a restore since").wait_for()
        assert page.input_value("#id_ep_name") == "typed"
        opened.look("held-form")
        opened.go("/admin/core/company/add/")
        page.fill("#id_name", "Typed")
        page.click("input[name=_save]")
        page.locator("main", has_text="This was not done").wait_for()
        assert "Your browser still has what you typed" in page.inner_text("main")
        opened.look("held-page")
        page.go_back()
        assert page.input_value("#id_name") == "Typed"
    page.click("input[name=_save]")
    page.locator("text=was added successfully").wait_for()


def test_a_sheet_that_no_worker_begins(world: World, open_as: OpenAs) -> None:
    opened = open_as("root")
    page = opened.go("/upload/")
    buffer = as_csv(table(row())).getvalue()
    page.set_input_files("#id_file", {"name": "november.csv", "mimeType": "text/csv", "buffer": buffer})
    page.click("text=Check the sheet")
    task = DBTaskResult.objects.using("jobs")
    task.update(enqueued_at=timezone.now() - dt.timedelta(minutes=1))
    page.locator("main", has_text="No worker has started this yet").wait_for()
    opened.look("sheet-without-worker")
    task.update(status="FAILED")
    page.locator("main", has_text="The worker was killed before it began").wait_for()
    opened.look("sheet-never-begun")
    page.click("button:text-is('Try again')")
    page.locator("main", has_text="Waiting to be checked").wait_for()
    work()
    page.locator("button", has_text="Import 1 row").wait_for()
