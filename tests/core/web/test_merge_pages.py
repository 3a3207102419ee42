"""The pages of what is merged: its sentence, its base, what somebody has to confirm, and how it is undone."""

from __future__ import annotations

import html
import io
import re
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from core.attendance.companies import rename_company
from core.backups.backup_service import BackupService
from core.models import JOBS, AttendanceRecord, Company, Installation, Operation, Seal, User
from core.restores.jobs import Comes
from core.restores.restore_service import RestoreService
from core.sheets.import_service import ImportService
from core.web.merges import Told
from recordsync.history.relation import Kinship
from recordsync.merge import Counts, Strategy
from recordsync.models import Block, Head, HeadMove, Node
from tests.builders.days import day
from tests.builders.files import file
from tests.builders.people import DAY, World, make_world
from tests.builders.registers import register
from tests.builders.sheets import as_csv, row, table
from tests.running.office import from_the_office
from tests.running.work_queue import work

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "jobs", "history"])


@pytest.fixture
def world(settings: Settings, tmp_path: Path) -> World:
    settings.DATA_DIR = tmp_path
    return make_world()


@pytest.fixture
def root(world: World) -> Client:
    return signed_in(world.people["root"])


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def text(client: Client, url: str) -> str:
    """What a page says in its main part, without its tags."""
    page = client.get(url).content.decode().partition("<main")[2]
    apart = re.sub(r"<(?!/?(a|strong|time|li)\b)[^>]*>", " ", page.partition(">")[2])
    return " ".join(html.unescape(re.sub("<[^>]*>", "", apart)).split())


def asked(client: Client, url: str, **data: object) -> str:
    """The id of the operation that a form asks for, which the worker has run."""
    location = client.post(url, data)["Location"]
    assert location.startswith("/operations/"), location
    work()
    return location.split("/")[2]


def checked(client: Client, data: bytes, **asks: str) -> str:
    return asked(client, "/restore/", file=SimpleUploadedFile("a.json", data), **{"strategy": "manual", **asks})


def applied(client: Client, check: str, **typed: str) -> str:
    version = client.get(f"/restore/preview/{check}/").context["preview"].version
    return asked(client, f"/restore/apply/{check}/", version=version, **typed)


def shifts(world: World, *numbers: str) -> list[str]:
    return [AttendanceRecord.objects.get(company=world.own, ep_no=number).shift for number in numbers]


def test_from_a_merge_to_its_withdrawal_and_back(world: World, root: Client) -> None:
    check = checked(root, from_the_office(world.own))
    page = text(root, f"/restore/preview/{check}/")
    assert "1 record will be deleted here: deleted at Site A office PC." in page
    assert (
        "3 came from Site A office PC (1 added, 1 updated, 1 deleted), 1 changed only here and stays, "
        "18 are the same, 1 needs you." in page
    )
    assert "Both had snapshot 1 of Site A office PC (" in page
    assert "Attendance records 1 1 1 1 18 1 0 1" in page
    assert "Both had before either changed it" in page

    root.post(f"/restore/preview/{check}/", {"scope": "chosen", "side": "theirs"})
    done = applied(root, check)
    page = text(root, f"/operations/{done}/")
    assert (
        "4 came from Site A office PC (1 added, 2 updated, 1 deleted), 1 changed only here and stays, "
        "18 are the same, 1 was in conflict. Both had snapshot 1 of Site A office PC (" in page
    )
    assert "Withdraw What came is withdrawn here." in page
    assert "Undo everywhere This is a change like any other" in page
    assert shifts(world, "A001", "A002", "A003") == ["NIGHT", "G2", "NIGHT"]
    assert "Withdraw" in text(root, "/history/")

    AttendanceRecord.objects.filter(company=world.own, ep_no="A005").update(shift="LATE")
    check = asked(root, f"/operations/{done}/undo/", how="withdraw")
    page = text(root, f"/restore/preview/{check}/")
    assert "1 record will be deleted here: it was not there before." in page
    assert (
        "4 go back to what they were (1 added, 2 updated, 1 deleted), 1 changed only here and stays, "
        "18 are the same. What came is withdrawn here." in page
    )
    withdrawn = applied(root, check)
    assert shifts(world, "A001", "A002", "A003", "A005") == ["GEN", "G3", "NIGHT", "LATE"]
    page = text(root, f"/operations/{withdrawn}/")
    assert page.split("Undo: ")[1].startswith("Withdraw Restore by root (")
    assert "Bring it back What was withdrawn comes back" in page

    page = text(root, f"/operations/{done}/")
    assert "It was undone by root, " in page
    assert "(“Withdraw”). Look at the undo" in page

    redone = applied(root, asked(root, f"/operations/{withdrawn}/undo/", how="redo"))
    assert shifts(world, "A001", "A002", "A003", "A005") == ["NIGHT", "G2", "NIGHT", "LATE"]
    page = text(root, f"/operations/{done}/")
    assert "It was undone by root, " in page
    assert "That was undone in its turn by root, " in page
    assert f'<a href="/operations/{redone}/">Undone ' in root.get("/history/").content.decode()
    stale = root.post(f"/operations/{done}/undo/", {"how": "withdraw"}, follow=True).content.decode()
    assert "Nothing was changed. Press “Undo everywhere” instead." in html.unescape(stale)


