"""The administration site: keys stay, changes are dated, what services wrote is only looked at."""

import datetime as dt
import uuid

import pytest
from django.test import Client

from core.models import AttendanceRecord, Backup, BackupLog, Company, Operation, Role, User

pytestmark = pytest.mark.django_db(databases=["default", "jobs"])

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
            kind="full",
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
