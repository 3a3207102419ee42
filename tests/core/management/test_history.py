"""``history`` as somebody uses it who wants to know what happened to the register."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from core.models import AttendanceRecord, Kind
from recordsync.history.databases import history_of
from recordsync.history.headers import Rename
from recordsync.models import Node, Snapshot
from tests.core.management.test_backup_data import KEYS
from tests.faults.test_held_register import SIGNED_IN
from tests.running.commands import run
from tests.running.installation import ScratchInstallation
from tests.running.server import serving
from tests.running.snapshots import Week, snapshot, tree

OCTOBER: dict[Week, Sequence[str]] = {("ABC\u202eCorp", "2026-10", "22"): ["1", "2"]}
NOVEMBER = {**OCTOBER, ("ABC\u202eCorp", "2026-11", "01"): ["3"], ("XYZ Ltd", "2026-11", "08"): ["4"]}
LAST = {**NOVEMBER, ("ABC\u202eCorp", "2026-10", "22"): ["1", "other", "5"]}
del LAST["XYZ Ltd", "2026-11", "08"]


@pytest.fixture
def chain(installation: ScratchInstallation) -> list[str]:
    """The ids of three snapshots."""
    with installation.opened() as alias:
        first = snapshot(alias, tree(alias, OCTOBER), message="a\nfile.json")
        second = snapshot(alias, tree(alias, NOVEMBER), [first], cause="restore")
        third = snapshot(alias, tree(alias, LAST), [second], cause="before_import", author="meena")
        return [first.pk, second.pk, third.pk]


def test_the_list(installation: ScratchInstallation, chain: list[str]) -> None:
    first, second, third = (pk[:10] for pk in chain)
    when = "2026-11-20 12:00 UTC"
    done = run(installation, "history")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        "3 snapshots, newest first (* is what the register is at):",
        f"* {third}  number 3  {when}  meena: Before an import (Site A)  4 records",
        f"  {second}  number 2  {when}  root: Restore (Site A)  4 records",
        f"  {first}  number 1  {when}  root: Full backup (Site A)  2 records",
        "3 moves of the head, newest first:",
        f"  {second} → {third}  {when}  meena: Before an import",
        f"  {first} → {second}  {when}  root: Restore",
        f"  nothing → {first}  {when}  root: Full backup",
    ]
    some = run(installation, "history", "--limit", "2").out.splitlines()
    assert (len(some), some[3], some[-1]) == (
        8,
        "  … and 1 more: --limit 4 or --all",
        "  … and 1 more: --limit 4 or --all",
    )
    assert run(installation, "history", "--all").out == done.out


def test_what_changed(installation: ScratchInstallation, chain: list[str]) -> None:
    first, second, third = chain
    done = run(installation, "history", "show", third[:12])
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        f"Snapshot {third}",
        "  number 3  2026-11-20 12:00 UTC  meena: Before an import (Site A)  4 records",
        f"  parent {second}",
        f"Since {second[:10]}:",
        "  companies: 2 before, 1 after",
        "  ABC\\u202eCorp, 2026-10: 1 week changed (2 → 3 records)",
        "  XYZ Ltd, 2026-11: 1 week gone (1 record)",
    ]
    assert run(installation, "history", "show", first.upper()).out.splitlines()[2:] == [
        "  a\\nfile.json",
        "It is the first one:",
        "  companies: 0 before, 1 after",
        "  ABC\\u202eCorp, 2026-10: 1 week new (2 records)",
    ]


def test_renamed_companies_are_named(small_sqlite: ScratchInstallation) -> None:
    renames = [Rename("companies", "ABC\u202eCorp", "ABC Ltd")]
    with small_sqlite.opened() as alias:
        pk = snapshot(alias, tree(alias, {}), renames=renames).pk
    assert "  ABC\\u202eCorp was renamed to ABC Ltd" in run(small_sqlite, "history", "show", pk).out.splitlines()
    said = json.loads(run(small_sqlite, "history", "show", pk, "--json").out)["snapshot"]
    assert said["renames"] == [{"before": "ABC\u202eCorp", "after": "ABC Ltd"}]


def test_the_json_summaries(installation: ScratchInstallation, chain: list[str]) -> None:
    said = json.loads(run(installation, "history", "--json", "--limit", "2").out)
    assert set(said) == KEYS | {"snapshots", "snapshots_total", "moves", "moves_total", "warnings"}
    assert (said["ok"], said["operation"]) == (True, "history")
    assert (said["snapshots_total"], said["moves_total"], said["warnings"]) == (3, 3, [])
    assert [one["id"] for one in said["snapshots"]] == chain[:0:-1]
    assert said["snapshots"][0] | {"tree": ""} == {
        "id": chain[2], "parents": [chain[1]], "tree": "", "number": 3, "moment": "2026-11-20T12:00:00.000000Z",
        "author": "meena", "installation": "Site A", "cause": "before_import", "message": "", "renames": [],
        "left_at": None,
        "is_head": True, "can_be_shown": True, "companies": 1, "records": 4,
    }  # fmt: skip
    assert said["moves"][-1] == {
        "before": chain[0], "after": chain[1], "cause": "restore", "actor": "root",
        "moment": said["moves"][0]["moment"], "operation": None, "of": "", "closed": None,
    }  # fmt: skip
    said = json.loads(run(installation, "history", "show", chain[1], "--json").out)
    assert set(said) == KEYS | {
        "snapshot",
        "parent",
        "companies_changed",
        "closed_months_changed",
        "changes",
        "warnings",
    }
    assert (said["records"], said["companies"], said["parent"]["id"]) == (4, 2, chain[0])
    none = {"blocks": 0, "records": 0}
    added = {"added": {"blocks": 1, "records": 1}, "gone": none}
    assert said["companies_changed"] is True
    assert said["changes"] == [
        {
            "company": name,
            "month": "2026-11",
            "changed": {"blocks": 0, "records_before": 0, "records_after": 0},
            **added,
        }
        for name in ("ABC\u202eCorp", "XYZ Ltd")
    ]


def test_what_backups_leave_stands_on_the_pages(small_sqlite: ScratchInstallation, static_files: Path) -> None:
    """From two backups and an edit between them, by way of the summary, to the pages that root sees."""
    installation, files = small_sqlite, []
    for number in range(2):
        path = installation.folder / f"{number}.json"
        assert run(installation, "backup_data", "--output", path, "--quiet").code == 0
        files.append(json.loads(path.read_bytes())["metadata"]["snapshot"])
        with installation.opened() as alias:
            edited = AttendanceRecord.objects.using(alias).select_related("company").earliest("pk")
            edited.ep_name = f"Name {number}"
            edited.save(using=alias)
    said = json.loads(run(installation, "history", "--json").out)
    last, first = said["snapshots"]
    assert [first["id"], last["id"]] == [file["id"] for file in files]
    assert (first["parents"], last["parents"]) == ([], [first["id"]])
    assert all(one["left_at"] and one["can_be_shown"] and one["cause"] == Kind.BACKUP_FULL for one in (first, last))
    assert (first["records"], last["records"], last["is_head"], first["is_head"]) == (100, 100, True, False)
    assert [(move["before"], move["after"]) for move in said["moves"]] == [
        (first["id"], last["id"]),
        (None, first["id"]),
    ]
    changed = json.loads(run(installation, "history", "show", last["id"][:10], "--json").out)["changes"]
    assert [(one["company"], one["month"], one["changed"]["blocks"]) for one in changed] == [
        (edited.company.name, f"{edited.date:%Y-%m}", 1)
    ]
    cookies = f"sessionid={run(installation, 'shell', '--no-imports', '-c', SIGNED_IN).out.strip()}"
    with serving(installation, static_files) as server:
        listed, shown = (
            server.ask("GET", path, headers={"Cookie": cookies}).body.decode()
            for path in ("/history/", f"/history/{last['id']}/")
        )
    for one in (last, first):
        assert f'href="/history/{one["id"]}/"' in listed
    assert listed.index("Current</span>") < listed.index(first["id"]), "it is beside the last one"
    assert f"What changed since {first['id'][:10]}" in shown
    assert '<td data-label="Weeks changed" class="text-end">1</td>' in shown
    restore = ("restore_data", "--input", installation.folder / "0.json", "--strategy", "backup_wins", "--quiet")
    assert run(installation, *restore).code == 0
    after = json.loads(run(installation, "history", "--json", "--limit", "1").out)["snapshots"][0]
    assert (after["cause"], after["message"]) == (Kind.RESTORE, "0.json"), "not where the file was: this travels"


def test_what_is_not_at_hand_is_told(installation: ScratchInstallation, chain: list[str]) -> None:
    with installation.opened() as alias:
        Snapshot.objects.using(alias).filter(pk=chain[0]).update(is_kept=False)
        tree_of_last = Snapshot.objects.using(alias).get(pk=chain[2]).tree
        Node.objects.using(history_of(alias)).filter(digest=tree_of_last).delete()
    listed = run(installation, "history")
    assert (listed.code, listed.err) == (0, "")
    assert [line.endswith("cannot be shown any more") for line in listed.out.splitlines()[1:4]] == [True, False, True]
    done = run(installation, "history", "show", chain[1])
    assert done.code == 0
    assert f"Warning: The contents of snapshot {chain[0][:10]} are not kept any more" in done.err
    done = run(installation, "history", "show", chain[2], "--json")
    assert done.code == 0
    (warning,) = json.loads(done.out)["warnings"]
    assert warning.startswith(f"The history store does not have the contents of snapshot {chain[2][:10]}")


def test_an_empty_history(installation: ScratchInstallation) -> None:
    done = run(installation, "history")
    assert (done.code, done.err) == (0, "")
    assert done.out == "There are no snapshots yet. The first one is taken with the next backup, restore or import.\n"
    assert json.loads(run(installation, "history", "--json").out)["snapshots"] == []


def test_a_history_database_that_does_not_answer(small_sqlite: ScratchInstallation) -> None:
    with small_sqlite.opened() as alias:
        one = snapshot(alias, tree(alias, OCTOBER)).pk
    lost = small_sqlite.folder / "nowhere" / "history.sqlite3"
    small_sqlite.env["HISTORY_DATABASE_URL"] = f"sqlite:///{lost}"
    done = run(small_sqlite, "history")
    assert done.code == 0
    assert "  root: Full backup (Site A)  cannot be shown now\n" in done.out
    told = f"The history database ({lost}) failed; the register is not concerned. The database file cannot be opened"
    assert f"Warning: {told}" in done.err
    run(small_sqlite, "history", "show", one).assert_refused(told)


def test_what_is_used_wrongly_is_refused(small_sqlite: ScratchInstallation) -> None:
    for args, sentence in (
        (["show"], "show needs the ID of a snapshot"),
        (["show", "no id"], "'no id' is not the beginning of an id"),
        (["show", ""], "'' is not the beginning of an id"),
        (["show", "0" * 65], "is not the beginning of an id"),
        (["show", "00", "--all"], "--limit, --all and --size are for the list"),
        (["hide"], "invalid choice: 'hide'"),
        (["--limit", "0"], "'0' is not a number from 1 on"),
        (["--limit", "٣"], "is not a number from 1 on"),
        (["--limit", "3", "--all"], "not allowed with"),
    ):
        done = run(small_sqlite, "history", *args)
        assert done.code == 2, args
        assert sentence in done.err, args
    run(small_sqlite, "history", "show", "00").assert_refused("No snapshot has an id that begins with 00.")