def test_what_was_merged_here_already_is_brought_back_by_choice(world: World, root: Client) -> None:
    data = from_the_office(world.own)
    applied(root, checked(root, data, strategy="backup_wins"))
    AttendanceRecord.objects.filter(company=world.own, ep_no="A001").update(shift="LATE")
    check = checked(root, data)
    page = text(root, f"/restore/preview/{check}/")
    assert re.search(r"Merged here on [\d-]{10} \d\d:\d\d UTC; 2 records changed here since\. Nothing to do\.", page)
    assert "Apply to this register" not in page
    again = asked(root, f"/operations/{check}/check-again/", **{"with": "no_base"})
    page = text(root, f"/restore/preview/{again}/")
    assert "No base was chosen" in page
    assert "2 need you" in page
    back = asked(root, f"/operations/{again}/check-again/", **{"with": "merge"})
    assert "Merged here on" in text(root, f"/restore/preview/{back}/")


def test_a_closed_month_is_decided_before_anything_is_applied(world: World, root: Client) -> None:
    data = from_the_office(world.own)
    closed = {"closed_by": "asha", "closed_as": world.own.name, "digest": "0" * 64}
    seal = Seal.objects.create(company=world.own, month=DAY.replace(day=1), **closed)
    check = checked(root, data, strategy="backup_wins")
    at = f"/restore/preview/{check}/"
    page = text(root, at)
    assert f"Closed months November 2026 of {world.own.name} is closed (by asha, " in page
    assert "): 4 days of it would change. Show them : November 2026 of Asha Builders Only a person decides" in page
    assert "Nothing comes, 1 changed only here and stays, 18 are the same, 4 are of closed months." in page
    assert "“Keep closed” leaves them as they are here, “Reopen” reopens them and applies everything." in page
    assert "It can be applied when it is decided what becomes of the closed months. Decide" in page
    assert "Apply to this register" not in page
    assert page.count("Its month is closed.") == 4
    shown = html.unescape(root.get(at).content.decode())
    assert "?company=Asha+Builders&date_from=2026-11-01&date_to=2026-11-30#lines" in shown
    refused = root.post(f"/restore/apply/{check}/", {"version": 0}, follow=True).content.decode()
    assert "4 days of it would change. Nothing was changed. Say first whether they stay closed." in refused

    assert root.post(at, {"closed": "keep_closed", "version": 7}, follow=True).context["preview"].closed is None
    root.post(at, {"closed": "keep_closed", "version": 0})
    page = text(root, at)
    assert "Decided: they stay closed, and as they are here." in page
    assert "4 of closed months stay as they are." in page
    assert page.count("Its month is closed: it stays as it is.") == 4
    root.post(at, {"closed": "reopen", "version": 1})
    page = text(root, at)
    assert "Decided: they change, and are reopened unless they are then as somebody closed them." in page
    assert "4 came from Site A office PC (1 added, 2 updated, 1 deleted), 1 changed only here" in page
    root.post(at, {"closed": "keep_closed", "version": 2})
    done = applied(root, check)
    assert f"Kept closed, as it was here: November 2026 of {world.own.name}." in text(root, f"/operations/{done}/")
    assert f"Kept closed, as it was here: November 2026 of {world.own.name}." in text(root, "/history/")
    assert shifts(world, "A001", "A002", "A003") == ["GEN", "G3", "NIGHT"]

    again = checked(root, data, strategy="backup_wins", mode="exact")
    at = f"/restore/preview/{again}/"
    page = text(root, at)
    assert "Only a person decides that they change. To keep them closed, merge it. Reopen What happens" in page
    refused = root.post(at, {"closed": "keep_closed", "version": 0}, follow=True).content.decode()
    assert "so it cannot keep them closed. Nothing was changed." in refused
    seal.refresh_from_db()
    assert seal.reopened_at is None


