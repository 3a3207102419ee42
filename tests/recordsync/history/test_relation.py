"""How snapshots are related, against a search that goes by the definition."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from recordsync.history.relation import (
    LEVELS,
    BaseIds,
    MergedBases,
    base_of,
    best_common_ancestors,
    relation,
    snapshots_in,
    with_ancestors,
)
from tests.conftest import MANY

Graph = dict[str, list[str]]


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Some snapshots, each with up to two parents among those before it."""
    graph: Graph = {}
    for number in range(draw(st.integers(2, 12))):
        known = sorted(graph)
        parents = draw(st.lists(st.sampled_from(known), max_size=2, unique=True)) if known else []
        graph[f"{number:02}"] = parents
    return graph


def descends(graph: Graph, pk: str, ancestor: str) -> bool:
    return pk == ancestor or any(descends(graph, parent, ancestor) for parent in graph[pk])


@MANY
@given(graphs())
def test_the_best_common_ancestors_are_those_of_the_definition(graph: Graph) -> None:
    for ours, theirs in combinations(graph, 2):
        common = [pk for pk in graph if descends(graph, ours, pk) and descends(graph, theirs, pk)]
        best = [pk for pk in common if not any(descends(graph, other, pk) for other in common if other != pk)]
        assert best_common_ancestors(graph, [ours], [theirs]) == best
        assert best_common_ancestors(graph, [theirs], [ours]) == best
        assert with_ancestors(graph, [ours]) == {pk for pk in graph if descends(graph, ours, pk)}


@MANY
@given(graphs())
def test_a_base_is_made_of_common_ancestors(graph: Graph) -> None:
    for ours, theirs in combinations(graph, 2):
        base = base_of(graph, ours, theirs)
        assert base == base_of(graph, theirs, ours), "both sides merge alike"
        common = with_ancestors(graph, [ours]) & with_ancestors(graph, [theirs])
        assert (base is None) == (not common)
        assert snapshots_in(base) <= common
        if descends(graph, theirs, ours):
            assert base == ours


@MANY
@given(graphs())
def test_both_sides_settle_on_one_and_nobody_goes_back_to_an_ancestor(graph: Graph) -> None:
    """Else files that go round would bring back what was deleted, time and again."""
    merges = {pk for pk, parents in graph.items() if len(parents) > 1}
    for ours, theirs in combinations(graph, 2):
        settled = relation(graph, merges, ours, theirs).settles_on
        assert settled == relation(graph, merges, theirs, ours).settles_on
        one, other = ({pk for pk in graph if pk not in merges and descends(graph, side, pk)} for side in (ours, theirs))
        assert (settled is None) == (one != other)
        assert settled != ours or not descends(graph, theirs, ours)
        assert settled != theirs or not descends(graph, ours, theirs)


def depth(base: BaseIds | None) -> int:
    if not isinstance(base, MergedBases):
        return 0
    return max(depth(base.one), 1 + depth(base.base))


def ladder(rungs: int) -> Graph:
    """Two lines that merge each other crosswise, time and again."""
    graph: Graph = {"": [], "a0": [""], "b0": [""]}
    for rung in range(1, rungs + 1):
        graph |= {f"{one}{rung}": [f"a{rung - 1}", f"b{rung - 1}"] for one in "ab"}
    return graph


def test_criss_cross_bases_are_merged_first_two_levels_deep() -> None:
    assert base_of(ladder(0), "a0", "b0") == ""
    assert base_of(ladder(1), "a1", "b1") == MergedBases("a0", "b0", "")
    assert base_of(ladder(2), "a2", "b2") == MergedBases("a1", "b1", MergedBases("a0", "b0", ""))
    for rungs in range(8):
        assert depth(base_of(ladder(rungs), f"a{rungs}", f"b{rungs}")) == min(rungs, LEVELS + 1)
    assert base_of(ladder(5), "a5", "b5") == MergedBases(
        "a4", "b4", MergedBases("a3", "b3", MergedBases("a2", "b2", None))
    )


def test_nothing_in_common() -> None:
    assert base_of({"a": [], "b": []}, "a", "b") is None
