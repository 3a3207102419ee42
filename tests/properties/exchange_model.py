"""Installations that exchange files, on plain dictionaries: what docs/merging.md says of them, written out once more.

Nothing of the engine is used here. A register is a dictionary, a snapshot says what the register was and which
snapshots were before it, and a file is a snapshot on its way. :class:`Installation` has what a person can do with one.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Literal, NamedTuple, cast

Key = tuple[str, ...]
"""Of a company: ``("A",)``, what it is known by, whatever its name is. Of a record: ``("A", "2026-11-20", "1")``."""
Content = tuple[str, ...]
"""The value of each unit of a record. Of a company: its name."""
Register = dict[Key, Content]
Tree = frozenset[tuple[Key, Content]]
"""What a register is at one moment."""
Side = Literal["ours", "theirs"]


@dataclass(frozen=True)
class Choices:
    """A person's decisions of conflicts, one by one: as good as drawn, and the same for the same conflict."""

    salt: int

    def side(self, key: Key, at: int) -> Side:
        """The side for which the conflict in a unit, or in a whole record (-1), is decided."""
        return "theirs" if hashlib.sha256(repr((self.salt, key, at)).encode()).digest()[0] % 2 else "ours"


Decisions = Side | Choices
"""For which side conflicts are decided: all of them for one, or each by itself."""


class Unknown(Enum):
    """What nothing proves."""

    UNKNOWN = "?"


UNKNOWN: Final = Unknown.UNKNOWN
Unit = str | Unknown
Known = tuple[Unit, ...] | None | Unknown
"""What a base says of a key: its units, that it is not there, or nothing."""
Base = Mapping[Key, Known]
"""What both sides had in common. A key that it does not have was not there."""


# --- The merge of one key


class Merged(NamedTuple):
    """The merge of one key. ``kept`` and ``taken``: what it comes to if conflicts are decided for ours or for theirs.
    ``conflicts``: the positions of the units in conflict, or :data:`WHOLE`."""

    ours: Content | None
    theirs: Content | None
    kept: Content | None
    taken: Content | None
    conflicts: tuple[int, ...] = ()

    def decided(self, key: Key, by: Decisions) -> Content | None:
        if not isinstance(by, Choices):
            return self.kept if by == "ours" else self.taken
        if self.kept is None or self.taken is None:
            return self.kept if by.side(key, -1) == "ours" else self.taken
        content = list(self.kept)
        for at in self.conflicts:
            content[at] = self.kept[at] if by.side(key, at) == "ours" else self.taken[at]
        return tuple(content)


WHOLE: Final = (-1,)
"""The conflict about whether there is a record."""


def merged(base: Known, ours: Content | None, theirs: Content | None) -> Merged:
    """The merge table, row by row."""
    if ours == theirs:
        return Merged(ours, theirs, ours, ours)
    if ours is None or theirs is None:
        if base is None:  # one side has added it
            added = theirs if ours is None else ours
            return Merged(ours, theirs, added, added)
        if theirs == base:
            return Merged(ours, theirs, ours, ours)
        if ours == base:
            return Merged(ours, theirs, theirs, theirs)
        return Merged(ours, theirs, ours, theirs, WHOLE)
    before = base if isinstance(base, tuple) else (UNKNOWN,) * len(ours)
    kept, taken, conflicts = list(ours), list(ours), []
    for at, (was, here, there) in enumerate(zip(before, ours, theirs, strict=True)):
        if there in (here, was):
            continue
        taken[at] = there
        if here == was:
            kept[at] = there
        else:
            conflicts.append(at)
    return Merged(ours, theirs, tuple(kept), tuple(taken), tuple(conflicts))


class NotFollowed(Exception):
    """Nothing says that two names are those of one company, so that it would be merged as two."""


def merged_company(base: Known, name: Known, ours: Content | None, theirs: Content | None) -> Merged:
    """The merge of a company: of whether it is there, and else of its name. ``base``: what the base says of the one;
    ``name``: of the other."""
    if ours is not None and theirs is not None:
        if ours != theirs and name is None:
            raise NotFollowed
        return merged(name, ours, theirs)
    there: Content = ()
    sides = merged(base, None if ours is None else there, None if theirs is None else there)
    of = ours or theirs
    kept, taken = (None if content is None else of for content in (sides.kept, sides.taken))
    return Merged(ours, theirs, kept, taken, sides.conflicts)