def test_a_backup_of_ones_own_that_nothing_differs_from(world: World, root: Client) -> None:
    out = io.BytesIO()
    BackupService().create_backup(output=out)
    page = text(root, f"/restore/preview/{checked(root, out.getvalue())}/")
    assert "Nothing that is here differs from it. Nothing to do. This was taken here" in page
    assert "Apply There is nothing to apply." in page
    for wrong in ("Merged here", "merged here", "Bring these values back", "Apply to this register"):
        assert wrong not in page


def test_what_a_command_restored_is_told_by_its_audit_row(world: World, root: Client) -> None:
    RestoreService().restore_backup(io.BytesIO(from_the_office(world.own)), "backup_wins")
    done = Operation.objects.using(JOBS).filter(kind="restore").order_by("-started_at")[0]
    page = text(root, f"/operations/{done.pk}/")
    assert "1 added, 2 updated, 1 deleted, 18 identical. 1 changed only here and stays. 1 was in conflict." in page
    assert "Both had snapshot 1 of Site A office PC" in page
    assert "Withdraw" in page


def test_a_fast_forward_is_told(world: World, root: Client) -> None:
    data = from_the_office(world.own)
    check = checked(root, data)
    assert "is missing there" not in text(root, f"/restore/preview/{check}/")
    AttendanceRecord.objects.filter(shift__in=["G3", "NIGHT"]).update(shift="GEN")
    page = text(root, f"/restore/preview/{checked(root, data)}/")
    assert "4 came from Site A office PC (1 added, 2 updated, 1 deleted), 19 are the same." in page
    assert "Nothing that is here is missing there, so the register becomes exactly as it is there." in page


def test_what_brings_nothing_but_a_closed_month_is_told() -> None:
    models = {"attendance_records": Counts(read=9, skipped=9), "seals": Counts(read=1, added=1)}
    told = Told(Comes.FILE, "Office", False, False, models, Strategy.MANUAL, Kinship.AHEAD, True)
    assert told.is_fast_forward
    assert told.changes == 1
    assert told.of_others == "Closed months: 1 added."


def test_an_exact_restore_is_confirmed_by_the_name(world: World, root: Client) -> None:
    name = Installation.current().name
    out = io.BytesIO()
    BackupService().create_backup(output=out)
    late = Company.objects.create(name="Late & Sons")
    AttendanceRecord.objects.create(company=late, ep_no="L1", ep_name="Late", date=DAY, status="P", shift="GEN")
    AttendanceRecord.objects.filter(ep_no="A001").update(shift="NIGHT")
    check = checked(root, out.getvalue(), mode="exact")
    page = text(root, f"/restore/preview/{check}/")
    assert "The register becomes exactly as this" in page
    assert "This deletes here: Late & Sons: 1 of 1 record" in page
    assert f"To confirm, type the name of this installation: {name}" in page
    for typed in ({}, {"typed": "Another"}):
        told = root.post(f"/restore/apply/{check}/", {"version": 0, **typed}, follow=True).content.decode()
        assert "What was typed is not the name of this installation. Nothing was changed." in told
    assert Company.objects.filter(pk=late.pk).exists()
    done = applied(root, check, typed=name)
    assert not Company.objects.filter(pk=late.pk).exists()
    check = checked(root, out.getvalue(), mode="exact")
    assert "To confirm" not in text(root, f"/restore/preview/{check}/"), "nothing differs any more"
    assert shifts(world, "A001") == ["GEN"]
    applied(root, asked(root, f"/operations/{done}/undo/", how="everywhere"))
    assert shifts(world, "A001") == ["NIGHT"]
    assert Company.objects.filter(name=late.name).exists()


