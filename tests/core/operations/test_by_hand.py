"""What people change by hand: records, companies, accounts; and deleting all."""

from __future__ import annotations

import datetime as dt
from unittest.mock import patch

import pytest
from django.test import Client
from django.urls import reverse

from core.attendance import companies as company_service
from core.attendance.records import AlreadyThere, LostUpdate, RecordService, submit_delete_all
from core.backups import catalogue
from core.backups.backup_service import BackupService
from core.models import AttendanceRecord, Backup, BackupLog, Company, Operation, Role, User
from core.operations.errors import DataMoved, OperationFailed
from core.register.database import Register
from tests.builders.days import blank_day
from tests.builders.registers import LONG_AGO, put_day
from tests.running.work_queue import perform


@pytest.fixture
def root(register_db: str) -> User:
    return User.objects.db_manager(register_db).create_superuser("root", password="a good one")


@pytest.fixture
def record(register_db: str, root: User) -> AttendanceRecord:
    return put_day(register_db, blank_day("Asha Builders", "A1"))


def test_a_lost_update_changes_nothing(register_db: str, root: User, record: AttendanceRecord) -> None:
    service = RecordService(root, Register(register_db))
    service.change(record.pk, LONG_AGO, {"status": "A"})
    with pytest.raises(LostUpdate):
        service.change(record.pk, LONG_AGO, {"status": "L"})
    with pytest.raises(LostUpdate):
        service.delete(record.pk, LONG_AGO)
    record.refresh_from_db(using=register_db)
    assert record.status == "A"
    assert record.updated_at > LONG_AGO


def test_a_key_is_there_once(register_db: str, root: User, record: AttendanceRecord) -> None:
    twin = AttendanceRecord(company=record.company, ep_no="A1", date=record.date, status="A")
    with pytest.raises(AlreadyThere, match="already has a record of A1"):
        RecordService(root, Register(register_db)).add(twin)
    other = AttendanceRecord(company=record.company, ep_no="A2", date=record.date, status="A")
    RecordService(root, Register(register_db)).add(other)
    supervisor = User(username="reader", role=Role.USER1, company=record.company)
    with pytest.raises(PermissionError):
        RecordService(supervisor, Register(register_db)).add(twin)
    with pytest.raises(PermissionError):
        RecordService(supervisor, Register(register_db)).delete_all()
    assert AttendanceRecord.objects.using(register_db).count() == 2


