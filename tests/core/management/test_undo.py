"""``manage.py undo``."""

from __future__ import annotations

import json

from core.models import Kind
from tests.running import inspection
from tests.running.commands import run
from tests.running.installation import NewInstallation


def test_undo_redo_and_what_is_refused(new_installation: NewInstallation) -> None:
    installation = new_installation("sqlite")
    run(installation, "undo").assert_refused("No restore, import or the like is recorded here yet.")
    assert run(installation, "seed_demo", "--companies", "2", "--records", "40", "--quiet").code == 0
    before = inspection.content_of(installation)
    not_confirmed = run(installation, "undo")
    assert not_confirmed.code == 1
    assert "It was not confirmed. Nothing was changed. Say --yes to do this." in not_confirmed.err
    assert "40 to delete" in not_confirmed.out
    preview = run(installation, "undo", "--preview")
    assert preview.code == 0
    assert "This is a change like any other" in preview.out
    assert "delete" in preview.out.splitlines()[-3]
    assert inspection.content_of(installation) == before
    assert run(installation, "undo", "--yes", "--preview").code == 2
    assert run(installation, "undo", "nothing").code == 2
    done = run(installation, "undo", "--yes", "--json")
    said = json.loads(done.out)
    assert (said["ok"], said["operation"], said["deleted"], said["id"]) == (True, Kind.UNDO, 40, None)
    assert inspection.content_of(installation) != before
    moves = json.loads(run(installation, "history", "--json").out)["moves"]
    assert moves[0]["of"].startswith("Demo register by root (")
    assert f"root: Undo ({moves[0]['of']})" in run(installation, "history").out
    again = run(installation, "undo", moves[0]["operation"], "--yes")
    assert again.code == 0
    assert inspection.content_of(installation) == before