def test_a_snapshot_is_merged_or_becomes_the_register(world: World, root: Client) -> None:
    BackupService().create_backup(output=io.BytesIO())
    url = f"/history/{Head.objects.get().snapshot_id}/"
    AttendanceRecord.objects.filter(ep_no="A001").update(shift="NIGHT")
    AttendanceRecord.objects.filter(ep_no="B001").delete()
    assert "Make the register as it was then" in text(root, url)
    assert root.post(f"{url}restore/", {"mode": "nonsense"})["Location"] == url
    merge = text(root, f"/restore/preview/{asked(root, f'{url}restore/', mode='merge')}/")
    assert "1 comes from the snapshot (1 added), 20 are the same, 1 needs you." in merge
    assert "Take the snapshot’s" in merge
    check = asked(root, f"{url}restore/", mode="exact")
    assert "Checking a snapshot" in text(root, f"/operations/{check}/")
    assert "2 come from the snapshot (1 added, 1 updated), 20 are the same." in text(root, f"/restore/preview/{check}/")
    Block.objects.using("history").all().delete()
    Node.objects.using("history").all().delete()
    assert "Make the register as it was then" not in text(root, url)


def test_without_the_base_at_hand_one_goes_on_without(world: World, root: Client) -> None:
    data = from_the_office(world.own)
    for table_of in (Block, Node):
        table_of._default_manager.using("history").all().delete()
    check = checked(root, data)
    page = text(root, f"/operations/{check}/")
    assert "which both sides had, are not at hand here" in page
    assert "Check it again without a base" in page
    assert "What is wrong with the file" not in page
    again = asked(root, f"/operations/{check}/check-again/", **{"with": "no_base"})
    assert "No base was chosen" in text(root, f"/restore/preview/{again}/")


def test_what_cannot_be_exact_is_merged(world: World, root: Client) -> None:
    incremental = file(register(day()), backup_type="incremental", since_date="2026-11-01T00:00:00.000000Z")
    check = checked(root, incremental.encode(), mode="exact")
    assert "Merge it instead" in text(root, f"/operations/{check}/")
    again = asked(root, f"/operations/{check}/check-again/", **{"with": "merge"})
    page = text(root, f"/restore/preview/{again}/")
    assert "1 came from" in page
    assert "is missing there" not in page, "nothing in common is known"


def test_a_company_is_merged_as_two_only_when_somebody_confirms_it(world: World, root: Client) -> None:
    """There it was renamed; here another one got that name."""
    renamed = f"{world.own.name} Ltd"
    data = from_the_office(world.own, renamed=renamed)
    other = Company.objects.create(name=renamed)
    AttendanceRecord.objects.create(company=other, ep_no="L1", ep_name="Late", date=DAY, status="P", shift="GEN")
    check = checked(root, data)
    root.post(f"/restore/preview/{check}/", {"scope": "chosen", "side": "theirs"})
    page = text(root, f"/restore/preview/{check}/")
    assert "are merged as two companies" in page
    assert "A company is merged as two: see the warning above." in page
    told = root.post(f"/restore/apply/{check}/", {"version": 1}, follow=True).content.decode()
    assert "What was typed is not the name of this installation. Nothing was changed." in told
    applied(root, check, typed=Installation.current().name)
    assert AttendanceRecord.objects.filter(company=other, ep_no="A099").exists()


def imported(by: User, *numbers: str) -> Operation:
    rows = (row(company_name="Asha Builders", ep_no=number) for number in numbers)
    ImportService(user=by).apply(as_csv(table(*rows)))
    return Operation.objects.using(JOBS).get(kind="import")


def test_an_administrator_undoes_an_own_import_and_sees_no_more(world: World, root: Client) -> None:
    admin, other = (signed_in(world.people[who]) for who in ("admin", "other_admin"))
    done = imported(world.people["admin"], "A200", "A201")
    AttendanceRecord.objects.filter(company=world.other, ep_no="B001").update(shift="NIGHT")
    assert other.post(f"/operations/{done.pk}/undo/", {"how": "everywhere"}).status_code == 403
    check = asked(admin, f"/operations/{done.pk}/undo/", how="everywhere")
    preview = f"/restore/preview/{check}/"
    page = text(admin, preview)
    assert "2 go back to what they were (2 deleted). This is a change like any other" in page
    assert "are the same" not in page
    assert "only here" not in page.lower()
    assert world.other.name not in page
    assert "21 are the same" in text(root, preview)
    of_root = checked(root, from_the_office(world.own))
    for client, hidden in ((other, check), (admin, of_root)):
        for url in (f"/restore/preview/{hidden}/", f"/restore/apply/{hidden}/", f"/operations/{hidden}/"):
            assert client.get(url).status_code == 403, url
        for url in (f"/restore/preview/{hidden}/", f"/restore/apply/{hidden}/", f"/operations/{hidden}/cancel/"):
            assert client.post(url).status_code == 403, url
        for url in (f"/operations/{hidden}/changes/", f"/operations/{hidden}/errors/"):
            assert client.get(url).status_code == 403, url
        assert client.post(f"/operations/{hidden}/check-again/", {"with": "no_base"}).status_code == 403


