"""Decisions about a stored preview, one and many at a time, by two people: nobody's is changed unasked."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest
from django.conf import settings
from hypothesis import event
from hypothesis import strategies as st

from core.models import Kind
from core.operations import queue as jobs
from core.operations.run import Actor
from core.preview import stored as stored_preview
from core.preview.decisions import DecidedMeanwhile
from core.preview.filters import Filter
from core.preview.stored import StoredPreview
from core.register.database import Register
from core.restores import jobs as restore_jobs
from recordsync.merge import EXISTENCE, Side
from tests.builders.days import ABC, XYZ, day
from tests.builders.files import file
from tests.builders.registers import put, register
from tests.properties.laws import for_some
from tests.properties.test_restore import MEMORY
from tests.running.work_queue import perform

OURS = register(*(day(company, f"E{n}") for company in (ABC, XYZ) for n in range(3)))
THEIRS = register(
    day(ABC, "E0", shift="N"),
    day(ABC, "E1", shift="N", ep_name="Ann"),
    day(XYZ, "E0", ep_name="Ann", overtime="02:00"),
    day(XYZ, "E1", shift="N"),
    day(XYZ, "E9"),
)
"""Against OURS: four records that differ, in six units together, and one that is added."""
GONE = day(ABC, "E2", status="L")
"""A record that was deleted there when it was not as it is here."""

Decided = dict[tuple[int, str], tuple[Side | None, int]]
"""Per line and unit the side, and the version that decided so."""


class Act(NamedTuple):
    """Something that one of two people does, who see the preview as it was when they last looked."""

    who: int
    what: str
    side: Side | None
    filter: Filter
    line: int
    unit: str
    look: bool


UNITS = ("", "name", "shift", "overtime", EXISTENCE)
acts = st.builds(
    Act,
    who=st.integers(0, 1),
    what=st.sampled_from(["one", "many", "again"]),
    side=st.sampled_from([Side.OURS, Side.THEIRS, None]),
    filter=st.builds(
        Filter,
        company=st.sampled_from(["", ABC, XYZ]),
        ep_no=st.sampled_from(["", "E1"]),
        unit=st.sampled_from(UNITS),
        undecided=st.booleans(),
    ),
    line=st.integers(0, 4),
    unit=st.sampled_from(("", "", *UNITS)),
    look=st.sampled_from([True, True, False]),
)


@contextmanager
def previewed(alias: str) -> Iterator[uuid.UUID]:
    put(alias, OURS)
    incremental: dict[str, Any] = {"backup_type": "incremental", "since_date": "2026-11-01T00:00:00.000000Z"}
    theirs = file(THEIRS, deleted=[("attendance_records", GONE)], **incremental)
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        patch.setattr(settings, "DATA_DIR", folder)
        pk = restore_jobs.receive([theirs.encode()], 1 << 30)
        parameters = {"strategy": "manual", "backup": None}
        jobs.submit(Kind.CHECK, Actor("Meena"), register=Register(alias), pk=pk, parameters=parameters)
        perform(pk)
        yield pk


def sides(preview: StoredPreview) -> dict[tuple[int, str], Side | None]:
    lines = preview.page(Filter()).lines
    return {(line.id, unit.name): Side(unit.side) if unit.side else None for line in lines for unit in line.units}


def under(chosen: Filter, keys: dict[int, tuple[str, ...]], decided: Decided) -> list[tuple[int, str]]:
    """The units that a filter leaves, told by looking at each."""
    return [
        (line, unit)
        for (line, unit), (side, _at) in decided.items()
        if chosen.company in ("", keys[line][0])
        and chosen.ep_no in ("", keys[line][-1])
        and chosen.unit in ("", unit)
        and not (chosen.undecided and side)
    ]


@for_some(done=st.lists(acts, min_size=1, max_size=15))
def test_what_is_decided_changes_only_by_an_act_that_names_it(alias: str, done: list[Act]) -> None:
    """For all sequences of decisions about one and about many by two people: deciding many touches nothing that is
    decided, and says how much that is; what is decided changes where its line is named, or where somebody was told how
    many it would be and nothing happened since. Counts are those of the engine throughout, everything accounted for."""
    with previewed(alias) as pk, stored_preview.opened(pk) as one, stored_preview.opened(pk) as other:
        people, seen = (one, other), [0, 0]
        keys = {line.id: line.key for line in one.page(Filter()).lines}
        decided: Decided = dict.fromkeys(sides(one), (None, 0))
        assert len(decided) == one.conflicting == 7
        version = 0
        for act in done:
            preview = people[act.who]
            if act.look:
                seen[act.who] = version
            told = f"{act.what}"
            expected = dict(decided)
            units = under(act.filter, keys, decided)
            try:
                if act.what == "one" and act.side:
                    named = [key for key in decided if key[0] == act.line and act.unit in ("", key[1])]
                    overtaken = any(
                        decided[key][1] > seen[act.who] and decided[key][0] is not act.side for key in named
                    )
                    n = preview.decide(act.side, act.line, act.unit, seen=seen[act.who])
                    assert (n, overtaken) == (len(named), False)
                    expected |= dict.fromkeys(named, (act.side, version + 1))
                elif act.what == "many" and act.side:
                    many = preview.decide_many(act.side, act.filter)
                    is_open = [key for key in units if decided[key][0] is None]
                    assert many.decided == len(is_open)
                    assert many.left == sum(decided[key][0] not in (None, act.side) for key in units)
                    expected |= dict.fromkeys(is_open, (act.side, version + 1))
                else:
                    overtaken = seen[act.who] != version
                    others = [key for key in units if decided[key][0] not in (None, act.side)]
                    assert preview.would_change(act.side, act.filter) == len(others)
                    n = preview.redecide_many(act.side, act.filter, seen=seen[act.who])
                    assert (n, overtaken) == (len(others), False)
                    expected |= dict.fromkeys(others, (act.side, version + 1))
            except DecidedMeanwhile:
                assert overtaken
                told += " refused"
            else:
                decided, version = expected, version + 1
            event(told)
            for looking in people:
                assert sides(looking) == {key: side for key, (side, _at) in decided.items()}
            with stored_preview.opened(pk) as again:
                assert (again.version, again.undecided) == (version, [s for s, _at in decided.values()].count(None))
                counts = again.counts()
                assert counts == again.plan.counts(again.decisions())
                still_open = {line for (line, _unit), (side, _at) in decided.items() if side is None}
                assert counts["attendance_records"].undecided == len(still_open)
                assert sum(c["undecided"] for c in again.results_by_company()) == len(still_open)
