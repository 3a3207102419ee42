"""A file for another installation brings what its merge there needs for a base."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest
from pytest_django import DjangoDbBlocker

from core.models import Installation
from core.operations.errors import OperationFailed
from tests.builders.days import day
from tests.builders.registers import put, register
from tests.core.restores.test_ancestry import Site, put_day
from tests.running.inspection import content
from tests.running.installation import Installations


class Three(NamedTuple):
    here: Site
    other: Site
    between: Site


@pytest.fixture
def three(
    installations: Installations, engine: str, tmp_path: Path, django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[Three]:
    """Three installations that have the same four records, of which the other one has heard of the first."""
    with django_db_blocker.unblock(), ExitStack() as opened:
        sites = []
        for name in Three._fields:
            scratch = installations.new(engine, tmp_path / name)
            opened.callback(scratch.remove)
            sites.append(Site(opened.enter_context(scratch.opened())))
            Installation.objects.using(sites[-1].alias).create(id=uuid.uuid4(), name=name)
        here, other, between = found = Three(*sites)
        put(between.alias, register(*(day(ep_no=f"E{n}") for n in (1, 2, 3, 4))))
        first = between.file()
        here.restore(first)
        other.restore(first)
        here.edit("E4", shift="N")
        other.restore(here.file())
        yield found


def test_the_base_comes_in_the_file(three: Three) -> None:
    """The other one has a snapshot of the one between that never came here, and both descend from it."""
    here, other, between = three
    between.edit("E1", shift="N")
    other.restore(between.file(), "backup_wins")  # a snapshot that only the other one gets
    put_day(between, "E5")
    here.restore(between.file(), "backup_wins")  # a later one, which descends from it
    here.edit("E2", shift="N")
    other.delete("E3")
    with pytest.raises(OperationFailed, match="are not at hand here"):
        here.restore(other.file())
    file = other.file("incremental", for_installation="here")
    result = here.restore(file)
    assert "Both had" in result.base.why
    assert here.numbers() == "E1 E2 E4 E5"
    assert (here.rows("E1").get().shift, here.rows("E2").get().shift) == ("N", "N")
    other.restore(here.file())
    assert content(here.alias) == content(other.alias)


def test_a_full_backup_of_the_base_brings_it_too(three: Three) -> None:
    here, other, between = three
    between.edit("E1", shift="N")
    base = between.file()
    other.restore(base, "backup_wins")
    put_day(between, "E5")
    here.restore(between.file(), "backup_wins")
    here.edit("E2", shift="N")
    other.delete("E3")
    file = other.file()
    with pytest.raises(OperationFailed) as refused:
        here.restore(file)
    for words in ("made for this installation (--for)", "a full backup of this snapshot", "a backup from there here"):
        assert words in str(refused.value)
    assert here.restore(base).changes_nothing
    assert not here.restore(file).conflicts
    assert here.numbers() == "E1 E2 E4 E5"
    assert (here.rows("E1").get().shift, here.rows("E2").get().shift) == ("N", "N")
