"""The audit trail's page and its filters; every attempt that was refused is in the log, with who and what."""

from __future__ import annotations

import datetime as dt
import io
import json
import logging
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from core.backups.backup_service import BackupService
from core.models import JOBS, AttendanceRecord, Backup, BackupLog, Operation, User
from core.preview import stored as stored_preview
from recordsync.model.json_values import InstallationName
from recordsync.models import Head
from recordsync.system import locks
from tests.builders.days import day
from tests.builders.files import ELSEWHERE, file
from tests.builders.old_files import old_file, old_record
from tests.builders.people import World, make_world
from tests.builders.registers import register
from tests.core.web.access import ROUTES
from tests.running.snapshots import snapshot
from tests.running.work_queue import perform

pytestmark = pytest.mark.django_db(databases=["default", "jobs", "history"])


@pytest.fixture
def world() -> World:
    return make_world()


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """What the project's own logger writes, which goes to the log file and no further."""
    ours = logging.getLogger("core")
    ours.addHandler(caplog.handler)
    yield caplog
    ours.removeHandler(caplog.handler)


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def checked(root: Client, data: bytes, strategy: str) -> Operation:
    """A file that was uploaded, and what the worker made of it."""
    root.post("/restore/", {"file": SimpleUploadedFile("a.json", data), "strategy": strategy})
    check = Operation.objects.using("jobs").get(kind="check")
    perform(check.pk)
    return check


BACKUPS_AND_RESTORES = [name for name in ROUTES if "backup" in name or "restore" in name or "operation" in name]


@pytest.mark.parametrize("name", BACKUPS_AND_RESTORES)
def test_a_refused_attempt_is_in_the_log(world: World, warnings: pytest.LogCaptureFixture, name: str) -> None:
    url = reverse(name, kwargs=ROUTES[name].kwargs(world))
    method = "post" if ROUTES[name].get[-1] == 405 else "get"
    assert getattr(signed_in(world.people["admin"]), method)(url).status_code == 403
    assert f"administrator (admin) was refused: {method.upper()} {url}" in warnings.text
    assert getattr(Client(), method)(url).status_code == 302
    assert f"Somebody who is not signed in was refused: {method.upper()} {url}" in warnings.text