def merged_without_base(ours: Content | None, theirs: Content | None, deleted: Content | None) -> Merged:
    """The same where nothing in common is known. ``deleted``: what theirs says that it has deleted."""
    if ours is None or theirs is not None or deleted is None:
        return merged(None, ours, theirs)
    return Merged(ours, None, None, None) if ours == deleted else Merged(ours, None, ours, None, WHOLE)


# --- The base of two snapshots


class Snapshot:
    """What a register was, and the snapshots before. ``label``: its id, of which nothing counts but that it is smaller
    or greater than another one's."""

    def __init__(self, tree: Tree, parents: tuple[Snapshot, ...], label: str, *, is_merge: bool) -> None:
        self.tree = tree
        self.parents = parents
        self.label = label
        self.is_merge = is_merge
        self.ancestry: frozenset[Snapshot] = frozenset({self}).union(*(parent.ancestry for parent in parents))

    @property
    def is_told(self) -> bool:
        """Whether everybody who knows that it is knows what it says: a merge says nothing but its tree, and what says
        that companies have other names than in its first parent is told in full, so that others can follow them."""
        before = names_in(self.parents[0].tree) if self.parents else {}
        return self.is_merge or any(before.get(key, name) != name for key, name in names_in(self.tree).items())

    @property
    def ordinary(self) -> frozenset[Snapshot]:
        """The ordinary snapshots of its ancestry."""
        return frozenset(one for one in self.ancestry if not one.is_merge)

    def __repr__(self) -> str:
        return f"<{'merge' if self.is_merge else 'snapshot'} {self.label[:6]}>"


def common_ancestors(ours: Collection[Snapshot], theirs: Collection[Snapshot]) -> list[Snapshot]:
    """The best ones: those of which no other one descends."""
    common = frozenset().union(*(one.ancestry for one in ours)) & frozenset().union(*(one.ancestry for one in theirs))
    best = [one for one in common if not any(one in other.ancestry for other in common if other is not one)]
    return sorted(best, key=lambda one: one.label)


class Shared(NamedTuple):
    """What two snapshots have in common. ``of``: the snapshots that it is made of."""

    base: Base
    of: frozenset[Snapshot]


def shared(ours: Collection[Snapshot], theirs: Collection[Snapshot], levels: int = 2) -> Shared | None:
    """Several best common ancestors are merged first, with theirs, two levels deep. None: nothing in common."""
    best = common_ancestors(ours, theirs)
    if not best:
        return None
    base = base_of(best[0].tree)
    of = frozenset(best)
    for at, other in enumerate(best[1:], 1):
        below = shared(best[:at], [other], levels - 1) if levels else None
        base = both_bases(below and below.base, base, base_of(other.tree))
        of |= below.of if below else frozenset()
    return Shared(base, of)


def base_of(tree: Tree) -> Base:
    """What a snapshot says, as a base. Whether a company is there, and its name, are told apart."""
    names = {name_of(key): content for key, content in tree if len(key) == 1}
    return {key: () if len(key) == 1 else content for key, content in tree} | names


def name_of(company: Key) -> Key:
    """The key by which a base has a company's name."""
    return (*company, "name")


def both_bases(below: Base | None, one: Base, other: Base) -> Base:
    """What two bases come to. ``below``: their own base; None: nothing proves what it is."""
    keys = {*(below or {}), *one, *other}
    found: dict[Key, Known] = {}
    for key in keys:
        before = UNKNOWN if below is None else below.get(key)
        known = one.get(key), other.get(key)
        if len(key) == 2 and None in known:  # a name of which one of them says nothing
            found[key] = known[0] or known[1]
        else:
            found[key] = _of_both(before, *known)
    return found


def _of_both(below: Known, one: Known, other: Known) -> Known:
    if isinstance(one, tuple) and isinstance(other, tuple):
        before = below if isinstance(below, tuple) else (UNKNOWN,) * len(one)
        return tuple(cast(Unit, _proven(*units)) for units in zip(before, one, other, strict=True))
    whole = UNKNOWN if isinstance(below, tuple) and UNKNOWN in below else below
    return cast(Known, _proven(whole, one, other))


def _proven(below: Known | Unit, one: Known | Unit, other: Known | Unit) -> Known | Unit:
    """What two bases come to, of one unit or of a whole record."""
    if UNKNOWN in (one, other):
        return UNKNOWN
    if one == other or other == below:
        return one
    return other if one == below else UNKNOWN


# --- Files


