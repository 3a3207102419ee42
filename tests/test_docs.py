"""The documentation says what is so."""

import ast
import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from io import BytesIO, StringIO
from pathlib import Path

import psycopg
import pytest
from django.core.management import call_command, get_commands, load_command_class
from django.urls import resolve as route_of
from pytest_django.plugin import DjangoDbBlocker

from core.attendance.exceptions import RULES
from core.attendance.prints import PROFILES, PrintColumn
from core.attendance.tally import CODES, COUNTS_AS, NO_RECORD, CountsAs
from core.models import TIME_FIELDS, AttendanceRecord, ExceptionKind, Status
from core.operations.errors import ConflictsLeft
from core.register.database import Register
from core.register.declared import ATTENDANCE_RECORDS
from core.restores.restore_service import RestoreService
from core.sheets.columns import COLUMNS
from recordsync.merge import Counts, Side, Strategy, decide_by, merge, resolve
from recordsync.model.json_values import InstallationName
from recordsync.models import Head
from recordsync.plan import make_plan
from tests.builders.big_registers import fill
from tests.builders.days import ABC, XYZ, Content, day
from tests.builders.files import file, lacking, sealed
from tests.builders.people import WHO
from tests.builders.records import MOMENT, sections_of, written
from tests.builders.registers import SMALL, RegisterData, put, register
from tests.builders.sheets import as_csv, as_xlsx, row, table
from tests.builders.trees import snapshot_file
from tests.core.sheets.test_identifiers import outcomes
from tests.core.web.access import ROUTES
from tests.properties.laws import clear
from tests.recordsync.support import MemoryStore, opened
from tests.running.bases import RecordsAsBase
from tests.running.installation import ScratchInstallation
from tests.running.services import some_id
from tests.running.snapshots import snapshot

PROJECT = Path(__file__).resolve().parent.parent
DOCS = PROJECT / "docs"
DECISIONS = DOCS / "decisions"
PAGES = [*sorted(PROJECT.glob("*.md")), *sorted(DOCS.rglob("*.md"))]


def _example(name: str) -> str:
    text = (DOCS / "file-format.md").read_text(encoding="utf-8")
    found = re.search(rf"<!-- {name} -->\n```\w*\n(.*?)\n```", text, re.DOTALL)
    assert found, name
    return found[1]


def test_the_worked_checksum_is_the_checksum() -> None:
    content = json.loads(_example("worked-content"))
    checksum = hashlib.sha256(_example("worked-content").encode()).hexdigest()
    assert checksum == _example("worked-checksum")
    assert json.loads(_example("worked-record")) == content | {
        "checksum": checksum,
        "created_at": "2026-11-20T18:00:00.000000Z",
    }


def _checked_by_the_recipe(folder: Path, data: bytes) -> tuple[int, str]:
    """What the script on the page about the file says of a file, and its exit status."""
    (folder / "check.sh").write_text(_example("recipe") + "\n", encoding="utf-8")
    (folder / "full.json").write_bytes(data)
    done = subprocess.run(["sh", "check.sh", "full.json"], cwd=folder, capture_output=True, check=False)
    return done.returncode, done.stdout.decode() + done.stderr.decode()


NASTY = day(ep_no="E9", ep_name='"checksum":"0" \\ \n\u2028 $(date) `x` %s', company_name='"date":"1" & co')
DAYS = register(day(date="2026-11-01"), day(date="2026-11-07"), day(date="2026-11-08"), NASTY, companies=("Zoë",))


@pytest.mark.parametrize("path", sorted((PROJECT / "tests/recordsync/backupfile/golden").iterdir()), ids=str)
def test_the_recipe_finds_golden_files_valid(tmp_path: Path, path: Path) -> None:
    assert _checked_by_the_recipe(tmp_path, path.read_bytes()) == (0, "valid\n")


@pytest.mark.parametrize("of", [DAYS, register()], ids=["some", "none"])
def test_the_recipe_finds_what_muster_and_the_format_write_valid(tmp_path: Path, of: RegisterData) -> None:
    assert _checked_by_the_recipe(tmp_path, snapshot_file(of).encode()) == (0, "valid\n")
    assert _checked_by_the_recipe(tmp_path, file(of).encode()) == (0, "valid\n")


def test_the_recipe_passes_over_a_section_that_is_not_there(tmp_path: Path) -> None:
    assert _checked_by_the_recipe(tmp_path, lacking(file(DAYS), "companies")) == (0, "valid\n")


