"""What is said about kinds and phases is said of each of them."""

from __future__ import annotations

import re
from pathlib import Path

import recordsync
from core.models import Kind, Phase
from core.operations.traits import BACKUPS, BEFORE_THE_LOCK, TRAITS, UNAUDITED, WRITERS, label_of, name_of, traits_of
from core.worker.handlers import HANDLERS

AT_ONCE = {Kind.RENAME_COMPANY, Kind.BULK_EDIT, Kind.CLOSE_MONTH, Kind.REOPEN_MONTH, Kind.SEED_DEMO}
"""Kinds that no worker is asked for: a request or a command runs them."""


def test_every_kind_says_all_there_is_to_know() -> None:
    assert set(TRAITS) == set(Kind)
    told = [str(traits.in_a_sentence) for traits in TRAITS.values()]
    assert all(re.match(r"(a|an|the) \w", text) for text in told)
    assert len(set(told)) == len(told)
    for kind, traits in TRAITS.items():
        for sentence in (traits.undone, traits.undone_if_killed):
            assert str(sentence).endswith("."), kind
        assert bool(traits.perhaps) == bool(traits.look), kind


def test_who_writes_under_the_lock_is_audited_and_says_where_it_is_seen() -> None:
    writers = {"restore", "import", "delete_all", "rename_company", "bulk_edit", "close_month", "reopen_month"}
    assert set(WRITERS) == writers | {"seed_demo", "undo"}
    assert UNAUDITED == (Kind.VERIFY, Kind.CHECK, Kind.CHECK_SHEET, Kind.EXPORT)
    assert all(TRAITS[kind].perhaps for kind in WRITERS)
    assert set(BACKUPS.values()).isdisjoint({*WRITERS, *UNAUDITED})


def test_every_kind_has_a_handler_or_is_run_at_once() -> None:
    assert set(HANDLERS) == set(Kind) - AT_ONCE


def test_a_kind_of_another_version_is_told_by_its_name() -> None:
    assert label_of("of_tomorrow") == traits_of("of_tomorrow").in_a_sentence == "of_tomorrow"
    assert label_of("restore") == "Restore"


def test_every_phase_of_the_engine_has_a_label() -> None:
    sources = [path.read_text() for path in Path(recordsync.__path__[0]).rglob("*.py")]
    reported = {word for source in sources for word in re.findall(r'progress\("(\w+)"', source)}
    assert {"check", "compare", "apply", "write"} <= reported <= set(Phase.values)
    assert {str(phase.label) for phase in Phase}.isdisjoint(Phase.values)
    assert {Phase.COMPARE, Phase.APPLY, Phase.DELETE, Phase.COMMIT}.isdisjoint(BEFORE_THE_LOCK)


def test_only_the_path_of_a_file_loses_its_folder() -> None:
    assert name_of(Kind.RESTORE, "/srv/backups/monday.json") == "monday.json"
    assert name_of(Kind.BULK_EDIT, "Shift: A/B, 3 days") == "Shift: A/B, 3 days"