@dataclass(frozen=True)
class File:
    """``snapshot``: what it was made from, whose ancestry it names; None: it is in none, and then ``there`` and
    ``deleted`` are all that it speaks about. ``parent``: of an incremental the snapshot from which its changes lead.
    ``bases``: snapshots that it brings as well, to be bases of its merge. ``number``: by which its maker's catalogue
    has it. ``names``: of the companies, where it is in no ancestry."""

    number: int
    there: Tree
    deleted: Tree = frozenset()
    snapshot: Snapshot | None = None
    parent: Snapshot | None = None
    bases: frozenset[Snapshot] = frozenset()
    names: Mapping[Key, Content] = field(default_factory=dict)


def differences(before: Tree, after: Tree) -> tuple[Tree, Tree]:
    """What is there after, and other than before; and what was there before, and is not after."""
    keys = dict(after)
    return after - before, frozenset((key, content) for key, content in before if key not in keys)


# --- Installations

How = Literal[
    "nothing", "settled", "fast-forward", "merged", "exact", "undone", "withdrawn", "redone", "not here", "undecided"
]


@dataclass
class Restored:
    """What a restore or an undo did. ``merged``: each key that was merged. ``base``: what both had in common.
    ``has_base``: whether there was any. ``blocked``: companies that should be deleted and have records. ``created``:
    companies that records need. ``deleted``: what theirs lists as deleted, where it is merged for what it lists."""

    how: How
    merged: Mapping[Key, Merged] = field(default_factory=dict)
    base: Shared | None = None
    has_base: bool = True
    blocked: frozenset[Key] = frozenset()
    created: frozenset[Key] = frozenset()
    deleted: Tree = frozenset()

    @property
    def conflicts(self) -> frozenset[Key]:
        return frozenset(key for key, one in self.merged.items() if one.conflicts)


class Move(NamedTuple):
    """What an operation did to the head."""

    before: Snapshot | None
    after: Snapshot
    kind: str


class Snapshots:
    """All snapshots that were ever made, anywhere. A merge is known by what it says and by its parents. ``salt``: makes
    other ids."""

    def __init__(self, salt: str = "") -> None:
        self._salt = salt
        self._merges: dict[tuple[Tree, frozenset[Snapshot]], Snapshot] = {}
        self._count = 0

    def next_number(self) -> int:
        self._count += 1
        return self._count

    def ordinary(self, tree: Tree, *parents: Snapshot) -> Snapshot:
        return Snapshot(tree, parents, self._label(str(self.next_number())), is_merge=False)

    def merge(self, tree: Tree, *parents: Snapshot) -> Snapshot:
        known = self._merges.get((tree, frozenset(parents)))
        if known is None:
            ordered = tuple(sorted(parents, key=lambda one: one.label))
            label = self._label(repr((sorted(tree), [one.label for one in ordered])))
            known = self._merges[tree, frozenset(parents)] = Snapshot(tree, ordered, label, is_merge=True)
        return known

    def _label(self, text: str) -> str:
        return hashlib.sha256((self._salt + text).encode()).hexdigest()


