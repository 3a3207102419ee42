"""Incremental backups since a snapshot: what they hold leads exactly from there to now (law 12, the writing side)."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any
from unittest.mock import patch

from django.db import connections
from hypothesis import strategies as st

from core.models import Company
from recordsync.model.json_values import InstallationName
from recordsync.models import Snapshot
from tests.builders.days import blank_day
from tests.builders.files import ELSEWHERE, Everything, applied, parsed
from tests.builders.registers import RegisterData, put, register, rows
from tests.properties.laws import for_all, for_some
from tests.recordsync.support import opened
from tests.running.services import backup_bytes
from tests.running.snapshots import snapshot
from tests.running.ways_to_write import DATES, WAYS, put_days
from tests.running.writers import WRITERS, Clock, clock
from tests.strategies.registers import registers

NOON = dt.datetime(2027, 6, 1, 12, tzinfo=dt.UTC)
STEPS = st.sampled_from([1, 400, -400, 86_400, -86_400])
"""How the clock is set before something is written."""

past_services = st.tuples(st.sampled_from(WAYS), st.integers(0, 20), st.text("ab'é", max_size=2), STEPS)
edits = past_services | st.tuples(st.sampled_from(["change", "rename", "import"]), STEPS)
backups = st.tuples(st.lists(edits, max_size=3), st.none() | edits, st.integers(0, 3))
"""What is written before a backup, what while its file is written, and how far back it begins (0: not said)."""


def everything(alias: str) -> Everything:
    """The content of everything in the register, by section and key."""
    there = rows(alias)
    return {
        "companies": {(name,): {"name": name} for name in there.names},
        "attendance_records": {(*key,): content for key, content in there.contents.items()},
        "seals": {(*key,): content for key, content in there.seals.items()},
    }


@contextmanager
def blocks_are_small_up_to(records: int) -> Iterator[None]:
    """Blocks with more records are read piece by piece."""
    with patch("recordsync.history.store.SMALL", records), patch("recordsync.history.changes.SMALL", records):
        yield


def write(alias: str, time: Clock, number: int, how: Sequence[Any]) -> None:
    time.step(how[-1])
    if isinstance(how[0], str):
        if rows(alias).records:
            WRITERS[how[0]](alias, number)
    else:
        how[0](alias, how[1], how[2])


def in_another_thread(work: Callable[..., None], *how: Any) -> None:
    """As another person does it while a backup is being written."""

    def worker() -> None:
        try:
            work(*how)
        finally:
            connections.close_all()

    thread = threading.Thread(target=worker)
    thread.start()
    thread.join()


@for_all(
    before=registers(),
    rounds=st.lists(backups, min_size=1, max_size=2),
    most=st.sampled_from([1024, 2]),
    small=st.sampled_from([10_000, 1]),
)
def test_an_incremental_leads_from_its_parent_to_now(
    alias: str, before: RegisterData, rounds: Sequence[Any], most: int, small: int
) -> None:
    """For all registers, however many companies they have and however large their blocks are, whatever is written in
    whatever way and whatever the clock does: the file's rows and deletions make what the parent held what is there now,
    and nothing of them was so already."""
    with patch("recordsync.history.trees.MOST_CHILDREN", most), blocks_are_small_up_to(small), clock(NOON) as time:
        put(alias, before)
        company, _is_new = Company.objects.using(alias).get_or_create(name="C1")
        put_days(alias, company, [blank_day("C1", str(number), DATES[number % len(DATES)]) for number in range(12)])
        result = backup_bytes(alias)[1]
        known = [(result.metadata.snapshot, everything(alias))]
        numbers = count(1)
        for writes, meanwhile, back in rounds:
            for how in writes:
                write(alias, time, next(numbers), how)
            pending = [meanwhile] if meanwhile else []

            def progress(phase: str, done: int, total: int | None, /, waiting: list[Any] = pending) -> None:
                if phase == "write" and waiting:
                    in_another_thread(write, alias, time, next(numbers), waiting.pop())

            now = everything(alias)
            parent, content = known[-1 if back == 0 else -1 - back % len(known)]
            assert parent is not None
            asked = parent.id[:20] if back else None
            data, result = backup_bytes(alias, "incremental", parent=asked, progress_callback=progress)
            file = opened(data)
            assert (file.metadata.parent, file.metadata.deletions) == (parent.id, "complete")
            assert applied(content, parsed(data)) == now
            assert file.counts == {"companies": result.companies, "attendance_records": result.records, "seals": 0}
            assert result.deleted == sum(file.deleted.values())
            known.append((result.metadata.snapshot, now))


@for_some(writes=st.lists(edits, min_size=1, max_size=8), known=st.integers(0, 2))
def test_a_file_for_another_installation_leads_back_to_the_ancestors(
    alias: str, writes: Sequence[Any], known: int
) -> None:
    """For all histories: the bases of the file lead from its own content to that of each snapshot since the one that
    the other installation has, and of older ones until there are eight."""
    with clock(NOON) as time:
        put(alias, register(*(blank_day("C1", str(number), DATES[number % len(DATES)]) for number in range(12))))
        contents = [everything(alias)]
        snapshots = [backup_bytes(alias)[1].metadata.snapshot]
        for number, how in enumerate(writes, 1):
            write(alias, time, number, how)
            result = backup_bytes(alias)[1]
            if result.metadata.snapshot != snapshots[-1]:
                contents.append(everything(alias))
                snapshots.append(result.metadata.snapshot)
        had = Snapshot.objects.using(alias).get(pk=getattr(snapshots[min(known, len(snapshots) - 1)], "id", ""))
        snapshot(alias, had.tree, [had], is_head=False, installation=InstallationName(str(ELSEWHERE), "Site A"))
        data, result = backup_bytes(alias, "incremental", for_installation="Site A")
        assert result.metadata.parent == had.pk
        file, document = opened(data), parsed(data)
        by_tree = {one.says.tree: content for one, content in zip(snapshots, contents, strict=True) if one}
        content = by_tree[file.metadata.snapshot.says.tree] if file.metadata.snapshot else {}
        assert applied(by_tree[had.tree], document) == content
        for base in document.get("bases", []):
            content = applied(content, base)
            tree = base["snapshot"]["says"]["tree"]
            if tree in by_tree:  # services take snapshots of their own between
                assert content == by_tree[tree]
        named = [base.id for base in file.bases]
        ours = {one.id for one in snapshots if one} - {had.pk, result.metadata.snapshot and result.metadata.snapshot.id}
        assert len(named) >= 8 or ours <= set(named)
        assert len(named) == len(set(named))
