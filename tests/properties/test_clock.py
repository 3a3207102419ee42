"""Whatever the clock does, no incremental backup misses what changed: it is complete, or it is refused."""

from __future__ import annotations

import datetime as dt
import io
import json
import threading
from collections.abc import Callable
from typing import Any

from django.db import connections
from hypothesis import strategies as st

from core.models import Backup
from core.operations.errors import OperationFailed
from tests.builders.registers import SMALL, put, rows
from tests.properties.laws import for_some
from tests.running.services import backup
from tests.running.writers import WRITERS, clock

NOON = dt.datetime(2027, 6, 1, 12, tzinfo=dt.UTC)

_STEPS = st.sampled_from([0, 1, -1, 240, -240, 400, -400, 3600, -3600, 86_400, -86_400])
_WRITE = st.tuples(st.sampled_from(sorted(WRITERS)), _STEPS, st.booleans())
"""What is written, how the clock is set before that, and whether it is set right afterwards."""

_BACKUP = st.tuples(st.sampled_from(["full", "incremental", "incremental"]), _STEPS, st.none() | _WRITE)
"""Which is taken, how the clock is set before that, and what is written while it is read."""

_FORGET = st.tuples(st.just("forget"))
"""The file of the last backup is deleted: an older one is to be continued again."""


def entries(alias: str) -> dict[Any, Any]:
    """Everything in the register, by key."""
    there = rows(alias)
    return {**{name: name for name in there.companies}, **{key: row.content for key, row in there.records.items()}}


def in_another_thread(work: Callable[..., None], *how: Any) -> None:
    """As another person does it while a backup is being read."""

    def worker() -> None:
        try:
            work(*how)
        finally:
            connections.close_all()

    thread = threading.Thread(target=worker)
    thread.start()
    thread.join()


def why_refused(take: Callable[..., None], *what: Any) -> str:
    try:
        take(*what)
    except OperationFailed as refused:
        return str(refused)
    return ""


@for_some(actions=st.lists(_WRITE | _BACKUP | _FORGET, min_size=2, max_size=7))
def test_an_incremental_is_complete_or_refused(alias: str, actions: list[Any]) -> None:
    put(alias, SMALL)
    known: dict[str, dict[Any, Any]] = {}
    number = 0

    def write(name: str, step: float, back: bool) -> None:
        nonlocal number
        number += 1
        time.step(step)
        WRITERS[name](alias, number)
        time.step(-step if back else 0)

    def take(kind: str, meanwhile: Any = None) -> None:
        pending = [meanwhile] if meanwhile else []

        def progress(phase: str, done: int, total: int | None, /) -> None:
            if phase == "write" and pending:
                in_another_thread(write, *pending.pop())

        content, out = entries(alias), io.BytesIO()
        result = backup(alias, kind, output=out, progress_callback=progress)
        if kind == "incremental":
            file = json.loads(out.getvalue())
            listed = {entry["name"] for entry in file["companies"]}
            listed |= {(entry["company_name"], entry["date"], entry["ep_no"]) for entry in file["attendance_records"]}
            parent = known[file["metadata"]["parent"]]
            assert {key for key, value in content.items() if parent.get(key) != value} <= listed
        known[str(result.id)] = content

    with clock(NOON) as time:
        take("full")
        for action, *how in [*actions, ("incremental", 0, None)]:
            time.step(1)
            if action in WRITERS:
                write(action, *how)
                continue
            if action == "forget":
                Backup.objects.using(alias).filter(pk=list(known)[-1]).update(location="")
                continue
            step, meanwhile = how
            time.step(step)
            if why := why_refused(take, action, meanwhile):
                ahead = Backup.objects.using(alias).filter(taken_at__gt=time.now).exists()
                lost = Backup.objects.using(alias).filter(location="").exists()
                assert ahead if "Set the clock right and take a full backup" in why else lost
                take("full")
                write("change", 0, False)
                take("incremental")