class Installation:
    """One installation. ``known``: the snapshots of which it knows what they say; of other ancestors it knows only that
    they are. ``stored``: the trees that its history store has. ``written``: the numbers of the files that its catalogue
    has as written here. ``left``: the snapshots that left in a file."""

    def __init__(self, snapshots: Snapshots) -> None:
        self.register: Register = {}
        self.head: Snapshot | None = None
        self.known: set[Snapshot] = set()
        self.stored: set[Tree] = {frozenset()}
        self.written: set[int] = set()
        self.left: set[Snapshot] = set()
        self.moves: list[Move] = []
        self._snapshots = snapshots

    def copy(self) -> Installation:
        """A copy of its databases."""
        made = Installation(self._snapshots)
        made.put_back(self)
        return made

    def put_back(self, copy: Installation) -> None:
        """Put its databases back to an old copy."""
        self.register, self.head, self.moves = dict(copy.register), copy.head, list(copy.moves)
        self.known, self.stored = set(copy.known), set(copy.stored)
        self.written, self.left = set(copy.written), set(copy.left)

    def lose_history(self) -> None:
        """Lose the history store. What says which snapshots there were is in the register's own database, and nobody
        needs a store to know what an empty register was."""
        self.stored = {frozenset()}

    @property
    def tree(self) -> Tree:
        return frozenset(self.register.items())

    def take(self, kind: str = "") -> Snapshot:
        """The snapshot of what the register is now: the head, or a new one after it."""
        if self.head is None or self.head.tree != self.tree:
            parents = () if self.head is None else (self.head,)
            self._move(self._snapshots.ordinary(self.tree, *parents), kind)
        assert self.head is not None
        self.stored.add(self.tree)
        return self.head

    def _move(self, after: Snapshot, kind: str) -> None:
        if after is not self.head:
            self.moves.append(Move(self.head, after, kind))
        self.head = after
        self._keep(after)

    def _keep(self, snapshot: Snapshot) -> None:
        self.known |= {snapshot, *(one for one in snapshot.ancestry if one.is_told)}
        self.stored.add(snapshot.tree)

    def has(self, snapshot: Snapshot) -> bool:
        """Whether its records are at hand."""
        return snapshot in self.known and snapshot.tree in self.stored

    # --- Back up

    def full(self) -> File:
        """A file of everything."""
        snapshot = self._sent()
        return File(self._number(), snapshot.tree, snapshot=snapshot)

    def incremental(self, parent: Snapshot, bases: Collection[Snapshot] = ()) -> File:
        """A file of the changes since a snapshot, which may bring others as well."""
        snapshot = self._sent()
        there, deleted = differences(parent.tree, snapshot.tree)
        return File(self._number(), there, deleted, snapshot, parent, frozenset(bases))

    def part(self, keys: Collection[Key]) -> File:
        """A file of some companies and records. It is in no ancestry."""
        self.take()
        there = frozenset((key, self.register[key]) for key in keys)
        return File(self._number(), there, names=names_in(self.tree))

    def _sent(self) -> Snapshot:
        snapshot = self.take()
        self.left.add(snapshot)
        return snapshot

    def _number(self) -> int:
        """Of a file that is entered into the catalogue."""
        number = self._snapshots.next_number()
        self.written.add(number)
        return number

    @property
    def parents(self) -> list[Snapshot]:
        """The snapshots that an incremental backup can continue: those at hand that the register had."""
        had = dict.fromkeys(move.after for move in self.moves)
        return [one for one in had if self.head is not None and one in self.head.ancestry and self.has(one)]

    # --- Write

    def write(self, register: Register) -> None:
        """What anybody does to the database."""
        self.register = dict(register)

    def operate(self, register: Register, kind: str) -> None:
        """What an operation does, such as an import."""
        self._begin()
        self.register = dict(register)
        self.take(kind)

    def _begin(self) -> Snapshot | None:
        """Every operation takes a snapshot first, but in a register that has nothing yet."""
        return self.take() if self.head is not None or self.register else None

    # --- Restore

    def refuse(self, file: File) -> Restored:
        """Merge a file of which nobody has decided the conflicts: it is refused, and nothing is merged."""
        self._begin()
        return Restored("undecided")

    def restore(self, file: File, by: Decisions, *, without_base: bool = False, is_own: bool = False) -> Restored:
        """Merge a file. ``by``: who decides conflicts. ``without_base``: as if nothing in common were known.
        ``is_own``: bring the values of an own snapshot back.

        Raises NotFollowed.
        """
        ours, theirs = self._begin(), file.snapshot
        if theirs is None or (file.parent is not None and not self.has(file.parent)):
            return self._without_ancestry(file, by)
        if ours is None:
            return self._first(theirs, has_base=False)
        # A backup that was taken here brings its values back.
        related = None if without_base else shared([ours], [theirs])
        base = None if is_own or file.number in self.written else related
        is_here = theirs in ours.ancestry
        is_needed = not is_here and ours.tree != theirs.tree
        if base is not None and is_needed and not all(self.has(one) or one in file.bases for one in base.of):
            return Restored("not here", base=base)
        if not self._follows(ours, theirs, related, file):
            raise NotFollowed
        names = UNKNOWN if base is None and related is not None else None
        changes = merge(ours.tree, theirs.tree, base.base if base else {}, names)
        done = self._apply("merged", changes, by, base)
        done.has_base = base is not None
        self._keep(theirs)
        self._move(self._after(ours, theirs), "restore")
        if base is not None and ours.tree == theirs.tree and ours.ordinary == theirs.ordinary:
            done.how = "settled"
        elif base is not None and is_here:
            done.how = "nothing"
        elif base is not None and self.head is theirs:
            done.how = "fast-forward"
        return done

    def _follows(self, ours: Snapshot, theirs: Snapshot, related: Shared | None, file: File | None = None) -> bool:
        """Whether every company that has another name there is known to be the same one. ``related``: what both have in
        common; only snapshots that are at hand tell names."""
        there = names_in(theirs.tree)
        differ = {key for key, name in names_in(ours.tree).items() if there.get(key, name) != name}
        if related is None:
            return not differ
        brought = frozenset[Snapshot]() if file is None else file.bases
        changed = differ or any(
            names_in(one.tree).get(key, name) != name for one in related.of for key, name in there.items()
        )
        are_here = all(self.has(one) or one in brought for one in related.of)
        return not changed or (are_here and all(related.base.get(name_of(key)) is not None for key in differ))

    def _after(self, ours: Snapshot, theirs: Snapshot, *, is_exact: bool = False) -> Snapshot:
        """The snapshot after theirs was merged into ours, or (``is_exact``) ours became as theirs."""
        tree = self.tree
        if ours.tree == theirs.tree and ours.ordinary == theirs.ordinary:
            return min(ours, theirs, key=lambda one: (-len(one.ancestry), one.label))
        if theirs in ours.ancestry:
            return ours if tree == ours.tree else self._snapshots.ordinary(tree, ours)
        if ours in theirs.ancestry and tree == theirs.tree:
            return theirs
        made = self._snapshots.ordinary if is_exact else self._snapshots.merge
        return made(tree, ours, theirs)

    def _first(self, theirs: Snapshot, *, has_base: bool) -> Restored:
        """Become a snapshot, in a register that has nothing yet."""
        self.register = dict(theirs.tree)
        self._move(theirs, "restore")
        return Restored("fast-forward", merge(frozenset(), theirs.tree, {}, None), has_base=has_base)

    def exact(self, theirs: Snapshot) -> Restored:
        """Become exactly what a snapshot is. Raises NotFollowed."""
        if (ours := self._begin()) is None:
            return self._first(theirs, has_base=True)
        if not self._follows(ours, theirs, shared([ours], [theirs])):
            raise NotFollowed
        self._become(dict(theirs.tree))
        self._keep(theirs)
        self._move(self._after(ours, theirs, is_exact=True), "restore")
        return Restored("exact", merge(ours.tree, theirs.tree, base_of(ours.tree)))

    def _without_ancestry(self, file: File, by: Decisions) -> Restored:
        """Merge a file that is in no ancestry: what it lists, and nothing else. Raises NotFollowed."""
        self._begin()
        there, deleted = dict(file.there), dict(file.deleted)
        names = dict(file.names)
        if file.snapshot is not None and file.parent is not None:
            names = names_in(file.snapshot.tree)
            before = names_in(file.parent.tree)
            if any(before.get(key, name) != name for key, name in names.items()):
                raise NotFollowed
            names = before | names
        if any(names.get(key, name) != name for key, name in names_in(self.tree).items()):
            raise NotFollowed
        changes = {
            key: merged_without_base(self.register.get(key), there.get(key), deleted.get(key))
            for key in {*there, *deleted}
        }
        done = self._apply("merged", changes, by, names=names)
        done.has_base, done.deleted = False, file.deleted
        self.take("restore")
        return done

    # --- Undo

    def ways(self, number: int) -> list[How]:
        """How the move of this number can be undone; first what is usual. What others may have seen cannot be
        unseen."""
        move = self.moves[number]
        before = move.before.ancestry if move.before else frozenset()
        if move.kind == "undo" and move.before is not None and move.before not in move.after.ancestry:
            return ["redone", "undone"]
        # What was withdrawn and came back can be withdrawn again.
        came = move.after.ancestry - before
        is_redo = move.kind == "undo" and any(
            one.before in came for one in self.moves[:number] if one.kind == "undo" and one.before is not None
        )
        if not (is_redo or move.kind == "restore") or self.head is None:
            return ["undone"]
        later = self.moves[number + 1 :]
        was_seen = self.left & (self.head.ancestry - before)
        has_followed = any(one.kind in ("restore", "undo") for one in later)
        return ["undone"] if was_seen or has_followed else ["withdrawn", "undone"]

    def undo(self, number: int, by: Decisions, way: How) -> Restored:
        """Undo what made a move: *undone*, by an ordinary change; *withdrawn*, as if it had never been; or *redone*:
        what was withdrawn comes back. Raises NotFollowed."""
        now, move = self.take(), self.moves[number]
        if not all(self.has(one) for one in (move.before, move.after) if one):
            return Restored("not here")
        for key, name in names_in(move.after.tree).items():
            since = {names_in(one.tree).get(key) for one in now.ancestry - move.after.ancestry}
            if None in since and since - {None, name}:
                raise NotFollowed  # what came back with its old name may be another one
        before: Tree = move.before.tree if move.before else frozenset()
        done = self._apply(way, merge(now.tree, before, base_of(move.after.tree)), by)
        self._move(self._after_undo(now, move.before, way), "undo")
        return done

    def _after_undo(self, now: Snapshot, before: Snapshot | None, way: How) -> Snapshot:
        if way == "undone":
            return now if self.tree == now.tree else self._snapshots.ordinary(self.tree, now)
        if before is None:
            return self._snapshots.ordinary(self.tree)
        if way == "withdrawn":
            return before if self.tree == before.tree else self._snapshots.ordinary(self.tree, before)
        if before in now.ancestry:  # it came back already
            return now if self.tree == now.tree else self._snapshots.ordinary(self.tree, now)
        is_all = now in before.ancestry and self.tree == before.tree
        return before if is_all else self._snapshots.ordinary(self.tree, now, before)

    def _apply(
        self,
        how: How,
        changes: Mapping[Key, Merged],
        by: Decisions,
        base: Shared | None = None,
        names: Mapping[Key, Content] | None = None,
    ) -> Restored:
        """Make the register what a merge comes to. A company stays, or is created, while records name it. ``names``:
        those of theirs, where they do not follow from ``changes``. Raises NotFollowed."""
        before = names_in(self.tree)
        there = {key: one.theirs for key, one in changes.items() if len(key) == 1 and one.theirs is not None}
        named = there | dict(names or {}) | before
        register = dict(self.register)
        for key, one in changes.items():
            content = one.decided(key, by)
            if content is None:
                register.pop(key, None)
            else:
                register[key] = content
        needed = {key[:1] for key in register} - set(register)
        self._become(register | {key: named[key] for key in needed})
        blocked = needed & before.keys()
        return Restored(how, changes, base, blocked=frozenset(blocked), created=frozenset(needed - blocked))

    def _become(self, register: Register) -> None:
        """Make the register this. Raises NotFollowed where a company that was deleted comes back under another name
        than its last one: it is another one then."""
        had = () if self.head is None else self.head.ancestry
        for key in {key for key in register.keys() - self.register.keys() if len(key) == 1}:
            of = {one: dict(one.tree).get(key) for one in had}
            named = {one for one, name in of.items() if name is not None}
            last = {of[one] for one in named if not any(one in other.ancestry for other in named - {one})}
            if last - {register[key]}:
                raise NotFollowed
        self.register = register


