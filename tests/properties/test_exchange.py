"""Real installations that exchange files do what the model says, whatever is done to them in whatever order: laws 11,
15 to 18, 21 and 22."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

import pytest
from django.utils import timezone
from hypothesis import settings
from hypothesis.stateful import rule, run_state_machine_as_test
from pytest_django.plugin import DjangoDbBlocker

from tests.conftest import DEEP
from tests.properties.exchange_machine import ANY, Exchange, Place, Sent, Way, known_by, named
from tests.properties.exchange_model import (
    Choices,
    Decisions,
    How,
    Key,
    Register,
    Restored,
    Side,
    Snapshot,
    Snapshots,
    counted,
)
from tests.properties.exchange_writes import Writes
from tests.running.exchange import Databases, Decide, SnapshotFile, Told
from tests.running.installation import Installations


class Ids:
    """Which snapshot of the model has which id."""

    def __init__(self) -> None:
        self._snapshots: dict[str, Snapshot] = {}
        self._ids: dict[Snapshot, str] = {}

    def learn(self, snapshot: Snapshot, pk: str, databases: Databases) -> None:
        """That a snapshot has this id, and its ancestors those of the real one's."""
        if self._snapshots.setdefault(pk, snapshot) is snapshot and self._ids.setdefault(snapshot, pk) == pk:
            if snapshot.label == pk:
                return
        else:
            raise AssertionError(f"{snapshot} is not {pk}")
        snapshot.label = pk
        header = databases.headers()[pk]
        assert header.is_merge == snapshot.is_merge
        assert len(header.parents) == len(snapshot.parents)
        parents = list(snapshot.parents)
        if header.is_merge:  # in order of their ids, which may not be known yet
            assert sorted(header.parents) == list(header.parents)
            known = {parent.label: parent for parent in parents}
            unknown = [parent for parent in parents if parent.label not in header.parents]
            parents = [known.get(parent) or unknown.pop() for parent in header.parents]
        for parent, parent_pk in zip(parents, header.parents, strict=True):
            self.learn(parent, parent_pk, databases)


class RealPlace(Place):
    """A place that is also a real installation, which does the same. ``is_settling``: whether so many files go
    round that it does not preview each of them."""

    def __init__(self, at: int, snapshots: Snapshots, writes: Writes, databases: Databases, ids: Ids) -> None:
        super().__init__(at, snapshots, writes)
        self._databases = databases
        self._ids = ids
        self._moments = [timezone.now()]
        self.is_settling = False

    def write(self, register: Register, way: Way = "orm") -> None:
        self._databases.write(named(self.model.register), named(register), way)
        super().write(register, way)

    def rename(self, company: Key, name: str) -> None:
        self._databases.rename(self.model.register[company][0], name)
        super().rename(company, name)
        self._same()

    def rename_unseen(self, company: Key, new: Key, way: Way) -> None:
        self._databases.rename_unseen(self.model.register[company][0], new[0], way)
        super().rename_unseen(company, new, way)

    def incremental(self, parent: Snapshot, bases: Collection[Snapshot] = ()) -> Sent:
        sent = super().incremental(parent, bases)
        return self._with(sent, self._databases.incremental(parent.label))

    def _with(self, sent: Sent, file: SnapshotFile) -> Sent:
        """The same with the file itself."""
        self._same()
        assert sent.file.snapshot is not None
        assert (file.snapshot, file.parent) == (sent.file.snapshot.label, sent.file.parent and sent.file.parent.label)
        return replace(sent, data=file.data)

    def for_other(self, other: Place) -> Sent | None:
        """As the service does, which knows less than the two together."""
        assert isinstance(other, RealPlace)
        file = self._databases.for_other(other._databases)
        if file is None:
            self.model.take()
            self._at_head()
            self._same()
            return None
        ancestry = self.model.take().ancestry
        known = {one.label: one for one in ancestry if self.model.has(one)}
        bases = [known[pk] for pk in file.bases]
        return self._with(super().incremental(known[str(file.parent)], bases), file)

    def import_sheet(self, rows: Register) -> None:
        super().import_sheet(rows)
        self._databases.import_sheet(named(rows))
        self._same()

    def selection(self, company: str | None, day: str | None) -> Sent:
        sent = super().selection(company, day)
        data = self._databases.selection(None if company is None else self.model.register[company,][0], day)
        self._same()
        return replace(sent, data=data)

    def full(self) -> Sent:
        return self._with(super().full(), self._databases.full())

    def restore(self, sent: Sent, by: Decisions, *, without_base: bool = False, is_own: bool = False) -> Restored:
        is_previewed, is_whole = not self.is_settling and self.previews(sent), self.is_whole
        done = super().restore(sent, by, without_base=without_base, is_own=is_own)
        with self._deciding(done, by, is_whole=is_whole) as decide:
            told = self._databases.restore(
                sent.data, decide, without_base=without_base, is_previewed=is_previewed, is_whole=is_whole
            )
        self._as_told(done, by, told)
        self._same()
        return done

    def refuse(self, sent: Sent) -> Restored:
        done = super().refuse(sent)
        assert "left for somebody to decide" in self._databases.restore(sent.data, "manual").is_refused
        self._same()
        return done

    def _as_told(self, done: Restored, by: Decisions, told: Told) -> None:
        """What the service told is what the model counts, and adds up."""
        if done.how == "not here":
            assert "records" in told.is_refused
            return
        expected = counted(done, by)
        assert not told.is_refused
        for counts in told.counts.values():
            became = ("added", "updated", "deleted", "skipped", "kept")
            assert counts.get("read", 0) == sum(counts.get(name, 0) for name in became)
        assert told.counts == {name: dict(counts) for name, counts in expected.items()}
        assert told.conflicts == sum(counts["conflicts"] for counts in expected.values())

    @contextmanager
    def _deciding(self, done: Restored, by: Decisions, *, is_whole: bool) -> Iterator[Decide]:
        """The same decisions, for companies that are known by their names. Whoever decides each conflict must have been
        asked those of the model, and no others. ``is_whole``: whether there was one preview only."""
        if not isinstance(by, Choices):
            yield by
            return
        asked: set[tuple[Key, int]] = set()

        def side(key: Key, at: int) -> Side:
            found = ((known_by(key[0]), *key[1:]), at)
            asked.add(found)
            return by.side(*found)

        yield side
        if done.how != "not here":
            expected = {(key, at) for key, one in done.merged.items() for at in one.conflicts}
            assert (asked if is_whole else asked & expected) == expected

    def bring_back(self, snapshot: Snapshot, by: Decisions) -> Restored:
        is_whole, done = self.is_whole, super().bring_back(snapshot, by)
        with self._deciding(done, by, is_whole=is_whole) as decide:
            self._as_told(done, by, self._databases.restore(snapshot.label, decide, is_whole=is_whole))
        self._same()
        return done

    def since(self, number: int) -> Sent:
        """A file of what says that it was written since some moment."""
        data = self._databases.since(self._moments[number % len(self._moments)])
        found, register = self._databases.listed(data), named(self.model.register)
        assert found == {key: register[key] for key in found}
        sent = self.part([(known_by(key[0]), *key[1:]) for key in found])
        self._same()
        return replace(sent, data=data)

    def exact(self, sent: Sent) -> Restored:
        done = super().exact(sent)
        self._as_told(done, "theirs", self._databases.restore(sent.data, "theirs", is_exact=True))
        self._same()
        return done

    def exactly(self, snapshot: Snapshot) -> Restored:
        done = super().exactly(snapshot)
        self._as_told(done, "theirs", self._databases.restore(snapshot.label, "theirs", is_exact=True))
        self._same()
        return done

    def undo(self, number: int, by: Decisions, way: How) -> Restored:
        ways, is_whole = self.model.ways(number), self.is_whole
        done = super().undo(number, by, way)
        with self._deciding(done, by, is_whole=is_whole) as decide:
            self._as_told(done, by, self._databases.undo(number, decide, way, ways, is_whole=is_whole))
        self._same()
        return done

    def put_back(self, copy: Place) -> None:
        assert isinstance(copy, RealPlace)
        self._databases.become(copy._databases)
        super().put_back(copy)
        self._same()

    def lose_history(self) -> None:
        super().lose_history()
        self._databases.lose_history()

    def _same(self) -> None:
        """What is in the databases is what the model says."""
        self._moments.append(timezone.now())
        assert self._databases.contents() == named(self.model.register)
        pk = self._databases.head()
        assert (pk is None) == (self.model.head is None)
        if pk is not None and self.model.head is not None:
            self._ids.learn(self.model.head, pk, self._databases)
        for move, after in zip(self.model.moves, self._databases.moves(), strict=True):  # some of them are withdrawn
            self._ids.learn(move.after, after, self._databases)


