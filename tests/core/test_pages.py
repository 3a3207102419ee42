"""Signing in, and who sees which first page."""

import pytest
from django.db import connections
from django.test import Client
from django.test.utils import CaptureQueriesContext

from core.models import Company, Role, User

pytestmark = pytest.mark.django_db(databases=["default", "jobs"])


@pytest.fixture
def root() -> User:
    return User.objects.create_superuser("root", password="a good one")


@pytest.fixture
def supervisor() -> User:
    company = Company.objects.create(name="<b>Müller & Söhne</b>")
    return User.objects.create_user(
        "meena", password="a good one", first_name="Meena", last_name="Rao", role=Role.USER1, company=company
    )


def test_strangers_are_asked_to_sign_in(client: Client) -> None:
    assert client.get("/").headers["Location"] == "/accounts/login/?next=/"
    page = client.get("/accounts/login/")
    assert page.status_code == 200
    assert "Sign in to Muster" in page.content.decode()


def test_wrong_password_is_said(client: Client, supervisor: User) -> None:
    page = client.post("/accounts/login/", {"username": "meena", "password": "wrong"})
    assert page.status_code == 200
    assert "enter a correct" in page.content.decode()


def test_supervisor_sees_who_they_are(client: Client, supervisor: User) -> None:
    client.post("/accounts/login/", {"username": "meena", "password": "a good one"})
    text = client.get("/").content.decode()
    assert "Welcome, Meena Rao" in text
    assert "Supervisor" in text
    assert "&lt;b&gt;Müller &amp; Söhne&lt;/b&gt;" in text
    assert client.post("/accounts/logout/").headers["Location"] == "/accounts/login/"
    assert client.get("/").status_code == 302


def test_root_lands_on_the_administration_site(client: Client, root: User) -> None:
    answer = client.post("/accounts/login/", {"username": "root", "password": "a good one"}, follow=True)
    assert answer.redirect_chain[-1][0] == "/admin/"
    assert "Muster administration" in answer.content.decode()


def test_signing_in_writes_nothing_to_the_register(client: Client, root: User) -> None:
    """So that it works while a restore holds the register."""
    with CaptureQueriesContext(connections["default"]) as queries:
        client.post("/accounts/login/", {"username": "root", "password": "a good one"})
    written = [query["sql"] for query in queries]
    assert written
    assert all(sql.startswith(("SELECT", "SAVEPOINT", "RELEASE")) for sql in written), written


def test_administration_is_for_active_root_users(client: Client, root: User, supervisor: User) -> None:
    assert client.get("/admin/").headers["Location"].startswith("/admin/login/")
    assert client.get("/admin/login/?next=/admin/core/").headers["Location"] == "/accounts/login/?next=/admin/core/"
    supervisor.is_staff = supervisor.is_superuser = True  # flags give no rights, the role does
    supervisor.save()
    client.force_login(supervisor)
    assert client.get("/admin/", follow=True).status_code == 403
    client.force_login(root)
    assert client.get("/admin/").status_code == 200
    root.is_active = False
    root.save()
    assert client.get("/admin/", follow=True).redirect_chain[-1][0].startswith("/accounts/login/")