def test_a_company_that_is_deleted_meanwhile_is_not_called_a_record_that_is_there(
    register_db: str, root: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by the restore that it waited for."""
    company = Company.objects.using(register_db).create(name="Gone")
    now = catalogue.stamp(Register(register_db))

    def delete(register: Register) -> dt.datetime:
        register.rows(Company).filter(pk=company.pk).delete()
        return now

    monkeypatch.setattr(catalogue, "stamp", delete)
    with pytest.raises(OperationFailed, match=r"Gone was deleted meanwhile\. Nothing was saved\.") as failed:
        RecordService(root, Register(register_db)).add(
            AttendanceRecord(company=company, ep_no="A1", date=now.date(), status="P")
        )
    assert not isinstance(failed.value, AlreadyThere)
    assert not AttendanceRecord.objects.using(register_db).exists()


def test_delete_all_takes_a_backup_first(register_db: str, root: User, record: AttendanceRecord) -> None:
    backup = RecordService(root, Register(register_db)).delete_all()
    assert backup.records == 1
    assert Backup.objects.using(register_db).get(pk=backup.id).purpose == Backup.Purpose.SAFETY
    assert not AttendanceRecord.objects.using(register_db).exists()
    assert Company.objects.using(register_db).exists()
    log = BackupLog.objects.using(register_db).get(operation="delete_all")
    assert (log.success, log.records_deleted, log.actor_name) == (True, 1, "root")


def test_delete_all_is_a_job_with_its_page(register_db: str, root: User, record: AttendanceRecord) -> None:
    operation = submit_delete_all(root, Register(register_db))
    assert AttendanceRecord.objects.using(register_db).exists()
    perform(operation.pk)
    operation.refresh_from_db()
    assert (operation.state, operation.message) == (Operation.State.SUCCEEDED, "")
    backup = Backup.objects.using(register_db).get(pk=operation.result["id"])
    assert (backup.purpose, backup.records_count) == (Backup.Purpose.SAFETY, 1)
    assert operation.filename == backup.file
    assert not AttendanceRecord.objects.using(register_db).exists()


def test_who_is_not_root_any_more_deletes_nothing(register_db: str, root: User, record: AttendanceRecord) -> None:
    operation = submit_delete_all(root, Register(register_db))
    User.objects.using(register_db).update(is_active=False)
    perform(operation.pk)
    operation.refresh_from_db()
    assert operation.state == Operation.State.FAILED
    assert "may not delete all records any more" in operation.message
    assert AttendanceRecord.objects.using(register_db).exists()


def test_delete_all_stops_if_a_record_is_not_in_the_backup(
    register_db: str, root: User, record: AttendanceRecord
) -> None:
    taking = BackupService.create_backup

    def and_then_somebody_saves(service: BackupService, **options: object) -> object:
        result = taking(service, **options)  # type: ignore[arg-type]
        RecordService(root, Register(register_db)).change(record.pk, LONG_AGO, {"status": "A"})
        return result

    with patch.object(BackupService, "create_backup", and_then_somebody_saves), pytest.raises(DataMoved):
        RecordService(root, Register(register_db)).delete_all()
    assert AttendanceRecord.objects.using(register_db).get().status == "A"


def test_renaming_moves_and_dates_every_record(register_db: str, root: User, record: AttendanceRecord) -> None:
    pk = record.company_id
    Company.objects.using(register_db).create(name="Borealis")
    with pytest.raises(OperationFailed, match="There is a company named Borealis"):
        company_service.rename_company(pk, "Borealis", user=root, register=Register(register_db))
    assert company_service.rename_company(pk, "Asha & Sons", user=root, register=Register(register_db)).records == 1
    record = AttendanceRecord.objects.using(register_db).get()
    assert record.company.name == "Asha & Sons"
    assert record.updated_at > LONG_AGO
    assert record.created_at == LONG_AGO
    assert BackupLog.objects.using(register_db).get(operation="rename_company", success=True).records_updated == 1
    with pytest.raises(OperationFailed, match="named Asha & Sons already"):
        company_service.rename_company(pk, "Asha & Sons", user=root, register=Register(register_db))


def test_companies_come_and_go(register_db: str, root: User, record: AttendanceRecord) -> None:
    empty = company_service.add_company("Empty", user=root, register=Register(register_db))
    with pytest.raises(OperationFailed, match="There is a company"):
        company_service.add_company("Empty", user=root, register=Register(register_db))
    company_service.delete_company(empty.pk, user=root, register=Register(register_db))
    with pytest.raises(OperationFailed, match="has attendance records or accounts"):
        company_service.delete_company(record.company_id, user=root, register=Register(register_db))
    assert [company.name for company in Company.objects.using(register_db)] == ["Asha Builders"]


@pytest.mark.django_db(databases=["default", "jobs", "history"])
def test_an_administrator_gives_no_roles_and_reaches_no_other_company() -> None:
    own, other = Company.objects.create(name="Own"), Company.objects.create(name="Other")
    admin = User.objects.create_user("admin", role=Role.ADMIN, company=own)
    foreign = User.objects.create_user("foreign", role=Role.USER1, company=other)
    client = Client()
    client.force_login(admin)
    form = {
        "username": "new",
        "password": "a long and good one",
        "role": "root",
        "company": other.pk,
        "is_active": "on",
        "is_superuser": "on",
    }
    assert client.post(reverse("add_user"), form).status_code == 302
    made = User.objects.get(username="new")
    assert (made.role, made.company, made.is_superuser) == (Role.USER1, own, False)
    assert made.check_password("a long and good one")
    for account in (foreign, admin):
        assert client.post(reverse("edit_user", args=[account.pk]), form).status_code == 404
    assert (
        client.post(reverse("edit_user", args=[made.pk]), form | {"username": "newer", "password": ""}).status_code
        == 302
    )
    made.refresh_from_db()
    assert (made.username, made.role, made.company) == ("newer", Role.USER1, own)
    assert made.check_password("a long and good one")


@pytest.mark.django_db(databases=["default", "jobs", "history"])
def test_root_keeps_its_own_role() -> None:
    root = User.objects.create_superuser("root")
    client = Client()
    client.force_login(root)
    client.post(reverse("edit_user", args=[root.pk]), {"username": "root", "role": "user1"})
    root.refresh_from_db()
    assert (root.role, root.is_active) == (Role.ROOT, True)


@pytest.mark.django_db(databases=["default", "jobs", "history"])
@pytest.mark.parametrize(
    "seen", ["", "x", "\0", "9999-12-31T23:59:59.999999+00:00", "0001-01-01T00:00:00.000000+23:59"]
)
def test_a_form_that_does_not_say_what_it_was_made_from_changes_nothing(seen: str) -> None:
    company = Company.objects.create(name="Asha Builders")
    record = AttendanceRecord.objects.create(company=company, ep_no="A1", date=dt.date(2026, 11, 20), status="P")
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    for name in ("edit_record", "delete_record"):
        page = client.post(reverse(name, args=[record.pk]), {"seen": seen, "status": "A"})
        assert page.status_code == 409
        assert "does not say which state" in page.content.decode()
    record.refresh_from_db()
    assert record.status == "P"


@pytest.mark.django_db(databases=["default", "jobs", "history"])
def test_a_browser_that_shows_one_line_does_not_change_a_name_of_two() -> None:
    company = Company.objects.create(name="Asha Builders")
    record = AttendanceRecord.objects.create(
        company=company, ep_no="A1", ep_name="Meena\r\n Rao", shift="G\nS", date=dt.date(2026, 11, 20), status="P"
    )
    client = Client()
    client.force_login(User.objects.create_superuser("root"))

    def save(**posted: str) -> None:
        record.refresh_from_db()
        seen = record.updated_at.isoformat(timespec="microseconds")
        answer = client.post(reverse("edit_record", args=[record.pk]), {"seen": seen, "status": "A", **posted})
        assert answer.status_code == 302
        record.refresh_from_db()

    save(ep_name="Meena Rao", shift="GS")
    assert (record.ep_name, record.shift, record.status) == ("Meena\r\n Rao", "G\nS", "A")
    save(ep_name="Meena R", shift="")
    assert (record.ep_name, record.shift) == ("Meena R", "")


@pytest.mark.django_db(databases=["default", "jobs", "history"])
def test_keys_are_spelt_as_an_import_would_unless_they_are_there_as_typed() -> None:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    apart, whole = "Jose\u0301", "Jos\u00e9"

    def add_record(company: Company, day: str) -> None:
        posted = {"company": str(company.pk), "ep_no": apart, "date": day, "status": "P"}
        assert client.post(reverse("add_record"), posted).status_code == 302

    client.post(reverse("companies"), {"name": apart})
    (company,) = Company.objects.all()
    assert company.name == whole
    add_record(company, "2026-11-20")
    assert [record.ep_no for record in AttendanceRecord.objects.all()] == [whole]

    AttendanceRecord.objects.update(ep_no=apart)
    add_record(company, "2026-11-21")
    assert [record.ep_no for record in AttendanceRecord.objects.all()] == [apart, apart]
    Company.objects.update(name=apart)
    assert "already" in client.post(reverse("companies"), {"name": apart}).content.decode()
    too_long = "\u0958" * 200  # each becomes two characters
    assert "at most 255" in client.post(reverse("companies"), {"name": too_long}).content.decode()
    assert Company.objects.count() == 1


@pytest.fixture
def accounts() -> tuple[Client, User]:
    """Root's browser, and an account of a supervisor."""
    company = Company.objects.create(name="Own")
    client = Client()
    client.force_login(User.objects.create_superuser("root", password="a good one"))
    return client, User.objects.create_user("meena", first_name="Meena", role=Role.USER1, company=company)


def _as_it_is(client: Client, url: str) -> dict[str, str]:
    """What the form at a page sends if nobody touches it: its fields and, hidden, what they were."""
    form = client.get(url).context["form"]
    inputs = {}
    for bound in form:
        value = bound.value()
        if value is not False:
            inputs[bound.html_name] = "" if value is None else str(value)
        if bound.field.show_hidden_initial:
            inputs[bound.html_initial_name] = "" if value is None else str(value)
    return inputs


@pytest.mark.django_db(databases=["default", "jobs", "history"])
def test_two_who_edit_an_account_do_not_write_over_each_other(accounts: tuple[Client, User]) -> None:
    client, account = accounts
    url = reverse("edit_user", args=[account.pk])
    form = _as_it_is(client, url)
    User.objects.filter(pk=account.pk).update(is_active=False, last_name="Rao", assigned_date_from="2026-11-01")
    changed = form | {"first_name": "Meena R.", "last_name": "Roy"}
    page = client.post(url, changed)
    assert page.status_code == 200
    assert page.context["form"].errors == {
        "last_name": ["Somebody changed this while you were editing. Saved now: Rao. Save again to replace that."]
    }
    assert 'name="last_name" value="Roy"' in page.content.decode()
    account.refresh_from_db()
    assert (account.first_name, account.last_name) == ("Meena", "Rao")
    assert client.post(url, changed | {"initial-last_name": "Rao"}).status_code == 302
    account.refresh_from_db()
    assert (account.first_name, account.last_name) == ("Meena R.", "Roy")
    assert not account.is_active, "who was shut out meanwhile stays so: nobody touched it here"
    assert account.assigned_date_from == dt.date(2026, 11, 1)
    page = client.post(url, form | {"assigned_date_to": "2026-10-01"})
    assert "The last day is before the first." in page.content.decode(), "the first is what is saved now"


@pytest.mark.django_db(transaction=True, databases=["default", "jobs", "history"])
def test_a_company_renamed_or_deleted_meanwhile_keeps_the_name_that_was_typed(accounts: tuple[Client, User]) -> None:
    client, account = accounts
    company = account.company
    assert company is not None
    url = reverse("rename_company", args=[company.pk])
    form = _as_it_is(client, url) | {"name": "Mine"}
    assert form["initial-name"] == "Own"
    Company.objects.update(name="Theirs")
    page = client.post(url, form)
    assert "Somebody renamed this company to Theirs meanwhile. Nothing was changed." in page.content.decode()
    assert Company.objects.get().name == "Theirs"
    again = {name: page.context["form"].data[name] for name in ("name", "initial-name")}
    assert again == {"name": "Mine", "initial-name": "Theirs"}
    account.delete()
    company.delete()
    page = client.post(url, form, follow=True)
    assert "This company was deleted meanwhile." in page.content.decode()
    assert page.context["form"]["name"].value() == "Mine"
    company = Company.objects.create(name="Third")
    assert (
        client.post(reverse("rename_company", args=[company.pk]), again | {"initial-name": "Third"}).status_code == 302
    )
    assert Company.objects.get().name == "Mine"
    with pytest.raises(OperationFailed, match="was deleted meanwhile"):
        company_service.delete_company(12345, user=User.objects.get())
    with pytest.raises(OperationFailed, match="was deleted meanwhile"):
        company_service.rename_company(12345, "x", user=User.objects.get())
