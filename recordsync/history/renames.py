"""Which names the records of one snapshot have at another one, by what the headers between them say. Pure.

A merge says its tree only. So what descends from several snapshots may have the name of any of them, and the names that
its tree has tell which (:meth:`Naming.told`). Where it has several of them, because names were exchanged or given on,
the record has the name that a merge takes: the one that one side alone has changed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from graphlib import TopologicalSorter

from recordsync.history.headers import Rename
from recordsync.history.relation import LEVELS, Parents, best_common_ancestors, with_ancestors

Names = Mapping[str, frozenset[str]]
"""For names at one snapshot those that the same records may have at another. A name that is not in it is the same."""

NamesSeen = Mapping[str, str | None]
"""For each name at one snapshot that of the same record at another (None: it is not there)."""


class Naming:
    """The names of the records of one model, to which others refer. ``renames``: by the id of the snapshot whose header
    has them, which is relative to its first parent."""

    def __init__(
        self, parents: Parents, merges: Collection[str], renames: Mapping[str, Sequence[Rename]], model: str
    ) -> None:
        self._parents = parents
        self._merges = merges
        self._renames = {
            pk: {rename.before: rename.after for rename in of if rename.model == model} for pk, of in renames.items()
        }
        self._known: dict[tuple[str, str], Names] = {}
        self._known_since: dict[tuple[str, str, int], Names] = {}
        self._known_merged: dict[tuple[str, str], Names] = {}

    def between(self, one: str, other: str) -> Names:
        """The names that records of one snapshot may have at another, by way of their best common ancestor."""
        if (one, other) not in self._known:
            self._known[one, other] = self._by_ancestor(one, other, self._since)
        return self._known[one, other]

    def _by_ancestor(self, one: str, other: str, since: Callable[[str, str], Names]) -> Names:
        if one in with_ancestors(self._parents, [other]):
            return since(one, other)
        if common := best_common_ancestors(self._parents, [one], [other]):
            return _composed(_inverse(since(common[0], one)), since(common[0], other))
        return {}

    def _since(self, ancestor: str, pk: str, levels: int = LEVELS) -> Names:
        """As :meth:`between`, from an ancestor of a snapshot. ``levels``: where no newer one states renames, a merge
        may still have a name of an older one, if two had merged the same and decided for two names. So many levels down
        these are looked for."""
        key = (ancestor, pk, levels)
        if key not in self._known_since:
            self._known_since[key] = self._found_since(*key)
        return self._known_since[key]

    def _found_since(self, ancestor: str, pk: str, levels: int) -> Names:
        old = with_ancestors(self._parents, [ancestor])
        new = with_ancestors(self._parents, [pk]) - old
        if not any(self._renames.get(one) for one in new):
            has_older = any(parent in old and parent != ancestor for one in new for parent in self._parents[one])
            if not levels or not has_older or not any(self._renames.get(one) for one in old):
                return {}
            levels -= 1
        found: dict[str, Names] = {ancestor: {}}
        between = {one: [parent for parent in self._parents[one] if parent in new] for one in new}
        for one in TopologicalSorter(between).static_order():
            of_parents = []
            for position, parent in enumerate(self._parents[one]):
                if parent not in found:  # an older one, from which another line leads here
                    found[parent] = _inverse(self._since(parent, ancestor, levels))
                renames = self._renames.get(one, {}) if position == 0 else {}
                of_parents.append(_renamed(found[parent], renames))
            found[one] = _of_any(of_parents)
        return found[pk]

    def _merged_since(self, ancestor: str, pk: str) -> Names:
        """As :meth:`_since`, if each merge has taken the names that one of its sides alone had changed."""
        key = (ancestor, pk)
        if key not in self._known_merged:
            self._known_merged[key] = self._found_merged_since(*key)
        return self._known_merged[key]

    def _found_merged_since(self, ancestor: str, pk: str) -> Names:
        old = with_ancestors(self._parents, [ancestor])
        new = with_ancestors(self._parents, [pk]) - old
        found: dict[str, Names] = {ancestor: {}}

        def at(one: str) -> Names:
            if one not in found:  # an older one, from which another line leads here
                found[one] = _inverse(self._merged_since(one, ancestor))
            return found[one]

        between = {one: [parent for parent in self._parents[one] if parent in new] for one in new}
        for one in TopologicalSorter(between).static_order():
            parents = self._parents[one]
            if one in self._merges:
                bases = best_common_ancestors(self._parents, parents[:1], parents[1:])
                found[one] = _merged(at(parents[0]), at(parents[1]), [at(base) for base in bases])
            else:
                found[one] = _renamed(at(parents[0]), self._renames.get(one, {})) if parents else {}
        return found[pk]

    def told(self, one: str, other: str, at_one: Collection[str], at_other: Collection[str]) -> NamesSeen:
        """The names between two snapshots, of which these are all names. A record whose name cannot be told is not in
        it. Where a record may have its old name or a new one, it has the one that merges took, and the new one if that
        is not known."""
        found: dict[str, str | None] = {}
        names = self.between(one, other)
        for name in at_one:
            possible = names.get(name, frozenset({name})).intersection(at_other)
            if len(possible) > 1:
                taken = self._by_ancestor(one, other, self._merged_since).get(name, frozenset({name}))
                possible = possible & taken if len(possible & taken) == 1 else possible
            new = possible - {name}
            if len(new) < 2:
                found[name] = next(iter(new or possible), None)
        by_name = defaultdict(list)
        for name, after in found.items():
            by_name[after].append(name)
        for name, after in list(found.items()):
            others = [before for before in by_name[after] if before != name]
            if after is None or not others:
                continue
            if after == name:
                found[name] = None  # which another record got, after this one was there no more
            elif any(before != after for before in others):
                del found[name]
        return found


def _renamed(names: Names, renames: Mapping[str, str]) -> Names:
    """The names after these renames. What had a name that another record gets is there no more."""
    if not renames:
        return names
    free = set(renames.values()) - renames.keys()
    after = {name: frozenset(renames.get(one, one) for one in possible - free) for name, possible in names.items()}
    taken = frozenset[str]().union(*names.values())  # names that other records have got
    renamed = {name: frozenset({new}) for name, new in renames.items() if name not in taken}
    return dict.fromkeys(free, frozenset[str]()) | renamed | after


def _of_any(several: Sequence[Names]) -> Names:
    """The names that records may have by any of several ways."""
    if len(several) == 1:
        return several[0]
    return {
        name: frozenset[str]().union(*(names.get(name, {name}) for names in several))
        for names in several
        for name in names
    }


def _merged(one: Names, other: Names, bases: Sequence[Names]) -> Names:
    """The names that a merge has, by those of its two sides and of the bases of the merge: the one that only one side
    has changed. Any of them, where nobody knows."""
    found: dict[str, frozenset[str]] = {}
    for name in {*one, *other}:
        ours, theirs = (names.get(name, frozenset({name})) for names in (one, other))
        before = {base.get(name, frozenset({name})) for base in bases}
        if before == {ours}:
            found[name] = theirs
        elif before == {theirs}:
            found[name] = ours
        else:
            found[name] = ours | theirs
    return found


def _inverse(names: Names) -> Names:
    """The names the other way round."""
    found: dict[str, set[str]] = {name: set() for name in names}
    for name, possible in names.items():
        for after in possible:
            found.setdefault(after, set() if after in names else {after}).add(name)
    return {name: frozenset(possible) for name, possible in found.items()}


def _composed(first: Names, then: Names) -> Names:
    """The names by one way, and from there by another."""
    return {
        name: frozenset[str]().union(*(then.get(one, {one}) for one in first.get(name, {name})))
        for name in {*first, *then}
    }
