"""The administration site: keys stay, changes are dated, what services wrote is only looked at."""

import datetime as dt
import html
import re
import uuid
from typing import Any

import pytest
from django.test import Client
from django.utils.html import strip_tags

from core.models import AttendanceRecord, Backup, BackupLog, Company, Operation, Role, User

pytestmark = pytest.mark.django_db(databases=["default", "jobs", "history"])

LONG_AGO = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)


@pytest.fixture
def root(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("root"))
    return client


@pytest.fixture
def company() -> Company:
    return Company.objects.create(name="ABC Corp", created_at=LONG_AGO, updated_at=LONG_AGO)


@pytest.fixture
def record(company: Company) -> AttendanceRecord:
    return AttendanceRecord.objects.create(
        ep_no="EMP001",
        company=company,
        date=dt.date(2026, 11, 20),
        status="P",
        created_at=LONG_AGO,
        updated_at=LONG_AGO,
    )


def test_a_record_is_added_with_its_key(root: Client, company: Company) -> None:
    form = {"ep_no": "EMP7", "company": company.pk, "date": "2026-11-20", "status": "A"}
    assert root.post("/admin/core/attendancerecord/add/", form).status_code == 302
    assert AttendanceRecord.objects.get().ep_no == "EMP7"


def test_a_change_keeps_the_key_and_is_dated(root: Client, record: AttendanceRecord) -> None:
    form = {"ep_no": "OTHER", "date": "2026-01-01", "status": "A", "in_time": "09:00"}
    assert root.post(f"/admin/core/attendancerecord/{record.pk}/change/", form).status_code == 302
    record.refresh_from_db()
    assert (record.ep_no, record.date, record.status) == ("EMP001", dt.date(2026, 11, 20), "A")
    assert record.created_at == LONG_AGO
    assert record.updated_at > LONG_AGO


def test_a_company_keeps_its_name(root: Client, company: Company) -> None:
    root.post(f"/admin/core/company/{company.pk}/change/", {"name": "Other"})
    company.refresh_from_db()
    assert company.name == "ABC Corp"


def test_rights_follow_from_the_role(root: Client, company: Company) -> None:
    person = User.objects.create_user("meena", company=company)
    form = {"username": "meena", "role": Role.ROOT, "is_active": "on"}
    assert root.post(f"/admin/core/user/{person.pk}/change/", form).status_code == 302
    assert User.objects.filter(pk=person.pk, is_staff=True, is_superuser=True).exists()
    form |= {"role": Role.ADMIN, "company": str(company.pk)}
    assert root.post(f"/admin/core/user/{person.pk}/change/", form).status_code == 302
    assert User.objects.filter(pk=person.pk, is_staff=False, is_superuser=False).exists()


def test_an_administrator_needs_a_company(root: Client) -> None:
    form = {
        "username": "new",
        "usable_password": "true",
        "password1": "a long and good one",
        "password2": "a long and good one",
        "role": Role.ADMIN,
    }
    page = root.post("/admin/core/user/add/", form)
    assert page.status_code == 200
    assert "needs a company" in page.content.decode()


def test_what_services_wrote_is_only_looked_at(root: Client) -> None:
    rows = {
        "backup": Backup.objects.create(
            id=uuid.uuid4(),
            installation_id=uuid.uuid4(),
            installation_name="Site A",
            backup_type="full",
            size=1,
            digest="0" * 64,
            companies_count=1,
            records_count=1,
            taken_at=LONG_AGO,
        ),
        "backuplog": BackupLog.objects.create(
            actor_name="root", operation="backup_full", operation_id=uuid.uuid4(), success=True
        ),
        "operation": Operation.objects.create(kind="backup_full", actor_name="root"),
    }
    for model, row in rows.items():
        assert root.get(f"/admin/core/{model}/").status_code == 200
        assert root.get(f"/admin/core/{model}/{row.pk}/change/").status_code == 200
        assert root.post(f"/admin/core/{model}/{row.pk}/change/", {}).status_code == 403
        assert root.get(f"/admin/core/{model}/add/").status_code == 403
        assert root.post(f"/admin/core/{model}/{row.pk}/delete/", {"post": "yes"}).status_code == 403


@pytest.mark.parametrize("model", ["company", "user", "attendancerecord"])
def test_lists_and_searches(root: Client, record: AttendanceRecord, model: str) -> None:
    for query in ("", "?q=EMP001"):
        assert root.get(f"/admin/core/{model}/{query}").status_code == 200


@pytest.mark.parametrize(
    "address",
    [
        "core/user/?password__startswith=pbkdf2",
        "core/backup/?selection__contains=1",
        "core/company/?name__regex=(",
        "core/attendancerecord/?status__exact=%00",
        "core/company/?id__range=1",
        "core/company/?p=99999999999",
        "core/company/?o=99999",
        "core/company/99999999999999999999999/change/",
        "core/backup/1/change/",
        "r/1/1/",
        "r/99999999999999999999999/1/",
        "django_tasks_database/dbtaskresult/",
    ],
)
def test_what_the_site_does_not_have_is_no_fault_of_the_server(root: Client, address: str) -> None:
    root.raise_request_exception = False
    assert root.get(f"/admin/{address}", follow=True).status_code in (200, 400, 404)


