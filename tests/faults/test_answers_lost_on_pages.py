"""What people save at pages, on a PostgreSQL that takes the answer to COMMIT with it; jobs and sheets among it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.test_worker_killed import DECIDE, SHEET, UPLOAD, WORK, shell
from tests.running import commands, inspection
from tests.running.installation import NewInstallation, ScratchInstallation
from tests.running.wire import Wire, wired

pytestmark = pytest.mark.postgres

SIGNED_IN = """
from django.test import Client
from django.urls import reverse
from core.models import Company, Operation, User
client = Client(headers={"host": "localhost"})
rights = {"role": "root", "is_staff": True, "is_superuser": True}
client.force_login(User.objects.get_or_create(username="meena", defaults=rights)[0])
def post(page, **data):
    answer = client.post(reverse(page), data, follow=True)
    print(answer.status_code, answer.content.decode())
"""
PAGES = {
    "account": (
        'post("add_user", username="new", role="root", password="a long password 1", is_active="on")',
        'User.objects.filter(username="new").exists()',
    ),
    "administration": ('post("admin:core_company_add", name="New")', 'Company.objects.filter(name="New").exists()'),
    "job": ('post("backup_data", backup_type="full")', 'Operation.objects.filter(kind="backup_full").exists()'),
}


@pytest.fixture
def over_wire(new_installation: NewInstallation) -> Iterator[tuple[Wire, ScratchInstallation]]:
    installation = new_installation("postgres")
    with wired(installation.database_url) as (wire, url):
        installation.env |= {"DATABASE_URL": url, "SAVE_WAIT_SECONDS": "0", "LOCK_WAIT_SECONDS": "0", "DEBUG": "1"}
        yield wire, installation


@pytest.mark.parametrize("way", ["lose_answer", "lose_commit", "lose_server"])
@pytest.mark.parametrize("page", PAGES)
def test_a_page_says_what_is_so(over_wire: tuple[Wire, ScratchInstallation], page: str, way: str) -> None:
    wire, installation = over_wire
    action, is_done = PAGES[page]
    wire.arm(getattr(wire, way))
    told = shell(installation, SIGNED_IN + action)
    assert wire.acted
    wire.open = True
    done = shell(installation, f"from core.models import *\nprint({is_done})").strip()
    if way == "lose_answer":
        assert told.startswith("200 "), told[:500]
        assert done == "True"
    elif way == "lose_commit":
        assert "othing was" in told, told
        assert done == "False"
    else:
        # Where the page itself needs the database, it says as much.
        assert "It is not known whether this was" in told or "Check whether it was done" in told, told
        assert "othing was" not in told
        assert done == "True"


def test_a_sheet_whose_import_was_committed_is_imported(over_wire: tuple[Wire, ScratchInstallation]) -> None:
    """Sent and decided, each with its answer lost; and imported, with the server lost."""
    wire, installation = over_wire
    wire.arm(wire.lose_answer)
    shell(installation, SHEET)
    assert commands.end(commands.injected(installation, "", *WORK)).code == 0
    wire.arm(wire.lose_answer)
    assert "checked" in shell(installation, UPLOAD + DECIDE)
    # So that the snapshot before has nothing to commit.
    assert commands.end(commands.injected(installation, "", "backup_data")).code == 0
    wire.arm(wire.lose_server, after=1)  # that of the blocks of the snapshot after it
    ended = commands.end(commands.injected(installation, "", *WORK))
    assert wire.acted, ended
    wire.open = True
    assert shell(installation, UPLOAD).startswith("imported "), ended
    assert inspection.last_log(installation).success
    inspection.accounts(installation).assert_settled()
