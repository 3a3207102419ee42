"""``fingerprint`` as two people use it, to tell whether their installations hold the same."""

from __future__ import annotations

import json
from typing import Any

import pytest

from core.models import AttendanceRecord, Company, Seal
from tests.builders import trees
from tests.builders.days import XYZ, day
from tests.builders.registers import SMALL, put, register
from tests.core.management.test_backup_data import KEYS
from tests.running import inspection
from tests.running.commands import run
from tests.running.installation import NewInstallation, ScratchInstallation

NOVEMBER, OCTOBER = "2026-11", "2026-10"
REGISTER = register(*SMALL.records.values(), day(date="2026-10-05"), companies=("No days Ltd",))


def having(installation: ScratchInstallation) -> ScratchInstallation:
    with installation.opened() as alias:
        put(alias, REGISTER)
    return installation


def shown(digest: str) -> str:
    return f"{digest[:5]} {digest[5:10]}"


def told(installation: ScratchInstallation, *args: Any) -> tuple[str, list[str]]:
    """What the first line says before the moment, and the other lines."""
    done = run(installation, "fingerprint", "--quiet", *args)
    assert (done.code, done.err) == (0, "")
    heading, *lines = done.out.splitlines()
    said, of, moment = heading.partition(", as of 2")
    assert of, heading
    assert moment.endswith(" UTC.")
    return said, lines


def digests(installation: ScratchInstallation, *args: Any) -> dict[tuple[str, str | None], str]:
    said = json.loads(run(installation, "fingerprint", "--json", *args).out)
    return {(part["company"], part["month"]): part["digest"] for part in said["parts"]}


@pytest.mark.postgres
def test_two_people_find_what_differs(new_installation: NewInstallation) -> None:
    here, there = having(new_installation("sqlite")), new_installation("postgres")
    assert told(here) != told(there)
    assert run(here, "backup_data", "--output", "full.json").code == 0
    assert run(there, "restore_data", "--input", here.folder / "full.json").code == 0
    for args in ((), ("--list",), ("--company", XYZ), ("--month", NOVEMBER), ("--company", XYZ, "--month", OCTOBER)):
        assert told(here, *args) == told(there, *args)
    state = inspection.state_of(there)

    with there.opened() as alias:
        AttendanceRecord.objects.using(alias).filter(date="2026-10-05").update(shift="N")
    assert told(here)[0] != told(there)[0]
    lines = zip(told(here, "--list")[1], told(there, "--list")[1], strict=True)
    assert [ours == theirs for ours, theirs in lines] == [False, True, True]
    mine, yours = digests(here), digests(there)
    assert mine.keys() == yours.keys()
    assert {key for key in mine if mine[key] != yours[key]} == {("ABC Corp", None), ("ABC Corp", OCTOBER)}

    with there.opened() as alias:
        AttendanceRecord.objects.using(alias).filter(date="2026-10-05").update(shift="GS")
    assert told(here) == told(there)
    assert inspection.state_of(there) == state

    with there.opened() as alias:
        Company.objects.using(alias).filter(name="No days Ltd").delete()
    assert told(here)[0] != told(there)[0]
    (only_here,) = {*told(here, "--list")[1]} - {*told(there, "--list")[1]}
    assert only_here.endswith("  No days Ltd: 0 records")

    with there.opened() as alias:
        Company.objects.using(alias).create(name="No days Ltd")
        assert told(here) == told(there)
        abc = Company.objects.using(alias).get(name="ABC Corp")
        Seal.objects.using(alias).create(
            company=abc, month="2026-10-01", closed_by="root", closed_as=abc.name, digest="0" * 64
        )
    assert told(here)[0] != told(there)[0], "a closed month is of the register"
    (only_there,) = {*told(there, "--list")[1]} - {*told(here, "--list")[1]}
    assert only_there.endswith("  1 closing of a month")
    assert told(there, "--month", OCTOBER) == told(here, "--month", OCTOBER)


def test_what_it_says(installation: ScratchInstallation) -> None:
    having(installation)
    tree = trees.tree(REGISTER)

    def line(company: str, month: str | None, name: str, records: str) -> str:
        return f"  {shown(tree.parts[company, month][0])}  {name}: {records}"

    none = line("No days Ltd", None, "No days Ltd", "0 records")
    whole = f"Fingerprint {shown(tree.digest)}: 3 companies, 4 attendance records"
    abc, xyz = line("ABC Corp", None, "ABC Corp", "3 records"), line(XYZ, None, "XYZ Ltd", "1 record")
    october = line("ABC Corp", OCTOBER, "ABC Corp, 2026-10", "1 record")
    november = line("ABC Corp", NOVEMBER, "ABC Corp, 2026-11", "2 records")
    of_xyz = line(XYZ, NOVEMBER, "XYZ Ltd, 2026-11", "1 record")
    assert told(installation) == (whole, [])
    assert told(installation, "--list") == (whole, [abc, none, xyz])
    assert told(installation, "--company", "ABC Corp") == (
        "Fingerprint of ABC Corp: 3 attendance records",
        [abc, october, november],
    )
    assert told(installation, "--month", NOVEMBER) == (
        "Fingerprint of 2026-11: 2 companies, 3 attendance records",
        [november, of_xyz],
    )
    assert told(installation, "--company", "ABC Corp", "--month", OCTOBER) == (
        "Fingerprint of ABC Corp, 2026-10: 1 attendance record",
        [october],
    )
    assert told(installation, "--company", "No days Ltd") == (
        "Fingerprint of No days Ltd: 0 attendance records",
        [none],
    )


def test_the_json_summary_has_whole_digests(small_sqlite: ScratchInstallation) -> None:
    done = run(small_sqlite, "fingerprint", "--json", "--quiet")
    assert (done.code, done.err) == (0, "")
    said = json.loads(done.out)
    assert set(said) == KEYS | {"taken_at", "digest", "closings", "parts"}
    assert (said["ok"], said["operation"], said["companies"], said["records"]) == (True, "fingerprint", 9, 100)
    assert {(part["company"], part["month"], part["records"]) for part in said["parts"]} >= {
        ("ABC Corp", None, 10),
        ("ABC Corp", "2026-03", 10),
    }
    for seed in ("0", "4242"):
        small_sqlite.env["PYTHONHASHSEED"] = seed
        again = json.loads(run(small_sqlite, "fingerprint", "--json").out)
        assert (again["digest"], again["parts"]) == (said["digest"], said["parts"])
    assert json.loads(run(small_sqlite, "fingerprint", "--json", "--month", "2026-03").out)["digest"] is None


def test_what_is_used_wrongly_is_refused(small_sqlite: ScratchInstallation) -> None:
    twice = run(small_sqlite, "fingerprint", "--company", "ABC Corp", "--company", XYZ)
    assert twice.code == 2
    assert "--company may be given once" in twice.err
    for month in ("2026-13", "2026-1", "2026", "November", "2026-11-01", "0000-01", ""):
        done = run(small_sqlite, "fingerprint", "--month", month)
        assert done.code == 2
        assert f"{month!r} is not a month like 2026-11" in done.err
    missing = run(small_sqlite, "fingerprint", "--company", "Nobody", "--json")
    missing.assert_refused("There is no company 'Nobody' in the register. No fingerprint was made.")
    assert json.loads(missing.out)["ok"] is False
    small_sqlite.env["DATABASE_URL"] = f"sqlite:///{small_sqlite.folder / 'none.sqlite3'}"
    run(small_sqlite, "fingerprint").assert_refused("The database is not set up", "No fingerprint was made.")