def test_a_form_with_a_choice_that_cannot_be_changes_nothing(root: Client) -> None:
    root.raise_request_exception = False
    form = {"username": "new", "role": "admin", "company": "no number", "usable_password": "false"}
    assert root.post("/admin/core/user/add/", form).status_code == 400
    chosen = {"action": "delete_selected", "_selected_action": "no number", "post": "yes"}
    assert root.post("/admin/core/user/", chosen).status_code == 400
    assert User.objects.count() == 1


def test_the_last_root_stays(root: Client, company: Company) -> None:
    person = User.objects.get()
    person.set_password("a good one")
    person.save()
    root.force_login(person)
    base = f"/admin/core/user/{person.pk}"
    chosen = {"action": "delete_selected", "_selected_action": person.pk, "post": "yes"}
    forms: list[tuple[str, dict[str, object]]] = [
        (f"{base}/change/", {"username": "root", "role": "admin", "company": company.pk, "is_active": "on"}),
        (f"{base}/change/", {"username": "root", "role": "root"}),
        (f"{base}/password/", {"usable_password": "false", "unset-password": "1"}),
        (f"{base}/delete/", {"post": "yes"}),
        ("/admin/core/user/", chosen),
    ]
    for url, data in forms:
        answer = root.post(url, data)
        assert answer.status_code == 409, url
        assert "last active root account" in answer.content.decode()
        assert "Nothing was changed. Make somebody else root first." in answer.content.decode()
    person.refresh_from_db()
    assert (person.role, person.is_active, person.has_usable_password()) == (Role.ROOT, True, True)
    User.objects.create_superuser("another", password="a good one")
    for url, data in forms[-1:]:
        assert root.post(url, data).status_code == 302


def sent(page: Any) -> dict[str, str]:
    """What a browser sends of a page's form if nobody touches it."""
    names = {}
    for tag in re.findall(r"<input\b[^>]*>|<select\b.*?</select>", page.content.decode(), re.DOTALL):
        name, value = re.search(r'name="([^"]*)"', tag), re.search(r'value="([^"]*)"', tag)
        chosen = re.search(r'value="([^"]*)" selected', tag) if tag.startswith("<select") else value
        if name and ('type="checkbox"' not in tag or " checked" in tag) and 'type="submit"' not in tag:
            names[name[1]] = html.unescape(chosen[1]) if chosen else ""
    return names


def test_a_record_that_somebody_saved_meanwhile_is_not_written_over(root: Client, record: AttendanceRecord) -> None:
    """What each changed is kept, and one unit is never half of one person's and half of another's."""
    address = f"/admin/core/attendancerecord/{record.pk}/change/"
    form = sent(root.get(address)) | {"shift": "NIGHT", "out_time": "18:00"}
    AttendanceRecord.objects.filter(pk=record.pk).update(
        status="A", ep_name="Meena Rao", overtime=90, updated_at=LONG_AGO + dt.timedelta(days=1)
    )
    page = root.post(address, form)
    record.refresh_from_db()
    assert (record.status, record.shift, record.ep_name, record.out_time) == ("A", "", "Meena Rao", None)
    text = " ".join(strip_tags(page.content.decode()).split())
    assert "Somebody saved this record while you were editing it. Nothing of yours was saved." in text
    assert "Saved now: Absent" in text
    again = sent(page)
    assert (again["shift"], again["status"], again["out_time"]) == ("NIGHT", "P", "18:00")
    assert (again["ep_name"], again["overtime"]) == ("Meena Rao", "01:30")
    assert root.post(address, again | {"status": "A", "out_time": ""}).status_code == 302
    record.refresh_from_db()
    assert (record.status, record.shift, record.ep_name, record.overtime) == ("A", "NIGHT", "Meena Rao", 90)
    form = sent(root.get(address)) | {"shift": "DAY"}
    AttendanceRecord.objects.filter(pk=record.pk).update(status="P", in_time=dt.time(22), updated_at=LONG_AGO)
    again = sent(root.post(address, form))
    assert (again["shift"], again["status"], again["in_time"]) == ("DAY", "P", "22:00")


def test_an_account_that_somebody_saved_meanwhile_is_not_written_over(root: Client, company: Company) -> None:
    person = User.objects.create_user("meena", company=company, role=Role.USER1)
    address = f"/admin/core/user/{person.pk}/change/"
    form = sent(root.get(address)) | {"first_name": "Meena"}
    User.objects.filter(pk=person.pk).update(is_active=False, last_name="Rao")
    assert root.post(address, form).status_code == 302
    person.refresh_from_db()
    assert (person.first_name, person.last_name, person.is_active) == ("Meena", "Rao", False)
    form = sent(root.get(address)) | {"last_name": "Sen"}
    User.objects.filter(pk=person.pk).update(last_name="Das")
    page = root.post(address, form)
    assert "Saved now: Das" in page.content.decode()
    assert sent(page)["last_name"] == "Sen"
    person.refresh_from_db()
    assert person.last_name == "Das"
    assert root.post(address, sent(page)).status_code == 302
    person.refresh_from_db()
    assert person.last_name == "Sen"