def test_an_administrator_applies_it(world: World, root: Client) -> None:
    admin = signed_in(world.people["admin"])
    done = imported(world.people["admin"], "A200", "A201")
    AttendanceRecord.objects.filter(ep_no="A201").update(shift="NIGHT")
    check = asked(admin, f"/operations/{done.pk}/undo/", how="everywhere")
    assert "1 needs you" in text(admin, f"/restore/preview/{check}/")
    admin.post(f"/restore/preview/{check}/", {"scope": "chosen", "side": "ours"})
    undone = applied(admin, check)
    page = text(admin, f"/operations/{undone}/")
    assert "1 went back to what it was (1 deleted), 1 was in conflict." in page
    assert "Bring it back" not in page
    assert "Undo everywhere This is" not in page, "root undoes an undo"
    assert list(AttendanceRecord.objects.filter(ep_no__startswith="A20").values_list("ep_no", flat=True)) == ["A201"]
    User.objects.filter(pk=world.people["admin"].pk).update(company=world.other)
    assert admin.get(f"/operations/{undone}/").status_code == 403, "of another company now"


def test_the_page_of_an_import_has_the_button(world: World, root: Client) -> None:
    admin = signed_in(world.people["admin"])
    sheet = SimpleUploadedFile("november.csv", as_csv(table(row(company_name="Asha Builders", ep_no="A200"))).read())
    page = admin.post("/upload/", {"file": sheet})["Location"]
    work()
    admin.post(f"{page}apply/")
    work()
    assert "Undo everywhere This is a change like any other" in text(admin, page)
    assert "Undo everywhere" in text(root, page)
    done = Operation.objects.using(JOBS).get(kind="import")
    assert "Undo everywhere" in text(root, f"/operations/{done.pk}/")
    HeadMove.objects.all().delete()
    assert "It cannot be undone. Nothing is known that this operation changed" in text(admin, page)


def test_a_renaming_leads_to_its_undo(world: World, root: Client) -> None:
    page = root.post(f"/companies/{world.own.pk}/rename/", {"name": "Asha Renamed"}, follow=True).content.decode()
    (link,) = re.findall(r'href="(/operations/[^"]*)">It can be undone', page)
    assert "Undo everywhere" in text(root, link)
    assert f"Rename a company {world.own.name} → Asha Renamed root" in text(root, "/history/")
    check = asked(root, f"{link}undo/", how="everywhere")
    shown = text(root, f"/restore/preview/{check}/")
    assert "Companies: 1 updated" in shown
    assert "It has another name there." in shown


def test_a_conflict_about_a_name_is_counted_like_any_other(world: World, root: Client) -> None:
    data = from_the_office(world.own, renamed="Asha Ltd")
    rename_company(world.own.pk, "Asha Inc", user=world.people["root"])
    check = checked(root, data)
    assert "2 need you." in text(root, f"/restore/preview/{check}/")
    root.post(f"/restore/preview/{check}/", {"scope": "chosen", "side": "theirs"})
    assert "2 are decided." in text(root, f"/restore/preview/{check}/")
    done = applied(root, check)
    assert "2 were in conflict." in text(root, f"/operations/{done}/")


def test_a_button_that_is_not_there(world: World, root: Client) -> None:
    """What cannot be undone so is told, and nothing is asked for."""
    done = imported(world.people["root"], "A200")
    told = root.post(f"/operations/{done.pk}/undo/", {"how": "withdraw"}, follow=True).content.decode()
    assert "This cannot be withdrawn any more" in told
    unknown = Operation.objects.using(JOBS).create(kind="restore", state="succeeded")
    assert root.post(reverse("undo_operation", args=[unknown.pk]))["Location"] == "/history/"
    assert not Operation.objects.using(JOBS).filter(kind="check").exists()