def _damaged(**changed: object) -> bytes:
    """A file that is false in one place, and whose digest is right."""
    of = snapshot_file(DAYS)
    records = of.records["attendance_records"]
    blocks = of.blocks or []
    if "swap" in changed:
        records[1], records[2] = records[2], records[1]
    if "record" in changed:
        records[1] = records[1] | {"shift": "other"}
    if "block" in changed:
        blocks[2] = blocks[2] | {str(changed["block"]): changed["value"]}
    if "total" in changed:
        of.metadata[str(changed["total"])] += 1
    if "lacking" in changed:
        del blocks[-1]
    trailer = of.trailer | ({str(changed["counted"]): 99} if "counted" in changed else {})
    return sealed(of.body(), trailer)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (file(DAYS).encode().replace(b'"status":"P"', b'"status":"A"', 1), "the file is damaged"),
        (_damaged(counted="companies"), "the trailer counts other companies"),
        (_damaged(counted="attendance_records"), "the trailer counts other attendance_records"),
        (_damaged(counted="deleted"), "the trailer counts other deleted rows"),
        (_damaged(total="total_companies"), "the metadata count other companies"),
        (_damaged(swap=True), "attendance records are out of order"),
        (_damaged(record=True), "this record is damaged"),
        (_damaged(block="bytes", value=7), "this block has other bytes"),
        (_damaged(block="raw_sha256", value="0" * 64), "this block has other bytes"),
        (_damaged(block="digest", value="0" * 64), "this block has another digest"),
        (_damaged(block="count", value=1), "this block has other bytes"),
        (_damaged(lacking=True), "the blocks are not of all records"),
        (file(DAYS).encode()[:-1], "the last line is not a trailer"),
        (file(DAYS).encode()[:-1] + b" \n", "the last line is not a trailer"),
        (b"", "the last line is not a trailer"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_recipe_names_what_is_damaged(tmp_path: Path, data: bytes, said: str) -> None:
    status, output = _checked_by_the_recipe(tmp_path, data)
    assert status == 1
    assert said in output


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_and_option_that_is_named_exists(page: Path) -> None:
    for name, arguments in re.findall(r"manage\.py (\w+)([^`\n#>]*)", page.read_text(encoding="utf-8")):
        app = get_commands()[name]
        parser = load_command_class(app if isinstance(app, str) else app.label, name).create_parser("manage.py", name)
        for option in re.findall(r"(?<!\S)\[?(--[a-z-]+)", arguments):
            assert option in parser.format_help(), f"{name} {option}"


def test_the_index_of_decisions_has_each_with_its_title_and_date() -> None:
    index = (DECISIONS / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| \[(.+)\]\((.+)\) \| (\S+) \|$", index, re.MULTILINE)
    pages = sorted(path for path in DECISIONS.glob("*.md") if path.name != "README.md")
    assert [page for _number, _title, page, _date in rows] == [path.name for path in pages]
    for (number, title, _page, date), path in zip(rows, pages, strict=True):
        assert path.name.startswith(f"{int(number):04d}-")
        assert path.read_text(encoding="utf-8").startswith(f"# {title}\n\n{date}\n\n"), path.name


ARCHITECTURE = (DOCS / "architecture.md").read_text(encoding="utf-8")


def _has_files(folder: Path) -> bool:
    return any(path.is_file() and path.parent.name != "__pycache__" for path in folder.rglob("*"))


def test_the_map_has_every_room_and_no_other() -> None:
    """Of the packages and the tests every folder, and of the packages every module that is in none."""
    block = ARCHITECTURE.split("## Where a thing lives\n\n```\n")[1].split("```")[0]
    parts = dict(re.findall(r"^(\w+)/(.*\n(?: .*\n)*)", block, re.MULTILINE))
    assert set(parts) == {"benchmarks", "core", "muster", "recordsync", "tests"}
    for package in ("core", "muster", "recordsync", "tests"):
        folders = set(re.findall(r"\b(\w+)/", parts[package]))
        assert folders == {path.name for path in (PROJECT / package).iterdir() if path.is_dir() and _has_files(path)}
        named = set(re.findall(r"\b\w+\.py\b", parts[package]))
        assert named <= {path.name for path in (PROJECT / package).rglob("*.py")}
        if package in ("core", "recordsync"):
            assert {path.name for path in (PROJECT / package).glob("*.py")} - {"__init__.py"} <= named


def test_what_the_page_for_developers_names_is_there() -> None:
    """Files by their whole paths; and in a line that names files, every name in brackets stands in one of them."""
    for line in ARCHITECTURE.splitlines():
        paths = [PROJECT / path for path in re.findall(r"`((?:core|docs|muster|recordsync|tests)/[\w./-]+)`", line)]
        assert all(path.exists() for path in paths), line
        for names in re.findall(r"\((`\w+`(?:, `\w+`)*)\)", line):
            for name in re.findall(r"\w+", names):
                assert any(re.search(rf"\b{name}\b", path.read_text("utf-8")) for path in paths), (name, line)


SETTINGS = [PROJECT / "muster" / name for name in ("settings.py", "environment.py")]


def _documented() -> list[str]:
    return re.findall(r"^\| `([A-Z_]+)`", (DOCS / "settings.md").read_text(encoding="utf-8"), re.MULTILINE)


def test_every_setting_is_in_the_table_once() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in SETTINGS)
    assert sorted(_documented()) == sorted(set(re.findall(r'env\.\w+\("([A-Z_]+)"', text)))


def test_every_setting_has_one_meaning() -> None:
    """A second assignment would silently take the place of the first."""
    assigned = re.findall(r"^([A-Z_]+)(?:: .+)? = ", SETTINGS[0].read_text(encoding="utf-8"), re.MULTILINE)
    assert len(assigned) == len(set(assigned))


def test_the_tests_are_rid_of_every_setting_of_the_machine() -> None:
    text = (PROJECT / "tests" / "settings.py").read_text(encoding="utf-8")
    assert set(_documented()) == set(re.findall(r'"([A-Z_]+)",\n', text)) | {"DATA_DIR", "SECRET_KEY"}


def test_settings_are_read_from_the_environment_in_one_place() -> None:
    """What the table says is everything there is."""
    for package in ("core", "muster", "recordsync"):
        for path in (PROJECT / package).rglob("*.py"):
            if path not in SETTINGS:
                assert not re.search(r"os\.(getenv|environ\b(?!\.setdefault))", path.read_text(encoding="utf-8")), path


def _blocks(page: str) -> dict[str, list[str]]:
    """A page's blocks that are to be run: by language, or by the name of the file that they are to be saved as."""
    blocks: dict[str, list[str]] = {}
    marked = re.findall(
        r"<!-- run(?:: (?:file )?(\S+))? -->\n```(\w+)\n(.*?)```", (DOCS / page).read_text("utf-8"), re.DOTALL
    )
    for name, language, text in marked:
        blocks.setdefault(name or language, []).append(text)
    return blocks


class Server:
    """A machine as the page on running Muster has it: ``/srv`` is a folder of the test's."""

    def __init__(self, folder: Path, database_url: str) -> None:
        self.srv = folder
        self.home = folder / "muster"
        self.home.mkdir(parents=True)
        (self.home / ".venv").symlink_to(sys.prefix)
        (self.home / "manage.py").symlink_to(PROJECT / "manage.py")
        self._address = database_url.partition("@")[2].replace("/postgres?", "/muster?")
        self.blocks = {name: [self._here(text) for text in texts] for name, texts in _blocks("operators.md").items()}
        self.register = ScratchInstallation("postgres", self.home, f"postgresql://muster@{self._address}")

    def _here(self, text: str) -> str:
        return text.replace("/srv/", f"{self.srv}/").replace("@localhost/muster", f"@{self._address}")

    def save(self, name: str, path: Path) -> Path:
        (text,) = self.blocks[name]
        path.write_text(text, "utf-8")
        path.chmod(0o700)
        return path

    def run(self, *command: str | Path, **env: str) -> "subprocess.CompletedProcess[str]":
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        return subprocess.run(
            command, cwd=self.home, env=kept | env, capture_output=True, text=True, timeout=120, check=False
        )


@pytest.fixture
def server(tmp_path: Path, django_db_blocker: DjangoDbBlocker) -> Iterator[Server]:
    url = os.environ["MUSTER_TEST_PG_URL"]
    server = Server(tmp_path / "srv", url)
    with psycopg.connect(url, autocommit=True) as connection:
        for block in server.blocks["sql"]:
            for statement in block.split(";\n"):
                if statement:
                    connection.execute(statement.encode())
        with django_db_blocker.unblock():
            yield server
        connection.execute("DROP DATABASE muster WITH (FORCE)")
        connection.execute("DROP ROLE muster")


@pytest.mark.postgres
def test_the_commands_of_the_page_on_running_it(server: Server) -> None:
    env_file = server.save("muster.env", server.srv / "muster.env")
    in_force = f"set -eu -o pipefail; set -a; . {env_file}; set +a\n"
    first, *others = server.blocks["sh"]
    done = server.run("bash", "-c", in_force + first)
    assert done.returncode == 0, done.stdout + done.stderr
    with server.register.opened() as alias:
        fill(alias, 90)

    nightly = server.save("nightly-backup", server.home / "nightly-backup")
    backups = server.srv / "backups"
    backups.mkdir()
    for kind, days in (("daily", 20), ("weekly", 20), ("weekly", 80)):
        old = backups / f"{days}-{kind}.json.zst"
        old.touch()
        os.utime(old, (time.time() - days * 86400,) * 2)
    env_file.write_text(env_file.read_text().replace("/muster?", "/no_such_database?"))
    failed = server.run(nightly)
    assert (failed.returncode, failed.stdout) == (1, "")
    assert "No backup was written." in failed.stderr
    assert len(list(backups.iterdir())) == 3
    server.save("muster.env", env_file)
    done = server.run(nightly)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    left, new, last = sorted(path.name for path in backups.iterdir())
    assert (left, last) == ("20-weekly.json.zst", "last.json")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d_\d{6}-(daily|weekly)\.json\.zst", new)

    done = server.run("bash", "-c", in_force + "".join(others))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "90 records in" in done.stdout
    assert "Nothing to do." in done.stdout
    assert "Site B" in done.stdout
    assert (backups / "today.json.zst").stat().st_size

    restore = server.save("restore-or-say-why", server.home / "restore-or-say-why")
    with_settings = f"{in_force} set +e; exec {restore} "
    done = server.run("bash", "-c", with_settings + "copy.json.gz")
    assert (done.returncode, done.stdout, done.stderr) == (0, "done: 0 added, 0 updated, 90 were the same\n", "")
    with server.register.opened() as alias:
        row = AttendanceRecord.objects.using(alias).all()[0]
        AttendanceRecord.objects.using(alias).filter(pk=row.pk).update(shift="OTHER")
    left_over = server.run("bash", "-c", with_settings + "copy.json.gz")
    assert (left_over.returncode, left_over.stdout) == (1, "")
    assert left_over.stderr.startswith("1 differences: decide them")
    refused = server.run("bash", "-c", with_settings + "manage.py")
    assert refused.returncode == 1
    assert "not a valid backup" in refused.stderr


def _table(page: str, name: str) -> list[list[str]]:
    """The heading and the rows of a marked table."""
    text = (DOCS / page).read_text("utf-8").split(f"<!-- table: {name} -->\n")[1].split("\n\n")[0]
    rows = [[cell.strip().strip("`") for cell in line.split("|")[1:-1]] for line in text.splitlines()]
    return [rows[0], *rows[2:]]


OURS, OTHER, ELSEWHERE = day(), day(shift="N"), day(XYZ)
CASES: dict[tuple[str, str], tuple[list[Content], list[Content], list[Content]]] = {
    # What is here, what the file holds, and what it says was deleted.
    ("nothing", "a record"): ([], [OURS], []),
    ("the same", "the same"): ([OURS], [OURS], []),
    ("one content", "another content"): ([OURS], [OTHER], []),
    ("a record", "does not list it"): ([OURS], [ELSEWHERE], []),
    ("one content", "says that exactly this was deleted"): ([OURS], [], [OURS]),
    ("one content", "says that another content was deleted"): ([OURS], [], [OTHER]),
    ("nothing", "says that it was deleted"): ([], [], [OURS]),
}


@pytest.mark.untraced
def test_what_happens_to_which_record(register_db: str) -> None:
    heading, *table = _table("merging.md", "records")
    assert {(row[0], row[1]) for row in table} == set(CASES)
    for here, there, *results in table:
        ours, theirs, deleted = CASES[here, there]
        backup = file(register(*theirs), deleted=[("attendance_records", content) for content in deleted])
        for strategy, told in zip(heading[2:], results, strict=True):
            clear(register_db)
            put(register_db, register(*ours))
            rows = AttendanceRecord.objects.using(register_db).filter(company__name=OURS["company_name"])
            before = list(rows.values())
            try:
                outcome = RestoreService(register=Register(register_db)).restore_backup(backup.stream(), strategy)
            except ConflictsLeft:
                assert (told, list(rows.values())) == ("to decide", before), (here, there, strategy)
                continue
            records = outcome.records
            if told == "stays":
                assert (records, list(rows.values())) == (Counts(read=1, added=1), before)
            else:
                assert records == Counts(read=1, conflicts=records.conflicts, **{told: 1}), (here, there, strategy)


def test_what_happens_with_a_base() -> None:
    """For each row of the table, by the engine."""
    shape = ATTENDANCE_RECORDS.shape()
    contents = {"A": day(), "B": day(shift="N"), "C": day(shift="G1", status="A"), "nothing": None}
    _heading, *table = _table("merging.md", "merge")
    assert len(table) == len({tuple(row[:3]) for row in table}) == 13
    for *sides, told in table:
        base, ours, theirs = (
            [] if (content := contents[side]) is None else [shape.from_mapping(content)] for side in sides
        )
        merges = list(merge(shape, shape, base, ours, theirs, complete=True))
        if told.startswith(("conflict", "unit by unit")):
            assert [bool(one.conflicts) for one in merges] == [True], sides
            continue
        for one in merges:
            assert not one.conflicts
            change = resolve(shape, shape, one, lambda unit: Side.OURS)
            after = one.ours if change is None else change.after
            assert (after and shape.content(after)) == contents[told.split(":")[0]], sides


def test_what_happens_in_a_closed_month() -> None:
    """For each row of the table, by the engine."""
    contents = {"A": day(), "B": day(shift="N"), "C": day(shift="G1", status="A"), "nothing": None}
    shape = ATTENDANCE_RECORDS.shape()
    _heading, *table = _table("merging.md", "closed")
    for *sides, keep, reopen in table:
        base, ours, theirs = (
            sections_of([] if (content := contents[side]) is None else [shape.from_mapping(content, MOMENT)], ABC)
            for side in sides
        )
        known = RecordsAsBase(opened(written(base)))
        plan = make_plan(MemoryStore(ours), opened(written(theirs)), known, BytesIO(), seal_of=lambda *asked: "a seal")
        for told, side in ((keep, Side.OURS), (reopen, Side.THEIRS)):
            step = next(plan.steps(decide_by(Strategy.MANUAL, side)), None)
            if told.startswith("a conflict"):
                assert step is not None
                assert step.undecided
            elif step is None or step.change is None:
                assert contents[sides[1]] == contents[told.partition(":")[0]], sides
            else:
                assert (step.change.after and shape.content(step.change.after)) == contents[told], sides


def test_the_worked_merge_is_what_the_engine_does() -> None:
    heading, *table = _table("merging.md", "units")
    assert heading[3:5] == ["backup_wins", "database_wins"]
    columns = list(zip(*table, strict=True))

    def content(column: int) -> Content:
        return {**day(), **{name: value or None for name, value in zip(columns[0], columns[column], strict=True)}}

    shape = ATTENDANCE_RECORDS.shape()
    ours, theirs = (shape.from_mapping(content(column)) for column in (1, 2))
    (merged,) = merge(shape, shape, None, [ours], [theirs])
    assert set(merged.conflicts) == {"shift", "day"}
    for column, sides in {
        3: {"shift": Side.THEIRS, "day": Side.THEIRS},
        4: {"shift": Side.OURS, "day": Side.OURS},
        5: {"shift": Side.THEIRS, "day": Side.OURS},
    }.items():
        change = resolve(shape, shape, merged, sides.__getitem__)
        after = change.after if change else ours
        assert after is not None
        assert shape.content(after) == content(column)


def test_the_units_of_the_page_are_the_declared_ones() -> None:
    _heading, *table = _table("merging.md", "declared units")
    assert [row[0] for row in table] == list(ATTENDANCE_RECORDS.units)
    for unit, told in table:
        named = set(re.findall(r"\w+", told.replace("the six times", " ".join(TIME_FIELDS)))) - {"and"}
        assert named == set(ATTENDANCE_RECORDS.units[unit])


def test_who_sees_what_is_what_the_pages_answer() -> None:
    """By the table that tests/core/web/test_access.py holds the pages to."""
    heading, *table = _table("register.md", "roles")
    assert heading[2:] == ["root", "administrator", "supervisor"]
    answers = {who: at for at, who in enumerate(WHO)}
    for page, address, *told in table:
        got = ROUTES[str(route_of(address).url_name)].get
        allowed = ["yes" if got[answers[who]] == 200 else "no" for who in ("root", "admin", "user1")]
        assert told == allowed, page


def test_the_exceptions_are_those_that_are_looked_for() -> None:
    _heading, *table = _table("register.md", "exceptions")
    assert table == [[str(kind.label), str(RULES[kind])] for kind in ExceptionKind]


def test_the_codes_of_a_roll_are_those_of_the_page() -> None:
    _heading, *table = _table("register.md", "codes")
    assert table[:-1] == [[CODES[status], status.label, COUNTS_AS[status].label] for status in Status]
    assert table[-1] == [NO_RECORD, "nothing is recorded", f"{CountsAs.UNMARKED.label}, which is not absent"]


def test_what_is_printed_is_what_the_page_says() -> None:
    def told(columns: Sequence[PrintColumn]) -> str:
        return ", ".join(f"{one.heading}" if one.source else f"*{one.heading}*" for one in columns)

    _heading, *table = _table("register.md", "prints")
    assert table == [[str(one.title), str(one.since or ""), told(one.head), told(one.columns)] for one in PROFILES]


def test_the_ways_to_number_punches_are_those_that_are_read() -> None:
    _heading, *table = _table("import-export.md", "punches")
    assert table == [[column.heading, *column.punches] for column in COLUMNS if column.punches]


def test_what_a_spreadsheet_has_changed_is_read_as_the_page_says(register_db: str) -> None:
    _heading, *table = _table("import-export.md", "changed texts")
    found = outcomes(register_db, "ep_no", [cell for cell, _told in table])
    for (cell, told), outcome in zip(table, found, strict=True):
        assert outcome == told if isinstance(outcome, str) else told.startswith("refused: "), cell


def _commands(page: str) -> list[str]:
    """The commands of the tables of a page, in their order; pipes and other databases are tested in tests/commands."""
    commands = re.findall(r"\| `(manage\.py [^`]+)` \|", (DOCS / page).read_text("utf-8"))
    assert len(commands) > 10
    return [command for command in commands if "|" not in command]


@pytest.mark.parametrize("engine", ["sqlite"])
def test_the_commands_of_the_tables_run(
    register_db: str, storage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this process: what a command does as a process of its own is tested in tests/commands."""
    monkeypatch.chdir(tmp_path)
    put(register_db, SMALL)
    (tmp_path / "november.csv").write_bytes(as_csv(table(row(ep_no="E77"))).getvalue())
    (tmp_path / "november.xlsx").write_bytes(as_xlsx(table(row())).getvalue())
    for command in _commands("commands.md"):
        if "3f9a2c41d0" in command:  # after the first backups
            head = Head.objects.using(register_db).get().snapshot
            snapshot(register_db, head.tree, [head], is_head=False, installation=InstallationName(some_id(), "Site A"))
            command = command.replace("3f9a2c41d0", head.pk[:10])
        _manage, name, *arguments = shlex.split(command)
        call_command(name, *arguments, stdout=StringIO(), stderr=StringIO())
    written = {"full.json", "full.json.zst", "today.json.zst", "since.json", "for-a.json.zst", "inc.json", "abc.json"}
    assert written < {path.name for path in tmp_path.iterdir()}
    assert [path.name[:12] for path in storage.iterdir()] == ["backup_full_"]
    assert AttendanceRecord.objects.filter(ep_no="E77").exists()


def _texts() -> Iterator[str]:
    """Every text that the program may show, with … where something is put in: of its code and of its pages."""
    for path in [path for package in ("core", "muster", "recordsync") for path in (PROJECT / package).rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.JoinedStr):
                yield "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value
    for path in (PROJECT / "core" / "templates").rglob("*.html"):
        yield path.read_text("utf-8")


@pytest.mark.untraced
def test_every_message_of_the_troubleshooting_is_one() -> None:
    """Each part of it that does not differ from case to case stands in the program."""
    shown = "\n".join(_texts())
    for page in ("troubleshooting.md", "restore-guide.md"):
        tables = re.findall(r"^\| message \|.*\n\|[-|]+\n((?:\|.*\n)+)", (DOCS / page).read_text("utf-8"), re.MULTILINE)
        assert tables
        for line in "".join(tables).splitlines():
            message = line.split("|")[1].strip()
            parts = [part.strip() for part in re.split(r"…| / |\(…", message)]
            assert max(map(len, parts)) > 10, message
            for part in parts:
                for sentence in re.split(r"(?<=[.:]) (?=[A-Z])", part):
                    assert sentence in shown, (page, message, sentence)
