"""Signing in, and who sees which first page."""

import pytest
from django.db import connections
from django.test import Client
from django.test.utils import CaptureQueriesContext

from core.models import Company, Role, User

pytestmark = pytest.mark.django_db(databases=["default", "jobs", "history"])


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
    assert "Meena Rao" in text
    assert "Supervisor" in text
    assert "&lt;b&gt;Müller &amp; Söhne&lt;/b&gt;" in text
    assert client.post("/accounts/logout/").headers["Location"] == "/accounts/login/"
    assert client.get("/").status_code == 302


def test_too_many_wrong_passwords_are_refused_alike_with_and_without_an_account(client: Client, root: User) -> None:
    answers = {}
    for name in ("root", "nobody of this name"):
        tries = [client.post("/accounts/login/", {"username": name, "password": str(n)}) for n in range(6)]
        answers[name] = [(answer.status_code, "Too many attempts" in answer.content.decode()) for answer in tries]
    assert answers["root"] == answers["nobody of this name"]
    assert answers["root"][0] == (200, False)
    assert answers["root"][-1] == (429, True)
    # the right password does not open it now either
    assert client.post("/accounts/login/", {"username": "root", "password": "a good one"}).status_code == 429


def test_signing_in_gives_a_new_session(client: Client, root: User) -> None:
    client.get("/accounts/login/")
    session = client.session
    session["planted"] = True
    session.save()
    client.cookies["sessionid"] = str(session.session_key)
    client.post("/accounts/login/", {"username": "root", "password": "a good one"})
    assert client.cookies["sessionid"].value != session.session_key


def test_forms_need_their_token(root: User) -> None:
    client = Client(enforce_csrf_checks=True)
    answer = client.post("/accounts/login/", {"username": "root", "password": "a good one"})
    assert answer.status_code == 403
    assert "Nothing was changed" in answer.content.decode()


def test_change_password(client: Client, root: User) -> None:
    other = Client()
    for each in (client, other):
        each.force_login(root)
    new = "better than the old 1"
    form = {"old_password": "a good one", "new_password1": new, "new_password2": new}
    assert client.post("/accounts/password/", form).status_code == 302
    assert client.get("/").status_code == 200
    assert other.get("/").status_code == 302
    assert User.objects.get(pk=root.pk).check_password(new)


def test_the_content_security_policy_is_strict(client: Client) -> None:
    policy = client.get("/accounts/login/")["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy


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
