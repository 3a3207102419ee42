"""Every URL of the project, for everybody, read and written: the answer is the one of the table in ``access.py``."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from tests.builders.people import NOBODY, WHO, World, make_world
from tests.core.web.access import LOGIN, ROUTES, Access, Answer

pytestmark = [pytest.mark.django_db(databases=["default", "jobs", "history"]), pytest.mark.untraced]

ADMIN = "admin"
"""The namespace of Django's own site, which is tested as a whole below."""


def routes(resolver: URLResolver) -> Iterator[str]:
    for pattern in resolver.url_patterns:
        if isinstance(pattern, URLPattern):
            yield pattern.name or f"(without a name: {pattern.pattern})"
        elif pattern.namespace != ADMIN:
            yield from routes(pattern)


def admin_urls() -> Iterator[str]:
    """Each page of the administration site that needs no object."""
    for resolver in get_resolver().url_patterns:
        if isinstance(resolver, URLResolver) and resolver.namespace == ADMIN:
            for name in resolver.reverse_dict:
                if isinstance(name, str):
                    possibilities = resolver.reverse_dict.getlist(name)
                    if any(not params for possibility in possibilities for _text, params in possibility[0]):
                        yield f"{ADMIN}:{name}"


@pytest.fixture
def world() -> World:
    return make_world()


def test_every_url_has_an_entry_and_every_entry_a_url() -> None:
    assert sorted(set(routes(get_resolver()))) == sorted(ROUTES)


@pytest.mark.parametrize("name", ROUTES)
def test_everybody_gets_what_the_table_says(world: World, name: str) -> None:
    access: Access = ROUTES[name]
    url = reverse(name, kwargs=access.kwargs(world))
    got: dict[str, tuple[Answer, Answer]] = {}
    for who in WHO:
        answers: list[Answer] = []
        for method in ("get", "post"):
            client = Client()
            if who != NOBODY:
                client.force_login(world.people[who])
            undone = transaction.atomic()
            undone._from_testcase = True  # type: ignore[attr-defined] # a durable transaction may open inside it
            with undone:  # what a POST does is undone for the next
                response = client.get(url) if method == "get" else client.post(url, access.data(world))
                transaction.set_rollback(True)
            if response.status_code == 302 and response["Location"].startswith(f"{reverse('login')}?"):
                answers.append(LOGIN)
            else:
                answers.append(response.status_code)
        got[who] = (answers[0], answers[1])
    assert got == dict(zip(WHO, zip(access.get, access.post, strict=True), strict=True))


@pytest.mark.parametrize("who", [who for who in WHO if who != "root"])
def test_the_administration_site_is_roots_alone(world: World, who: str) -> None:
    client = Client()
    if who != NOBODY:
        client.force_login(world.people[who])
    urls = sorted(set(admin_urls()))
    assert len(urls) > 10
    for name in urls:
        if name == f"{ADMIN}:logout":
            continue
        for method in (client.get, client.post):
            response = method(reverse(name), follow=True)
            at_login = bool(response.redirect_chain) and response.redirect_chain[-1][0].startswith(reverse("login"))
            if who == NOBODY:
                assert at_login or response.status_code == 403, (name, response.status_code)
            else:
                assert response.status_code in (403, 404), (name, response.status_code)


def test_an_inactive_account_is_out_at_once(world: World) -> None:
    client = Client()
    admin = world.people["admin"]
    client.force_login(admin)
    assert client.get("/").status_code == 200
    admin.is_active = False
    admin.save()
    assert client.get("/")["Location"].startswith(reverse("login"))