NewDatabases = Callable[[str, ExitStack], Databases]
"""Makes new ones on an engine, which are removed when the stack is closed."""


class RealExchange(Exchange):
    def __init__(self, new_databases: NewDatabases, engines: tuple[str, ...]) -> None:
        super().__init__()
        self._new_databases = new_databases
        self._engines = engines
        self._ids = Ids()
        self._opened = ExitStack()

    def new_place(self, at: int) -> RealPlace:
        databases = self._new_databases(self._engines[at % len(self._engines)], self._opened)
        return RealPlace(at, self.snapshots, self.writes, databases, self._ids)

    @rule(at=ANY, since=ANY)
    def back_up_since(self, at: int, since: int) -> None:
        place = self.place(at)
        assert isinstance(place, RealPlace)
        self.sent.append(place.since(since))

    def teardown(self) -> None:
        for place in self.places:
            assert isinstance(place, RealPlace)
            place.is_settling = True
        with self._opened:
            super().teardown()


STEPS: Final = 20


@pytest.mark.parametrize(
    ("engines", "steps"),
    [
        pytest.param(("sqlite",), 5_000 if DEEP else 150, id="sqlite"),
        pytest.param(("sqlite", "postgres"), 5_000 if DEEP else 150, id="both", marks=pytest.mark.postgres),
    ],
)
def test_installations_exchange_as_the_model_does(
    engines: tuple[str, ...],
    steps: int,
    installations: Installations,
    tmp_path: Path,
    django_db_setup: None,
    django_db_blocker: DjangoDbBlocker,
) -> None:
    numbers = itertools.count()

    def new_databases(engine: str, opened: ExitStack) -> Databases:
        scratch = installations.new(engine, tmp_path / str(next(numbers)))
        opened.callback(scratch.remove)
        return Databases(scratch, opened.enter_context(scratch.opened()))

    with django_db_blocker.unblock():
        run_state_machine_as_test(
            cast(Any, partial(RealExchange, new_databases, engines)),
            # The same examples each time, so that a red run is about what was changed; test-deep draws others.
            settings=settings(max_examples=steps // STEPS, stateful_step_count=STEPS, derandomize=not DEEP),
        )