def test_what_root_is_refused_is_in_the_log(
    world: World, warnings: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(settings, "DATA_DIR", tmp_path)
    root = signed_in(world.people["root"])
    empty = SimpleUploadedFile("a.json", b"")
    assert root.post("/restore/", {"file": empty, "strategy": "manual"}).status_code == 200
    assert "POST /restore/ by root: The file is empty. Nothing was changed." in warnings.text
    monkeypatch.setattr(settings, "MUSTER_MAX_UPLOAD_BYTES", 10)
    large = SimpleUploadedFile("a.json", b"x" * 100_000)
    assert root.post("/restore/", {"file": large, "strategy": "manual"}).status_code == 413
    assert "A file of root was refused: The file is larger than this server takes (10 bytes)." in warnings.text
    root.get(f"/restore/preview/{uuid.uuid4()}/")
    assert "by root: This preview is not there any more" in warnings.text


@pytest.mark.parametrize(
    ("kind", "section"),
    [("backup_full", "/backup/"), ("verify", "/backup/"), ("check", "/restore/"), ("restore", "/restore/")],
)
def test_the_page_of_an_operation_belongs_to_a_page_of_the_navigation(world: World, kind: str, section: str) -> None:
    operation = Operation.objects.using("jobs").create(kind=kind, actor_name="root")
    text = signed_in(world.people["root"]).get(reverse("operation", args=[operation.pk])).content.decode()
    assert re.findall(r'aria-current="page" href="([^"]*)"', text) == [section]


def test_the_log_is_filtered(world: World) -> None:
    now = timezone.now()

    def row(operation: str, actor: str, success: bool, days: int) -> BackupLog:
        return BackupLog.objects.create(
            operation=operation,
            actor_name=actor,
            operation_id=uuid.uuid4(),
            success=success,
            error_message="" if success else "<b>It failed</b>",
            created_at=now - dt.timedelta(days),
        )

    old = row("restore", "Meena", False, 9)
    full = row("backup_full", "Meena", True, 3)
    new = row("restore", "Ivan", True, 1)
    root = signed_in(world.people["root"])

    def found(**query: str) -> set[object]:
        return {one.pk for one in root.get("/backup/log/", query).context["page"]}

    assert found() == {old.pk, full.pk, new.pk}
    assert found(operation="restore") == {old.pk, new.pk}
    assert found(actor="Meena") == {old.pk, full.pk}
    assert found(result="failure") == {old.pk}
    assert found(result="success", operation="restore") == {new.pk}
    day = timezone.localtime(full.created_at).date().isoformat()
    assert found(date_from=day) == {full.pk, new.pk}
    assert found(date_to=day) == {old.pk, full.pk}
    assert found(date_from=day, date_to=day) == {full.pk}
    for edge in ("0001-01-01", "9999-12-31", "yesterday"):  # refused, and nothing is left out silently
        assert found(date_from=edge) == found(date_to=edge) == {old.pk, full.pk, new.pk}
    page = root.get("/backup/log/").content.decode()
    assert "&lt;b&gt;It failed&lt;/b&gt;" in page
    assert f"/operations/{old.operation_id}/" in page


def test_an_operation_takes_as_long_on_its_page_as_in_the_log(world: World) -> None:
    """The row in the log is written before its commit; of what is not known any more it is all there is."""
    now = timezone.now()
    operation = Operation.objects.using(JOBS).create(
        kind="restore",
        state="succeeded",
        actor_name="Meena",
        started_at=now - dt.timedelta(seconds=15.5),
        finished_at=now,
    )
    for pk, seconds in ((operation.pk, 13.3), (uuid.uuid4(), 7.7)):
        BackupLog.objects.create(
            operation="restore", actor_name="Meena", operation_id=pk, success=True, duration=seconds
        )
    root = signed_in(world.people["root"])
    assert "It took 15.5 s." in root.get(f"/operations/{operation.pk}/").content.decode()
    assert [row.duration for row in root.get("/backup/log/").context["page"]] == [7.7, 15.5]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"backup_type": "incremental", "since": "9999-12-31"}, "Ensure this value is less than"),
        ({"backup_type": "incremental", "since": "0001-01-01"}, "Ensure this value is greater than"),
        ({"backup_type": "incremental", "since": "2999-01-01"}, "This day is in the future."),
        ({"backup_type": "full", "since": "2026-01-01"}, "A full backup holds everything"),
        (
            {"backup_type": "full", "date_from": "2026-02-01", "date_to": "2026-01-01"},
            "The last day is before the first.",
        ),
        (
            {"backup_type": "incremental", "date_from": "2026-02-01"},
            "An incremental backup of a part of the register needs a day.",
        ),
        ({"backup_type": "full", "continues": "for:x"}, "for:x is not one of the available choices."),
        ({"backup_type": "full", "companies": "Nobody"}, "Nobody is not one of the available choices."),
    ],
)
def test_a_backup_that_cannot_be_is_refused_at_once(world: World, asked: dict[str, str], told: str) -> None:
    page = signed_in(world.people["root"]).post("/backup/", asked)
    assert told in page.content.decode()
    assert not Operation.objects.using(JOBS).exists()


@pytest.mark.django_db(transaction=True, databases=["default", "jobs", "history"])
def test_an_incremental_backup_continues_what_the_form_says(world: World, storage: Path) -> None:
    """Another backup of the catalogue, or what an installation is known to have."""
    first = BackupService().create_backup(output=io.BytesIO())
    AttendanceRecord.objects.update(shift="N")
    BackupService().create_backup(output=io.BytesIO())
    head = Head.objects.get().snapshot
    snapshot("default", head.tree, [head], is_head=False, installation=InstallationName(str(ELSEWHERE), "Site A"))
    root = signed_in(world.people["root"])
    choices = [value for value, _label in root.get("/backup/").context["form"].fields["continues"].choices]
    assert choices == ["", f"for:{ELSEWHERE}", str(first.id)]
    for chosen, parent in ((choices[1], head.pk), (choices[2], first.metadata.snapshot and first.metadata.snapshot.id)):
        root.post("/backup/", {"backup_type": "incremental", "continues": chosen})
        operation = Operation.objects.using(JOBS).latest("started_at")
        perform(operation.pk)
        operation.refresh_from_db()
        assert operation.result["parent"] == parent, operation.message
        for asked in ({"backup_type": "full"}, {"backup_type": "incremental", "since": "2026-01-01"}):
            page = root.post("/backup/", {**asked, "continues": chosen}).content.decode()
            assert "continues nothing" in page