def names_in(tree: Tree) -> dict[Key, Content]:
    """The companies that a register has, and their names."""
    return {key: content for key, content in tree if len(key) == 1}


def merge(ours: Tree, theirs: Tree, base: Base, names: Known = None) -> dict[Key, Merged]:
    """The merge of every key that one of the three has. ``names``: what is known of names of which the base says
    nothing. Raises NotFollowed."""
    here, there = dict(ours), dict(theirs)
    found: dict[Key, Merged] = {}
    for key in {*base, *here, *there}:
        if len(key) == 1:
            name = base.get(name_of(key), names)
            found[key] = merged_company(base.get(key), name, here.get(key), there.get(key))
        elif len(key) > 2:
            found[key] = merged(base.get(key), here.get(key), there.get(key))
    return found


# --- What is counted


def counted(done: Restored, by: Decisions) -> dict[str, Counter[str]]:
    """What an operation did, by model, as it is told."""
    found: dict[str, Counter[str]] = {"companies": Counter(), "attendance_records": Counter(), "seals": Counter()}
    deleted = dict(done.deleted)
    for key, one in done.merged.items():
        counts, result = found["companies" if len(key) == 1 else "attendance_records"], one.decided(key, by)
        is_listed = one.theirs is not None or key in deleted
        if key in done.blocked:
            effect = "kept"
            counts["conflicts"] += 1
        elif one.ours == one.theirs:
            effect = "skipped"
        elif result == one.ours:
            effect = "kept"
            counts["only_here"] += done.has_base and not one.conflicts
        else:
            effect = "added" if one.ours is None else "deleted" if result is None else "updated"
        counts["conflicts"] += bool(one.conflicts)
        if is_listed:
            counts["read"] += 1
            counts[effect] += 1
        elif one.ours is not None and (done.has_base or effect != "kept"):
            counts[f"absent_{effect}"] += 1
    found["companies"]["created"] = len(done.created)
    return {name: +counts for name, counts in found.items()}
