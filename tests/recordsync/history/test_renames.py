"""Which names records have at another snapshot, against histories in which every record is known by a number."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recordsync.history.headers import Rename
from recordsync.history.relation import best_common_ancestors, with_ancestors
from recordsync.history.renames import Naming
from tests.conftest import DEEP

Names = dict[int, str]
"""The name of each record that a snapshot has."""


@dataclass
class Histories:
    """Snapshots with their parents, the renames that their headers have, and the names that are true."""

    parents: dict[str, list[str]] = field(default_factory=dict)
    renames: dict[str, list[Rename]] = field(default_factory=dict)
    names: dict[str, Names] = field(default_factory=dict)

    def add(self, names: Names, *parents: str) -> str:
        """An ordinary snapshot with one parent says what has another name; a merge does not."""
        pk = f"{len(self.parents):02}"
        self.parents[pk], self.names[pk] = list(parents), names
        if len(parents) == 1:
            before = self.names[parents[0]]
            changed = [(before[one], name) for one, name in names.items() if one in before and before[one] != name]
            if changed:
                self.renames[pk] = [Rename("companies", *pair) for pair in sorted(changed)]
        return pk

    def told(self, one: str, other: str) -> dict[str, str | None]:
        merges = {pk for pk, parents in self.parents.items() if len(parents) > 1}
        naming = Naming(self.parents, merges, self.renames, "companies")
        return dict(naming.told(one, other, self.names[one].values(), self.names[other].values()))

    def true(self, one: str, other: str) -> dict[str, str | None]:
        return {name: self.names[other].get(number) for number, name in self.names[one].items()}


@st.composite
def lines(draw: st.DrawFn) -> Histories:
    """Snapshots one after another, in which names are given, exchanged and given on, and records are deleted."""
    found = Histories()
    names = dict(enumerate(draw(st.permutations("ABCDEF"))[:4]))
    last = found.add(names)
    for _step in range(draw(st.integers(1, 5))):
        kept = draw(st.lists(st.sampled_from(sorted(names)), min_size=len(names) - 1, unique=True)) if names else []
        moved = dict(zip(kept, draw(st.permutations("ABCDEF")), strict=False)) if draw(st.booleans()) else {}
        names = {one: moved.get(one, names[one]) for one in sorted(kept)}
        if len(set(names.values())) < len(names):
            continue
        last = found.add(names, last)
        names = found.names[last]
    return found


@settings(max_examples=200 if DEEP else 100)
@given(lines())
def test_names_are_told_along_a_line_and_back(history: Histories) -> None:
    snapshots = sorted(history.parents)
    first, last = snapshots[0], snapshots[-1]
    for one, other in ((first, last), (last, first)):
        told = history.told(one, other)
        alive = set(history.names[first]) & set(history.names[last])
        for number in alive:
            assert told[history.names[one][number]] == history.names[other][number]
    assert history.told(first, last) == history.true(first, last)


def test_two_who_decide_for_two_names_again_and_again_have_one_record() -> None:
    """No newer snapshot says that the one name became the other: the oldest two do."""
    found = Histories()
    root = found.add({0: "A"})
    sides = found.add({0: "B"}, root), found.add({0: "C"}, root)
    for _time in range(2):
        sides = found.add({0: "B"}, *sides), found.add({0: "C"}, *sides)
    last = found.add({0: "C"}, *sides)
    assert found.told(sides[0], last) == {"B": "C"}
    assert found.told(last, sides[0]) == {"C": "B"}


def two_of(draw: st.DrawFn, found: Histories) -> tuple[str, str, bool]:
    """Two snapshots, and whether one of them descends from the other, so that nothing is to be merged."""
    one, other = (draw(st.sampled_from(sorted(found.parents))) for _side in range(2))
    return one, other, any(with_ancestors(found.parents, [a]) >= {a, b} for a, b in ((one, other), (other, one)))


def merged(names: Names, base: Names, theirs: Names) -> Names:
    """The names that a merge takes: of each record the one that one side alone has changed."""
    return {one: theirs[one] if names[one] == base[one] else names[one] for one in names}


@st.composite
def graphs(draw: st.DrawFn) -> Histories:
    """Snapshots of which some are merges. A name is only ever given to one record, and can be given back to it."""
    found = Histories()
    found.add({one: f"{one}a" for one in range(3)})
    for _step in range(draw(st.integers(2, 10))):
        parent, other, is_line = two_of(draw, found)
        names = found.names[parent]
        if is_line:
            renamed = draw(st.dictionaries(st.integers(0, 2), st.sampled_from("abcd"), max_size=2))
            found.add({one: f"{one}{renamed[one]}" if one in renamed else name for one, name in names.items()}, parent)
            continue
        base = found.names[best_common_ancestors(found.parents, [parent], [other])[0]]
        found.add(merged(names, base, found.names[other]), parent, other)
    return found


@settings(max_examples=200 if DEEP else 100)
@given(graphs(), st.data())
def test_names_are_told_behind_merges(history: Histories, data: st.DataObject) -> None:
    one, other = (data.draw(st.sampled_from(sorted(history.parents))) for _side in range(2))
    assert history.told(one, other) == history.true(one, other)


@st.composite
def exchanging(draw: st.DrawFn) -> Histories:
    """As :func:`graphs`, where three records exchange three names, and merges have one base and are not disputed."""
    found = Histories()
    found.add(dict(enumerate("ABC")))
    for _step in range(draw(st.integers(2, 10))):
        parent, other, is_line = two_of(draw, found)
        names = found.names[parent]
        if is_line:
            found.add(dict(enumerate(draw(st.permutations("ABC")))), parent)
            continue
        bases = best_common_ancestors(found.parents, [parent], [other])
        base, theirs = found.names[bases[0]], found.names[other]
        after = merged(names, base, theirs)
        is_disputed = any(len({names[one], base[one], theirs[one]}) > 2 for one in names)
        if len(bases) == 1 and not is_disputed and len({*after.values()}) == len(after):
            found.add(after, parent, other)
    return found


@settings(max_examples=200 if DEEP else 100)
@given(exchanging(), st.data())
def test_exchanged_names_are_told_behind_merges(history: Histories, data: st.DataObject) -> None:
    one, other = (data.draw(st.sampled_from(sorted(history.parents))) for _side in range(2))
    assert history.told(one, other) == history.true(one, other)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([("A", "B"), ("B", "C")], {"A": "C", "X": "X"}),
        ([("A", "B"), ("B", "A")], {"A": "A", "X": "X"}),
        ([("A", "B"), ("X", "A"), ("B", "X")], {"A": "X", "X": "A"}),
    ],
)
def test_renames_follow_each_other(headers: list[tuple[str, str]], expected: dict[str, str]) -> None:
    history = Histories()
    names = {1: "A", 2: "X"}
    last = first = history.add(names)
    for before, after in headers:
        names = {one: after if name == before else name for one, name in names.items()}
        last = history.add(names, last)
    assert history.told(first, last) == expected