def test_a_file_and_one_of_the_catalogue_are_not_both_restored(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(settings, "DATA_DIR", tmp_path)
    backup = Backup.objects.create(
        id=uuid.uuid4(),
        installation_id=uuid.uuid4(),
        backup_type="full",
        file="a.json",
        size=1,
        companies_count=0,
        records_count=0,
        taken_at=timezone.now(),
    )
    asked = {"file": SimpleUploadedFile("a.json", b"{}"), "backup": str(backup.pk), "strategy": "manual"}
    page = signed_in(world.people["root"]).post("/restore/", asked)
    assert "Choose a file to upload or a backup from the catalogue, not both." in page.content.decode()
    assert not Operation.objects.using(JOBS).exists()


@pytest.mark.django_db(transaction=True, databases=["default", "jobs", "history"])
def test_a_filter_that_cannot_be_read_decides_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A bulk decision must not reach further than the filter that the person saw."""
    monkeypatch.setattr(settings, "DATA_DIR", tmp_path)
    out = io.BytesIO()
    BackupService().create_backup(output=out)
    AttendanceRecord.objects.update(shift="N")
    root = signed_in(world.people["root"])
    check = checked(root, out.getvalue(), "manual")
    url = f"/restore/preview/{check.pk}/"
    root.post(url, {"scope": "filtered", "side": "theirs", "date_from": "yesterday"})
    with stored_preview.opened(check.pk) as preview:
        assert preview.undecided == preview.conflicting == 22
    root.post(url, {"scope": "chosen", "side": "theirs", "of_company": world.own.name, "of_unit": "shift"})
    with stored_preview.opened(check.pk) as preview:
        assert preview.undecided == 11


@pytest.mark.untraced
@pytest.mark.django_db(transaction=True, databases=["default", "jobs", "history"])
def test_one_line_is_decided_by_its_button(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What no button says decides nothing and breaks nothing; the way back leads to the line, or where it was."""
    monkeypatch.setattr(settings, "DATA_DIR", tmp_path)
    out = io.BytesIO()
    BackupService().create_backup(output=out)
    AttendanceRecord.objects.update(shift="N", ep_name="N")
    root = signed_in(world.people["root"])
    url = f"/restore/preview/{checked(root, out.getvalue(), 'manual').pk}/"

    def undecided(decide: str, **more: str) -> tuple[int, str]:
        answer = root.post(url, {"decide": decide, "version": root.get(url).context["preview"].version, **more})
        assert answer.status_code == 302
        return root.get(url).context["undecided"], answer["Location"].removeprefix(url)

    for nonsense in ("ours", "ours x", "mine 0", "ours -1", f"ours {'9' * 30}", "ours 0 shift name", "ours 0 salary"):
        assert undecided(nonsense)[0] == 44
    assert undecided("ours 0 shift") == (43, "?#line-0")
    assert undecided("theirs 1", kind="conflict") == (41, "?kind=conflict#line-1")
    assert undecided("theirs 2", undecided="on") == (39, "?undecided=on#lines")
    assert root.get(url, {"after": "9" * 30}).status_code == 200
    page = root.get(url).content.decode()
    assert "Not decided yet: 39 of 44 differences in 22 records." in page, "the table above counts records"
    assert "All differences of this line:" in root.get(url, {"ep_no": "A001"}).content.decode()
    assert "All differences of these 22 lines:" in root.get(url, {"kind": "conflict"}).content.decode()


@pytest.fixture
def differing(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> tuple[Client, str]:
    """Root, and the address of a preview in which each of the 22 records differs in two units."""
    monkeypatch.setattr(settings, "DATA_DIR", tmp_path)
    out = io.BytesIO()
    BackupService().create_backup(output=out)
    AttendanceRecord.objects.update(shift="N", ep_name="N")
    root = signed_in(world.people["root"])
    return root, f"/restore/preview/{checked(root, out.getvalue(), 'manual').pk}/"


def counted(page: str) -> list[str]:
    """The numbers of the row of attendance records in the table of what applying does."""
    row = re.search(r">Attendance records</th>(.*?)</tr>", page, re.DOTALL)
    assert row
    return re.findall(r">([\d,]+)<", row[1])


@pytest.mark.untraced
@pytest.mark.django_db(transaction=True, databases=["default", "jobs", "history"])
def test_what_nobody_decided_is_not_said_to_be_kept(differing: tuple[Client, str]) -> None:
    root, url = differing
    page = root.get(url).content.decode()
    heading = re.findall(r'<th scope="col">(?:<span[^>]*>)?([^<]+)', page.split("</thead>")[0])
    assert heading == [
        "What", "Added", "Updated", "Deleted", "Only here", "The same", "Conflicts", "Kept here", "To decide",
    ]  # fmt: skip
    assert counted(page) == ["0", "0", "0", "0", "0", "22", "0", "22"]
    root.post(url, {"decide": "ours 0 shift", "version": 0})
    assert counted(root.get(url).content.decode())[-3:] == ["22", "0", "22"], "one of its two units is still open"
    root.post(url, {"decide": "ours 0 name", "version": 1})
    assert counted(root.get(url).content.decode())[-3:] == ["22", "1", "21"]
    root.post(url, {"scope": "chosen", "side": "theirs"})
    assert counted(root.get(url).content.decode()) == ["0", "21", "0", "0", "0", "22", "1", "0"]
    root.post(url, {"strategy": "database_wins", "sure": "yes", "version": 3})
    assert counted(root.get(url).content.decode()) == ["0", "0", "0", "0", "0", "22", "22"]


@pytest.mark.django_db(transaction=True, databases=["default", "jobs", "history"])
def test_deciding_many_asks_before_it_changes_what_was_decided(world: World, differing: tuple[Client, str]) -> None:
    root, url = differing
    for line in (0, 1, 2):
        root.post(url, {"decide": f"ours {line} shift", "version": line})
    many = {"scope": "filtered", "company": world.own.name, "side": "theirs"}
    page = root.post(url, many, follow=True)
    text = page.content.decode()
    assert "19 differences were decided: the backup’s is taken." in text
    assert "Change 3 decisions that were made before?" in text
    assert "The lines that the filter below leaves" in text
    assert page.context["undecided"] == 22
    version = page.context["preview"].version
    root.post(url, {"decide": "ours 0 name", "version": version})
    stale = root.post(url, {**many, "sure": "yes", "version": version}, follow=True)
    assert "Something was decided in another tab" in stale.content.decode()
    again = root.post(url, many, follow=True)
    assert "Everything there was decided already." in again.content.decode()
    assert "Change 4 decisions that were made before?" in again.content.decode()
    sure = root.post(url, {**many, "sure": "yes", "version": again.context["preview"].version}, follow=True)
    assert "4 decisions were changed: the backup’s is taken." in sure.content.decode()
    assert sure.context["question"] is None

    back = {"scope": "chosen", "of_unit": "shift", "side": "none"}
    page = root.post(url, back, follow=True)
    assert "Take 11 decisions back?" in page.content.decode()
    assert "Every company · Shift" in page.content.decode()
    assert page.context["undecided"] == 22
    page = root.post(url, {**back, "sure": "yes", "version": page.context["preview"].version}, follow=True)
    assert "11 decisions were taken back." in page.content.decode()
    assert page.context["undecided"] == 33


@pytest.mark.untraced
@pytest.mark.django_db(transaction=True, databases=["default", "jobs", "history"])
def test_a_strategy_that_overrules_decisions_says_how_many_first(differing: tuple[Client, str]) -> None:
    root, url = differing
    root.post(url, {"decide": "theirs 0", "version": 0})
    page = root.post(url, {"strategy": "backup_wins"}, follow=True)
    assert (page.context["question"], page.context["manual"]) == (None, False), "it decides as was decided"
    root.post(url, {"strategy": "manual"})
    page = root.post(url, {"strategy": "database_wins"}, follow=True)
    assert "2 decisions are overruled if one side wins every difference." in page.content.decode()
    assert page.context["manual"]
    version = page.context["preview"].version
    root.post(url, {"decide": "theirs 1 name", "version": version})
    stale = root.post(url, {"strategy": "database_wins", "sure": "yes", "version": version}, follow=True)
    assert "Something was decided in another tab" in stale.content.decode()
    assert stale.context["manual"]
    page = root.post(url, {"strategy": "database_wins", "sure": "yes", "version": version + 1}, follow=True)
    assert "3 decisions made by hand do not count while one side wins every difference." in page.content.decode()
    page = root.post(url, {"strategy": "manual"}, follow=True)
    assert page.context["undecided"] == 41, "and then they count again"


@pytest.mark.django_db(transaction=True, databases=["default", "jobs", "history"])
def test_what_somebody_else_decided_meanwhile_is_not_written_over(differing: tuple[Client, str]) -> None:
    """Two have the page open as it was made: who comes second with another decision about the same is told."""
    root, url = differing
    root.post(url, {"decide": "ours 0 shift", "version": 0})
    for second in ("theirs 0 shift", "theirs 0"):
        told = root.post(url, {"decide": second, "version": 0}, follow=True).content.decode()
        assert "Something was decided in another tab" in told
        assert "Not decided yet: 43 of 44" in told
    for second in ("theirs 0 name", "ours 0 shift", "theirs 1"):
        assert "another tab" not in root.post(url, {"decide": second, "version": 0}, follow=True).content.decode()
    assert root.get(url).context["undecided"] == 40
    root.post(url, {"decide": "ours 1", "version": root.get(url).context["preview"].version})
    assert counted(root.get(url).content.decode()) == ["0", "1", "0", "0", "0", "22", "1", "20"]


@pytest.mark.django_db(transaction=True, databases=["default", "jobs", "history"])
def test_blank_text_is_seen_and_is_not_nothing(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(settings, "DATA_DIR", tmp_path)
    AttendanceRecord.objects.update(shift="", overtime=None, ep_name=" \u200b")
    out = io.BytesIO()
    BackupService().create_backup(output=out)
    AttendanceRecord.objects.filter(ep_no="A001").update(shift="N", overtime=90, ep_name="\u3000")
    AttendanceRecord.objects.filter(ep_no="B001").delete()
    root = signed_in(world.people["root"])
    page = root.get(f"/restore/preview/{checked(root, out.getvalue(), 'manual').pk}/").content.decode()
    assert "<td>N</td><td><em>blank</em></td>" in page
    assert "<td>01:30</td><td>—</td>" in page
    assert "<td><em>blank: 1 character</em></td><td><em>blank: 2 characters</em></td>" in page
    assert '<ins class="muster-new"><em>blank</em></ins>' in page, "of the record that is added"


@pytest.mark.django_db(transaction=True, databases=["default", "jobs", "history"])
def test_what_is_wrong_with_a_file_is_told_a_line_each_by_section(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Keys as people write them, the section once, digests short and once; the download has everything in full."""
    monkeypatch.setattr(settings, "DATA_DIR", tmp_path)
    theirs = file(register(day(), day(ep_no="E2", ep_name="Nul"), day(ep_no="E3"))).encode()
    spoiled = theirs.replace(b'"status":"P"', b'"status":"X"', 1).replace(b'"Nul"', b'"N\\u0000l"')
    spoiled = spoiled.replace(b'"name":"ABC Corp"', b'"name":"ABC Cork"')
    root = signed_in(world.people["root"])
    check = checked(root, spoiled, "manual")
    page = root.get(f"/operations/{check.pk}/").content.decode()
    told = page.split("What is wrong with the file (4)")[1]
    assert re.findall("<h3[^>]*>(.*?)</h3>", told) == ["Companies", "Attendance records", "The file as a whole"]
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in re.findall("<tr><td.*?</tr>", told)]
    assert [row[1] for row in rows[1:3]] == ["ABC Corp · E1 · 2026-11-20", "ABC Corp · E2 · 2026-11-20"]
    assert rows[1][2].startswith("status is &quot;X&quot;, where one of P, ")
    assert "N\\u0000l" in rows[2][2]
    assert not re.search("[0-9a-f]{13}", re.sub("<[^>]*>", "", told)), "no digest in full"
    answer = root.get(f"/operations/{check.pk}/errors/")
    errors = json.loads(answer.content)["errors"]
    assert answer["Content-Disposition"].endswith('.json"')
    assert [error["key"] for error in errors if "key" in error][1] == ["ABC Corp", "E1", "2026-11-20"]
    whole = next(error for error in errors if error.get("field") == "sha256")
    assert len(whole["value"]) == len(whole["expected"]) == 64


@pytest.mark.django_db(transaction=True, databases=["default", "jobs", "history"])
def test_what_stays_is_not_called_deleted_and_is_nothing_to_decide(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(settings, "DATA_DIR", tmp_path)
    incremental: dict[str, Any] = {"backup_type": "incremental", "since_date": "2026-11-01T00:00:00.000000Z"}
    theirs = file(register(), deleted=[("companies", {"name": world.own.name})], **incremental)
    root = signed_in(world.people["root"])
    page = root.get(f"/restore/preview/{checked(root, theirs.encode(), 'manual').pk}/").content.decode()
    assert '<span class="badge muster-same">Stays</span>' in page
    assert "badge muster-deleted" not in page
    assert "Where both sides differ" not in page
    assert "It can be applied when" not in page


@pytest.mark.django_db(transaction=True, databases=["default", "jobs", "history"])
def test_what_is_odd_about_a_file_is_told_from_the_check_to_the_summary(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(settings, "DATA_DIR", tmp_path)
    root = signed_in(world.people["root"])
    records = [old_record(day(world.own.name, ep_no)) for ep_no in ("E1", "E2")]
    check = checked(root, old_file([*records, *records]), "backup_wins")
    root.post(f"/restore/apply/{check.pk}/", {"version": 0})
    shown = [f"/operations/{check.pk}/", f"/restore/preview/{check.pk}/"]
    pages = [root.get(url).content.decode() for url in shown]
    restore = Operation.objects.using("jobs").get(kind="restore")
    perform(restore.pk)
    pages.append(root.get(f"/operations/{restore.pk}/").content.decode())
    for page in pages:
        assert page.count("the same record twice; the second is skipped") == 2
    assert "A backup that does not say where it comes from" in pages[1]
    for page in pages[1:]:
        assert "Backup of <time" in page


def test_the_rate_is_that_of_the_phase(world: World) -> None:
    """Time that went into earlier phases, or into waiting for the worker, says nothing about what is left of it."""
    now = timezone.now()
    pk = uuid.uuid4()
    with locks.held(f"operation-{pk}", JOBS):
        Operation.objects.using(JOBS).create(
            pk=pk,
            kind="restore",
            phase="apply",
            done=30_000,
            total=90_000,
            started_at=now - dt.timedelta(minutes=10),
            phase_started_at=now - dt.timedelta(seconds=10),
            heartbeat_at=now,
            actor_name="Meena",
        )
        page = signed_in(world.people["root"]).get(f"/operations/{pk}/").content.decode()
    assert "30,000 / 90,000 · 3,000 a second · about 20 s left in this phase" in page


def test_the_catalogue_says_what_a_selection_holds(world: World) -> None:
    def entry(companies: list[str] | None, first: str | None, last: str | None) -> str:
        selection = {"companies": companies, "date_from": first, "date_to": last}
        Backup.objects.create(
            id=uuid.uuid4(),
            installation_id=uuid.uuid4(),
            backup_type="full",
            selection=selection,
            size=1,
            companies_count=0,
            records_count=0,
            taken_at=timezone.now(),
        )
        return signed_in(world.people["root"]).get("/backup/").content.decode()

    assert "A &amp; Sons, B; 2026-01-01 – …" in entry(["A & Sons", "B"], "2026-01-01", None)
    assert "Every company; … – 2026-03-01" in entry(None, None, "2026-03-01")
