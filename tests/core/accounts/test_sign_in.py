"""Who is asking, and how often a password may be tried."""

from __future__ import annotations

import datetime as dt
from ipaddress import ip_address, ip_network

import pytest
from axes.models import AccessAttempt
from django.test import Client, RequestFactory, override_settings
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from core import checks
from core.accounts import sign_in
from core.models import User

OURS = [ip_network(text) for text in ("127.0.0.1", "10.0.0.0/24", "2001:db8:ffff::/48")]


def _seen(peer: str, forwarded: str | None = None, proxies: object = OURS) -> str | None:
    request = RequestFactory().get("/", REMOTE_ADDR=peer)
    if forwarded is not None:
        request.META["HTTP_X_FORWARDED_FOR"] = forwarded
    with override_settings(TRUSTED_PROXIES=proxies):
        return sign_in.client_address(request)


@pytest.mark.parametrize(
    ("peer", "forwarded", "seen"),
    [
        ("198.51.100.7", None, "198.51.100.7"),
        ("127.0.0.1", None, "127.0.0.1"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("127.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("127.0.0.1", "203.0.113.9, 198.51.100.7", "198.51.100.7"),
        ("127.0.0.1", "203.0.113.9, 198.51.100.7, 10.0.0.4", "198.51.100.7"),
        ("127.0.0.1", "10.0.0.5,10.0.0.4", "10.0.0.5"),  # all of them ours: the one that is furthest away
        ("198.51.100.7", "203.0.113.9", "198.51.100.7"),  # a stranger may say anything
        ("10.0.1.1", "203.0.113.9", "10.0.1.1"),
        ("127.0.0.1", "203.0.113.9, unknown", "127.0.0.1"),
        ("127.0.0.1", "203.0.113.9, unknown, 10.0.0.4", "10.0.0.4"),
        ("127.0.0.1", "203.0.113.9,", "127.0.0.1"),
        ("127.0.0.1", "198.51.100.7:4711", "198.51.100.7"),
        ("127.0.0.1", "[2001:db8:1:2:3:4:5:6]:4711", "2001:db8:1:2::"),
        ("127.0.0.1", "[2001:db8:1:2:3:4:5:6]", "2001:db8:1:2::"),
        ("127.0.0.1", "2001:db8:1:2:ffff::1", "2001:db8:1:2::"),
        ("2001:db8:ffff:1::5", "198.51.100.7", "198.51.100.7"),
        ("::ffff:127.0.0.1", "::ffff:198.51.100.7", "198.51.100.7"),
        ("fe80::1%eth0", None, "fe80::"),
        ("", "198.51.100.7", "198.51.100.7"),  # over a Unix socket
        ("", None, "127.0.0.1"),
        ("a name", "198.51.100.7", None),
    ],
)
def test_who_is_asking(peer: str, forwarded: str | None, seen: str | None) -> None:
    assert _seen(peer, forwarded) == seen


def test_without_a_named_server_in_front_nobody_is_believed() -> None:
    assert _seen("127.0.0.1", "198.51.100.7", proxies=[]) == "127.0.0.1"


@given(st.text(max_size=200), st.ip_addresses())
def test_what_a_stranger_writes_changes_nothing(written: str, address: object) -> None:
    """A server in front adds the address that it sees to whatever it was sent."""
    seen = _seen("127.0.0.1", f"{written}, {address}")
    if not any(ip_address(str(address)) in network for network in OURS):
        assert seen == _seen(str(address))


@given(st.text(max_size=200), st.text(max_size=50))
def test_whatever_the_header_says_is_an_address_or_none(forwarded: str, peer: str) -> None:
    seen = _seen(peer, forwarded)
    assert seen is None or ip_address(seen)


@pytest.fixture
def root(db: None) -> User:
    return User.objects.create_superuser("root", password="a good one")


def _try(password: str, address: str = "198.51.100.7", client: Client | None = None, name: str = "root") -> int:
    form = {"username": name, "password": password}
    answer = (client or Client()).post("/accounts/login/", form, REMOTE_ADDR=address)
    return answer.status_code


@pytest.mark.django_db(databases=["default", "jobs", "history"])
class TestAttempts:
    def test_an_address_has_five(self, root: User) -> None:
        assert [_try(str(n)) for n in range(6)] == [200, 200, 200, 200, 429, 429]
        assert _try("a good one") == 429
        assert _try("a good one", "198.51.100.8") == 302
        assert _try("no", name="another") == 200

    def test_a_right_one_gives_all_of_them_back(self, root: User) -> None:
        for _ in range(3):
            assert [_try("no") for _ in range(4)] == [200] * 4
            assert _try("a good one") == 302

    def test_they_come_back_after_a_quarter_of_an_hour(self, root: User) -> None:
        assert [_try("no") for _ in range(5)][-1] == 429
        later = dt.timedelta(minutes=14)
        AccessAttempt.objects.update(attempt_time=timezone.now() - later)
        assert _try("a good one") == 429  # and asking again does not make it longer
        AccessAttempt.objects.update(attempt_time=timezone.now() - later - dt.timedelta(minutes=1))
        assert [_try("no") for _ in range(5)] == [200, 200, 200, 200, 429]

    def test_a_clock_that_is_set_back_closes_no_name_until_it_comes_there_again(self, root: User) -> None:
        assert [_try("no") for _ in range(5)][-1] == 429
        AccessAttempt.objects.update(attempt_time=timezone.now() + dt.timedelta(minutes=4))
        assert _try("a good one") == 429  # the clocks of machines that share a database differ
        AccessAttempt.objects.update(attempt_time=timezone.now() + dt.timedelta(days=365))
        assert [_try("no") for _ in range(5)] == [200, 200, 200, 200, 429]

    @pytest.mark.untraced
    def test_many_addresses_have_fifty_together_and_shut_nobody_out_who_was_here_before(self, root: User) -> None:
        browser = Client()
        assert _try("a good one", client=browser) == 302
        browser.cookies.pop("sessionid")
        tried = [_try("no", f"203.0.113.{n // 4}") for n in range(60)]
        assert tried == [200] * 49 + [429] * 11
        assert _try("a good one", "192.0.2.1") == 429
        assert _try("a good one", "192.0.2.1", browser) == 302

    def test_a_known_browser_has_five_of_its_own_and_no_others(self, root: User) -> None:
        browser = Client()
        _try("a good one", client=browser)
        browser.cookies.pop("sessionid")
        assert [_try("no") for _ in range(5)][-1] == 429  # somebody else at this address
        assert [_try("no", client=browser) for _ in range(5)] == [200, 200, 200, 200, 429]
        assert _try("a good one", "192.0.2.1", browser) == 429
        assert _try("no", "192.0.2.1", browser, name="another") == 200

    def test_a_browser_that_several_people_use_knows_each_of_them(self, root: User) -> None:
        """The last twenty, so that what it sends with each request stays small."""
        User.objects.bulk_create(User(username=f"person {n}", password=root.password, role="root") for n in range(20))
        browser = Client()
        for name in ["root", *(f"person {n}" for n in range(19))]:
            assert _try("a good one", client=browser, name=name) == 302
            browser.cookies.pop("sessionid")
        for name in ("root", "person 0", "person 18"):
            assert [_try("no", name=name) for _ in range(5)][-1] == 429  # somebody else at this address
            assert _try("a good one", client=browser, name=name) == 302
            browser.cookies.pop("sessionid")
        _try("a good one", client=browser, name="person 19")
        known = [one for one in browser.cookies.values() if one.key.startswith("muster_browser") and one.value]
        assert len(known) == 20

    @pytest.mark.untraced
    def test_the_cookie_of_a_browser_is_for_one_name_and_cannot_be_made_up(self, root: User) -> None:
        User.objects.create_superuser("second", password="a good one")
        browser = Client()
        _try("a good one", client=browser, name="second")
        browser.cookies.pop("sessionid")
        (kept,) = [one for one in browser.cookies.values() if one.key.startswith("muster_browser")]
        of_root = sign_in.cookie_of("root")
        assert of_root != kept.key
        assert (kept["httponly"], kept["samesite"], kept["path"]) == (True, "Lax", "/accounts/")
        for value in (kept.value, "x", kept.value[:-1], ""):
            browser.cookies[of_root] = value
            AccessAttempt.objects.all().delete()
            assert [_try("no") for _ in range(5)][-1] == 429
            assert _try("a good one", client=browser) == 429

    def test_the_old_password_is_tried_no_more_often(self, client: Client, root: User) -> None:
        client.force_login(root)

        def change(old: str) -> int:
            new = "better than the old 1"
            form = {"old_password": old, "new_password1": new, "new_password2": new}
            return client.post("/accounts/password/", form).status_code

        assert [change("no") for _ in range(3)] == [200] * 3
        assert change("a good one") == 302
        assert [change("no") for _ in range(6)] == [200, 200, 200, 200, 429, 429]
        assert change("better than the old 1") == 429

    def test_old_attempts_are_forgotten(self, root: User) -> None:
        _try("no")
        assert AccessAttempt.objects.count() == 2
        now = timezone.now()
        sign_in.forget_attempts(now - dt.timedelta(days=1))
        assert AccessAttempt.objects.count() == 2
        sign_in.forget_attempts(now + dt.timedelta(seconds=1))
        assert not AccessAttempt.objects.exists()


@pytest.mark.django_db(databases=["default", "jobs", "history"])
def test_behind_a_named_server_nobody_shuts_others_out(root: User, settings: Settings) -> None:
    settings.TRUSTED_PROXIES = [ip_network("127.0.0.1")]

    def tried(password: str, forwarded: str) -> int:
        form = {"username": "root", "password": password}
        headers = {"X-Forwarded-For": forwarded}
        return Client(headers=headers).post("/accounts/login/", form, REMOTE_ADDR="127.0.0.1").status_code

    assert [tried("no", f"192.0.2.{n}, 203.0.113.9") for n in range(5)][-1] == 429
    assert tried("a good one", "203.0.113.9") == 429
    assert tried("a good one", "198.51.100.7") == 302


@pytest.mark.django_db(databases=["default", "jobs", "history"])
def test_a_name_of_any_length_is_counted_in_a_column_that_has_an_end() -> None:
    """PostgreSQL refuses what is longer; SQLite would keep whatever strangers send."""
    for length in (150, 256, 40_000):
        AccessAttempt.objects.all().delete()
        statuses = [_try("no", name="x" * length) for _ in range(6)]
        assert statuses == [200] * 4 + [429] * 2, length
        names = set(AccessAttempt.objects.values_list("username", flat=True))
        assert names == {"x" * min(length, 255)}, length


def test_a_server_with_https_asks_who_is_in_front(settings: Settings) -> None:
    settings.TRUSTED_PROXIES, settings.HTTPS = [], True
    assert [one.id for one in checks.servers_in_front_are_named()] == ["muster.W001"]
    settings.HTTPS = False
    assert checks.servers_in_front_are_named() == []
    settings.TRUSTED_PROXIES, settings.HTTPS = OURS, True
    assert checks.servers_in_front_are_named() == []
