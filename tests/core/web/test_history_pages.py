"""The pages of the history: fifty snapshots on each, and whatever becomes of the history store."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from recordsync.history.headers import Rename
from recordsync.models import Block, Node, Snapshot
from tests.builders.people import make_world
from tests.running.snapshots import snapshot, tree

pytestmark = pytest.mark.django_db(databases=["default", "jobs", "history"])


@pytest.fixture
def root() -> Client:
    client = Client()
    client.force_login(make_world().people["root"])
    return client


def chain(number: int) -> list[Snapshot]:
    roots = [tree("default", {("ABC", "2026-11", "01"): [content]}) for content in "ab"]
    made: list[Snapshot] = []
    for at in range(number):
        made.append(snapshot("default", roots[at % 2], made[-1:]))
    return made


def test_fifty_on_a_page(root: Client) -> None:
    made = chain(51)
    first, second = (root.get(reverse("history"), {"page": page}).content.decode() for page in (1, 2))
    assert [one.pk in first for one in made] == [False] + [True] * 50
    assert [one.pk in second for one in made] == [True] + [False] * 50


def test_what_changed_without_reading_a_block(root: Client) -> None:
    *_, last = chain(2)
    Block.objects.using("history").all().delete()
    page = root.get(reverse("snapshot", args=[last.pk])).content.decode()
    assert "What changed since" in page
    assert '<td data-label="Weeks changed" class="text-end">1</td>' in page


def test_a_renamed_company_is_named(root: Client) -> None:
    (first,) = chain(1)
    renames = [Rename("companies", "ABC", "<ABC> Ltd")]
    last = snapshot("default", tree("default", {("<ABC> Ltd", "2026-11", "01"): ["a"]}), [first], renames=renames)
    page = root.get(reverse("snapshot", args=[last.pk])).content.decode()
    assert "ABC was renamed to &lt;ABC&gt; Ltd." in page


@pytest.mark.parametrize("pk", ["0" * 64, "none", "0"])
def test_a_snapshot_that_is_not_there(root: Client, pk: str) -> None:
    assert root.get(reverse("snapshot", args=[pk])).status_code == 404


def test_a_store_that_does_not_answer(
    root: Client, settings: Settings, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages do not say which file it is, and the log does."""
    *_, last = chain(2)
    settings.RECORDSYNC_HISTORY = {"default": "jobs"}  # which has no such tables
    monkeypatch.setattr(logging.getLogger("core"), "propagate", True)
    for url in (reverse("history"), reverse("snapshot", args=[last.pk])):
        caplog.clear()
        answer = root.get(url)
        page = answer.content.decode()
        assert answer.status_code == 200
        assert "The history database does not answer as it should. The log says why." in page
        assert "sqlite3" not in page
        assert Path(str(settings.DATABASES["jobs"]["NAME"])).name in caplog.text
    assert ">Not known</td>" in root.get(reverse("history")).content.decode()


def test_a_damaged_tree_is_told(root: Client) -> None:
    *_, last = chain(2)
    roots = Snapshot.objects.values_list("tree", flat=True)
    Node.objects.using("history").exclude(digest__in=list(roots)).delete()
    page = root.get(reverse("snapshot", args=[last.pk])).content.decode()
    assert "The history store is not whole: a node of a tree is missing" in page
    assert "It holds" in page
