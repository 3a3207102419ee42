"""The exchange of some installations, step by step: the rules that Hypothesis puts together, and what holds after each.

:class:`Place` is an installation of the model. :mod:`tests.properties.test_exchange` has places that are real ones
beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from hypothesis import event
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.properties.exchange_model import (
    Choices,
    Content,
    Decisions,
    File,
    How,
    Installation,
    Key,
    NotFollowed,
    Register,
    Restored,
    Side,
    Snapshot,
    Snapshots,
)
from tests.properties.exchange_writes import Heard, Writes, heard_of_both, units

DAYS: Final = ("2026-11-20", "2026-10-05")
KEYS: Final[list[Key]] = [(company, day, number) for company in "AB" for day in DAYS for number in "12"]
FIRST: Final[Content] = ("a", "a", "a", "a")
SIDES: Final = st.sampled_from(["ours", "theirs"])
DECISIONS: Final = st.sampled_from([*map(Choices, range(8)), "ours", "theirs"])
"""Mostly a person who decides each conflict, else a strategy."""
Kind = Literal["edit", "delete", "add", "rename"]


class BothChange(NamedTuple):
    """What two do to the same record and its company. ``which``: the record; ``unit``: the one that they edit;
    ``is_undone``: whether one of them then undoes what came of it."""

    which: int
    unit: int
    here: Sequence[Kind]
    there: Sequence[Kind]
    by: Decisions
    is_undone: bool


Way = Literal["orm", "bulk", "sql"]
WAYS: Final = st.sampled_from(["orm", "bulk", "sql"])
ANY: Final = st.integers(0, 59)
"""Which of some: of 2, 3, 4 or 5 all are as likely."""
_KINDS: Final = st.lists(
    st.sampled_from(["edit", "edit", "edit", "delete", "add", "rename", "rename"]), min_size=1, max_size=2, unique=True
)
CHANGES: Final = st.builds(BothChange, ANY, st.integers(0, 3), _KINDS, _KINDS, DECISIONS, st.booleans())


Named = dict[Key, Content]
"""A register in which companies are known by their names."""


def named(register: Register) -> Named:
    """The same register, as everybody sees it."""
    names = {key[0]: content[0] for key, content in register.items() if len(key) == 1}
    return {(names[key[0]], *key[1:]): content if len(key) > 1 else () for key, content in register.items()}


def known_by(name: str) -> str:
    """What a company of this name is known by: no two ever have one name."""
    return name.partition("-")[0]


@dataclass(frozen=True)
class Sent:
    """A file on its way. ``heard``: what its maker had heard of. ``data``: the file itself, of a real installation."""

    file: File
    heard: Heard
    data: bytes = b""


class Place:
    """An installation, and what was heard of there. Every method checks what must hold of what it does.

    ``at``: its number, which a copy of it has too.
    """

    def __init__(self, at: int, snapshots: Snapshots, writes: Writes) -> None:
        self.at = at
        self.model = Installation(snapshots)
        self.writes = writes
        self.heard = Heard(writes)
        self._heard_at: dict[Snapshot | None, Heard] = {None: Heard(writes)}

    def write(self, register: Register, way: Way = "orm") -> None:
        """Write the register by hand, in some way."""
        self.heard.write(self.model.register, register)
        self.model.write(register)

    def rename(self, company: Key, name: str) -> None:
        """Give a company another name, as the service does it."""
        self._operate({**self.model.register, company: (name,)}, "rename")

    def rename_unseen(self, company: Key, new: Key, way: Way) -> None:
        """Give it another name past the service, so that nobody can tell that ``new`` is the same company."""
        register = self.model.register
        after = {(*new, *key[1:]) if key[:1] == company else key: content for key, content in register.items()}
        Place.write(self, {**after, new: new}, way)

    def import_sheet(self, rows: Register) -> None:
        """Import a sheet, whose records and companies are written."""
        self._operate({**self.model.register, **rows}, "import")

    def _operate(self, after: Register, kind: str) -> None:
        before = dict(self.model.register)
        self.model.operate(after, kind)
        self._taken()
        self.heard.write(before, self.model.register)
        self._at_head()

    def follows(self, do: Callable[[Installation], object]) -> bool:
        """Whether something can be merged without a company becoming two, because its name is not known to be one."""
        try:
            do(self.model.copy())
        except NotFollowed:
            return False
        return True

    def full(self) -> Sent:
        return self._sent(self.model.full())

    def incremental(self, parent: Snapshot, bases: Collection[Snapshot] = ()) -> Sent:
        """A file of the changes since a snapshot, which may bring others as well."""
        return self._sent(self.model.incremental(parent, bases))

    def for_other(self, other: Place) -> Sent | None:
        """A file of the changes since a snapshot that another one has as well; None if it is known to have none."""
        parents = [one for one in self.model.parents if other.model.head and one in other.model.head.ancestry]
        return self.incremental(parents[-1], self.model.parents) if parents else None

    def selection(self, company: str | None, day: str | None) -> Sent:
        """A file of one company (None: all), on one day (None: all)."""
        register = self.model.register
        keys = {key for key in register if company in (None, key[0])}
        if day is not None:
            records = {key for key in keys if key[1:2] == (day,)}
            companies = keys if company else {key[:1] for key in records}
            keys = records | {key for key in companies if len(key) == 1}
        return self.part(keys)

    def part(self, keys: Collection[Key]) -> Sent:
        """A file of some companies and records, in no ancestry."""
        return self._sent(self.model.part(keys))

    def _sent(self, file: File) -> Sent:
        self._at_head()
        return Sent(file, self.heard.copy())

    def bring_back(self, snapshot: Snapshot, by: Decisions) -> Restored:
        """Restore an own snapshot. If the register had it, its values are brought back."""
        head = self.model.take()
        self._taken()
        file = File(0, snapshot.tree, snapshot=snapshot)
        sent = Sent(file, self._heard_at[snapshot].copy())
        return Place.restore(self, sent, by, is_own=snapshot in head.ancestry)

    def refuse(self, sent: Sent) -> Restored:
        """Restore a file with conflicts that nobody has decided."""
        before = dict(self.model.register)
        done = self.model.refuse(sent.file)
        self._taken()
        self._at_head()
        assert self.model.register == before
        return done

    def asks(self, sent: Sent) -> bool:
        """Whether somebody has to decide what a restore of this file would bring."""
        return bool(self.model.copy().restore(sent.file, "ours").conflicts)

    def restore(self, sent: Sent, by: Decisions, *, without_base: bool = False, is_own: bool = False) -> Restored:
        """Merge a file. ``is_own``: whether its values are brought back."""
        file, before = sent.file, dict(self.model.register)
        done = self.model.restore(file, by, without_base=without_base, is_own=is_own)
        self._taken()
        if done.how in ("nothing", "not here"):
            assert self.model.register == before
        elif done.how == "merged" and done.base is None:
            if file.snapshot is not None and self.model.head is not None and file.snapshot in self.model.head.ancestry:
                self.heard.hear(sent.heard)
                self._decide_all()
            else:  # what another has written stands here as if it were written here
                self.heard.write(before, self.model.register)
                self.writes.are_told_apart = False
        else:
            is_proven = done.base is None or len(done.base.of) == 1
            self.heard = heard_of_both(self.heard, sent.heard, done.merged, self.model.register, is_proven=is_proven)
        self._at_head()
        event(f"restore: {done.how}")
        if done.base is not None and len(done.base.of) > 1:
            event("restore: several bases")
        return done

    def exact(self, sent: Sent) -> Restored:
        """Become exactly as a file."""
        assert sent.file.snapshot is not None
        return self._became(self.model.exact(sent.file.snapshot), sent.heard)

    def exactly(self, snapshot: Snapshot) -> Restored:
        """Become exactly as an own snapshot."""
        return self._became(self.model.exact(snapshot), self._heard_at[snapshot])

    def _became(self, done: Restored, heard: Heard) -> Restored:
        self._taken()
        self.heard.hear(heard)
        self._decide_all()
        self._at_head()
        return done

    def undo(self, number: int, by: Decisions, way: How) -> Restored:
        """Undo what made a move of the head. ``number``: of the move."""
        before = dict(self.model.register)
        move = self.model.moves[number]
        done = self.model.undo(number, by, way)
        self._taken()
        if way == "undone":
            self.heard.write(before, self.model.register)
        elif way == "withdrawn" and done.how == way:
            self.heard = self._heard_at[move.before].copy()
            self.heard.write(dict(move.before.tree) if move.before else {}, self.model.register)
        elif done.how == way:
            self.heard.hear(self._heard_at[move.before])
            self._decide_all()
        self._at_head()
        event(f"{done.how}: {move.kind}")
        return done

    def put_back(self, copy: Place) -> None:
        """Put its databases back to an old copy, or to those of another place."""
        self.model.put_back(copy.model)
        # What is in no snapshot counts as written on both sides.
        self._heard_at = dict(copy._heard_at)
        self.heard = self._heard_at[self.model.head].copy()
        self.heard.write(dict(self.model.head.tree) if self.model.head else {}, self.model.register)

    def lose_history(self) -> None:
        self.model.lose_history()

    @property
    def is_whole(self) -> bool:
        """Whether its history store has every snapshot that is as the register is now. If not, a preview, without which
        nobody decides single conflicts, knows less than a restore, which first stores what the register is."""
        now = self.model.tree
        return now in self.model.stored or all(one.tree != now for one in self.model.known)

    def previews(self, sent: Sent) -> bool:
        """Whether a preview of a file tells the same counts as a restore."""
        return self.is_whole or sent.file.parent is None

    def check(self) -> None:
        self.heard.check(self.model.register)

    def _taken(self) -> None:
        """What was in the register before: everything that writes takes a snapshot first."""
        for move in self.model.moves:
            self._heard_at.setdefault(move.after, self.heard.copy())

    def _at_head(self) -> None:
        self._heard_at[self.model.head] = self.heard.copy()

    def _decide_all(self) -> None:
        head = self.model.head
        for key in {key for key, _at in self.heard.of}:
            for at in units(key):
                content = self.model.register.get(key)
                if content is None and len(key) == 1:
                    continue
                value = None if content is None else content[at]
                if self.heard.values((key, at)) != {value}:
                    self.heard.decide((key, at), value, is_shared=head is not None and head.is_merge)


class Exchange(RuleBasedStateMachine):
    """Some installations that exchange files."""

    def __init__(self) -> None:
        super().__init__()
        self.snapshots = Snapshots()
        self.writes = Writes()
        self.places: list[Place] = []
        self.copies: list[tuple[Place, Place]] = []
        self.sent: list[Sent] = []
        self.renamed: set[str] = set()

    @initialize(
        number=st.sampled_from([2, 2, 3, 3, 4, 5]),
        is_common=st.sampled_from([True, True, True, False]),
        is_told_apart=st.booleans(),
        keys=st.sets(st.sampled_from(KEYS), min_size=1, max_size=5),
        change=CHANGES,
    )
    def begin(self, number: int, is_common: bool, is_told_apart: bool, keys: set[Key], change: BothChange) -> None:
        self.writes.are_told_apart = is_told_apart
        self.places = [self.new_place(at) for at in range(number)]
        first, *others = self.places
        first.write({key[:1]: key[:1] for key in keys} | dict.fromkeys(keys, FIRST))
        if is_common:
            sent = first.full()
            for other in others:
                other.restore(sent, "ours")
        self.change_both(0, 1, change)

    def new_place(self, at: int) -> Place:
        return Place(at, self.snapshots, self.writes)

    def place(self, at: int) -> Place:
        return self.places[at % len(self.places)]

    def file(self, at: int) -> Sent:
        return self.sent[at % len(self.sent)]

    def value(self, value: str) -> str:
        """Of a few, or one that nobody else has written: then it is known who has replaced what."""
        return f"{value}{self.snapshots.next_number()}" if self.writes.are_told_apart else value

    def company(self, place: Place, letter: str) -> Key:
        """The company of this letter in a place; else a new one. If one of this letter ever got another name, the new
        one is another one."""
        found = sorted(key for key in place.model.register if len(key) == 1 and key[0][0] == letter)
        if found:
            return found[0]
        return (f"{letter}{self.snapshots.next_number()}" if letter in self.renamed else letter,)

    def key(self, place: Place, key: Key) -> Key:
        """The record in the company of this letter."""
        return (*self.company(place, key[0]), *key[1:])

    def with_company(self, place: Place, key: Key) -> Register:
        """The company of a record, under the name that it has in a place."""
        return {key[:1]: place.model.register.get(key[:1], key[:1])}

    # --- Rules

    @rule(at=ANY, key=st.sampled_from(KEYS), unit=st.integers(0, 3), value=st.sampled_from("abc"), way=WAYS)
    def edit(self, at: int, key: Key, unit: int, value: str, way: Way) -> None:
        place = self.place(at)
        key = self.key(place, key)
        content = list(place.model.register.get(key) or [self.value("a")] * len(FIRST))
        content[unit] = self.value(value)
        place.write({**place.model.register, **self.with_company(place, key), key: tuple(content)}, way)

    @rule(at=ANY, company=st.sampled_from("AB"), unit=st.integers(0, 3), value=st.sampled_from("abc"))
    def update_all(self, at: int, company: str, unit: int, value: str) -> None:
        place, value = self.place(at), self.value(value)
        register = dict(place.model.register)
        chosen = self.company(place, company)
        for key, content in register.items():
            if len(key) > 1 and key[:1] == chosen:
                register[key] = (*content[:unit], value, *content[unit + 1 :])
        place.write(register, "bulk")

    @rule(at=ANY, key=st.sampled_from(KEYS), way=WAYS)
    def delete(self, at: int, key: Key, way: Way) -> None:
        place = self.place(at)
        key = self.key(place, key)
        place.write({other: content for other, content in place.model.register.items() if other != key}, way)

    @rule(at=ANY, company=st.sampled_from("AB"), way=WAYS)
    def delete_company(self, at: int, company: str, way: Way) -> None:
        place = self.place(at)
        chosen = self.company(place, company)
        place.write({key: content for key, content in place.model.register.items() if key[:1] != chosen}, way)

    @rule(at=ANY, which=ANY, is_back=st.booleans())
    def rename(self, at: int, which: int, is_back: bool) -> None:
        """Give a company a new name, or its first one again."""
        place = self.place(at)
        companies = sorted((key, content[0]) for key, content in place.model.register.items() if len(key) == 1)
        if companies:
            key, now = companies[which % len(companies)]
            name = self.new_name(key)
            place.rename(key, key[0] if is_back and now != key[0] else name)

    def new_name(self, company: Key) -> str:
        """A name that a company never had."""
        self.renamed.add(company[0][0])
        return f"{company[0]}-{self.snapshots.next_number()}"

    @rule(at=ANY, company=st.sampled_from("AB"), way=WAYS)
    def rename_unseen(self, at: int, company: str, way: Way) -> None:
        """Rename a company past the service: the deletion of one, and the addition of another. Not where the service
        gave it a name: if it came back under its first one, nothing would say that it is the same."""
        place = self.place(at)
        key = self.company(place, company)
        if key in place.model.register and company not in self.renamed:
            place.rename_unseen(key, (f"{company}{self.snapshots.next_number()}",), way)

    @rule(at=ANY, keys=st.sets(st.sampled_from(KEYS), min_size=1, max_size=3), value=st.sampled_from("abc"))
    def import_sheet(self, at: int, keys: set[Key], value: str) -> None:
        place, value = self.place(at), self.value(value)
        companies = {letter: self.company(place, letter) for letter in sorted({key[0] for key in keys})}
        rows: Register = {key: place.model.register.get(key, key) for key in companies.values()}
        place.import_sheet(rows | {(*companies[key[0]], *key[1:]): (value,) * len(FIRST) for key in keys})

    @rule(at=ANY)
    def back_up(self, at: int) -> None:
        self.sent.append(self.place(at).full())

    @rule(at=ANY, parent=ANY)
    def back_up_changes(self, at: int, parent: int) -> None:
        place = self.place(at)
        if parents := place.model.parents:
            self.sent.append(place.incremental(parents[parent % len(parents)]))

    @rule(at=ANY, other=ANY)
    def back_up_for(self, at: int, other: int) -> None:
        """Take a backup of what another installation has not got, if anything is known of it."""
        if (sent := self.place(at).for_other(self.place(other))) is not None:
            self.sent.append(sent)

    @rule(at=ANY, company=st.sampled_from("AB") | st.none(), day=st.sampled_from(DAYS) | st.none())
    def back_up_a_selection(self, at: int, company: str | None, day: str | None) -> None:
        place = self.place(at)
        chosen = None if company is None else self.company(place, company)
        if (chosen is None or chosen in place.model.register) and (chosen or day):
            self.sent.append(place.selection(None if chosen is None else chosen[0], day))

    @precondition(lambda self: self.sent)
    @rule(at=ANY, file=ANY, by=DECISIONS)
    def restore(self, at: int, file: int, by: Decisions) -> None:
        self.merge(self.place(at), self.file(file), by)

    def merge(self, place: Place, sent: Sent, by: Decisions, *, without_base: bool = False) -> Restored | None:
        """Restore a file, if all names in it can be followed: what comes of others is not told here."""
        if not place.follows(lambda model: model.restore(sent.file, by, without_base=without_base)):
            event("restore: a name that is not followed")
            return None
        return place.restore(sent, by, without_base=without_base)

    @precondition(lambda self: self.sent)
    @rule(at=ANY, file=ANY)
    def restore_undecided(self, at: int, file: int) -> None:
        """Restore with ``manual``, and nobody there to decide."""
        place, sent = self.place(at), self.file(file)
        if place.follows(lambda model: model.restore(sent.file, "ours")):
            if place.asks(sent):
                place.refuse(sent)
            else:
                place.restore(sent, Choices(0))

    @precondition(lambda self: self.sent)
    @rule(at=ANY, file=ANY, by=DECISIONS)
    def restore_twice(self, at: int, file: int, by: Decisions) -> None:
        place, sent = self.place(at), self.file(file)
        self.merge(place, sent, by)
        head = place.model.head
        again = self.merge(place, sent, by)
        if sent.file.snapshot is not None and again is not None and again.how != "merged":
            assert place.model.head is head

    @rule(at=ANY, other=ANY, by=DECISIONS)
    def pull(self, at: int, other: int, by: Decisions) -> None:
        self.merge(self.place(at), self.place(other).full(), by)

    @rule(at=ANY, other=ANY, by=DECISIONS, there=DECISIONS)
    def cross(self, at: int, other: int, by: Decisions, there: Decisions) -> None:
        one, two = self.place(at), self.place(other)
        if one is not two:
            self.exchange(one, two, by, there)

    def exchange(self, one: Place, two: Place, by: Decisions, there: Decisions) -> None:
        """Two files cross."""
        files = one.full(), two.full()
        self.merge(one, files[1], by)
        self.merge(two, files[0], there)

    @rule(at=ANY, other=ANY, change=CHANGES)
    def change_both(self, at: int, other: int, change: BothChange) -> None:
        """Two change the same record and its company, each in its own way, and then their files cross."""
        one, two = self.place(at), self.place(other)
        both = sorted(key for key in one.model.register.keys() & two.model.register.keys() if len(key) > 1)
        if one is not two and both:
            key = both[change.which % len(both)]
            for kind in change.here:
                self.change(one, key, change.unit, kind, 1)
            for kind in change.there:
                self.change(two, key, change.unit, kind, 2)
            self.exchange(one, two, change.by, change.by)
            if change.is_undone:
                self.undo(at, 0, change.by, 0)

    def change(self, place: Place, key: Key, unit: int, kind: Kind, by_how_much: int) -> None:
        """Change a record, add another one to its company, or give the company a new name."""
        register = dict(place.model.register)
        if kind == "rename":
            place.rename(key[:1], self.new_name(key[:1]))
        elif kind == "add":
            new = [one for one in ((*key[:1], *other[1:]) for other in KEYS) if one not in register]
            place.write(register | {one: (self.value("a"),) * len(FIRST) for one in new[:1]}, "bulk")
        elif content := register.pop(key, None):
            value = "abc"[("abc".index(content[unit][0]) + by_how_much) % 3]
            if kind == "edit":
                register[key] = (*content[:unit], self.value(value), *content[unit + 1 :])
            place.write(register)

    @precondition(lambda self: self.sent)
    @rule(at=ANY, file=ANY, by=DECISIONS)
    def restore_without_base(self, at: int, file: int, by: Decisions) -> None:
        self.merge(self.place(at), self.file(file), by, without_base=True)

    def snapshot(self, place: Place, which: int) -> Snapshot | None:
        """One of the snapshots that a place had, and has at hand."""
        found = [one for one in dict.fromkeys(move.after for move in place.model.moves) if place.model.has(one)]
        return found[which % len(found)] if found else None

    @rule(at=ANY, which=ANY, by=DECISIONS)
    def restore_a_snapshot(self, at: int, which: int, by: Decisions) -> None:
        place = self.place(at)
        snapshot = self.snapshot(place, which)
        if snapshot is not None:
            file = File(0, snapshot.tree, snapshot=snapshot)
            if place.follows(lambda model: model.restore(file, by, is_own=snapshot in model.take().ancestry)):
                place.bring_back(snapshot, by)

    @rule(at=ANY, which=ANY)
    def restore_a_snapshot_exactly(self, at: int, which: int) -> None:
        place = self.place(at)
        snapshot = self.snapshot(place, which)
        if snapshot is not None and place.follows(lambda model: model.exact(snapshot)):
            place.exactly(snapshot)

    @precondition(lambda self: any(sent.file.snapshot for sent in self.sent))
    @rule(at=ANY, file=ANY)
    def restore_exactly(self, at: int, file: int) -> None:
        place, sent = self.place(at), self.file(file)
        snapshot = sent.file.snapshot
        is_whole = sent.file.parent is None or place.model.has(sent.file.parent)
        if snapshot is not None and is_whole and place.follows(lambda model: model.exact(snapshot)):
            place.exact(sent)

    @rule(at=ANY, move=ANY, by=DECISIONS, way=ANY)
    def undo(self, at: int, move: int, by: Decisions, way: int) -> None:
        place = self.place(at)
        numbers = [number for number, one in enumerate(place.model.moves) if one.kind]
        if numbers:
            number = numbers[-1 - move % len(numbers)]
            ways = place.model.ways(number)
            self.taken_back(place, number, by, ways[way % len(ways)])

    def taken_back(self, place: Place, number: int, by: Decisions, way: How) -> Restored | None:
        """Undo what made a move of the head, if all names can be followed."""
        if not place.follows(lambda model: model.undo(number, by, way)):
            event("undo: a name that is not followed")
            return None
        return place.undo(number, by, way)

    @rule(at=ANY, other=ANY, side=SIDES, way=ANY, is_sent_again=st.booleans())
    def restore_and_undo(self, at: int, other: int, side: Side, way: int, is_sent_again: bool) -> None:
        """Law 15: that what was before is there again, and then what was after."""
        place, sent = self.place(at), self.place(other).full()
        before, moves = dict(place.model.register), place.model.moves
        count = len([one for one in moves if one.kind])
        self.merge(place, sent, side)
        if len([one for one in moves if one.kind]) == count:
            return
        after, count = dict(place.model.register), len(moves)
        ways = place.model.ways(count - 1)
        undone = self.taken_back(place, count - 1, side, ways[way % len(ways)])
        if undone is None:
            return
        assert undone.how == "not here" or (place.model.register == before and not undone.conflicts)
        if undone.how == "withdrawn" and is_sent_again:
            assert self.merge(place, sent, side) is None or place.model.register == after
        elif len(moves) == count + 1:
            again = self.taken_back(place, count, side, place.model.ways(count)[0])
            assert again is None or (place.model.register == after and not again.conflicts)

    @precondition(lambda self: len(self.places) < 5)
    @rule(at=ANY)
    def copy(self, at: int) -> None:
        self.places.append(self.copied(self.place(at)))

    @rule(at=ANY)
    def keep_a_copy(self, at: int) -> None:
        self.copies.append((self.place(at), self.copied(self.place(at))))

    def copied(self, place: Place) -> Place:
        made = self.new_place(place.at)
        made.put_back(place)
        return made

    @precondition(lambda self: self.copies)
    @rule(at=ANY)
    def put_back(self, at: int) -> None:
        place, copy = self.copies[at % len(self.copies)]
        place.put_back(copy)

    @rule(at=ANY)
    def lose_history(self, at: int) -> None:
        self.place(at).lose_history()

    @invariant()
    def what_was_written_last_is_there(self) -> None:
        if self.writes.are_told_apart:
            for place in self.places:
                place.check()

    def teardown(self) -> None:
        """Law 16: when edits stop and files go round, all are at one snapshot: then nothing happens any more."""
        for turn in range(4 * len(self.places)):
            files = [place.full() for place in self.places]
            heads = {place.model.head for place in self.places}
            if len(heads) == 1:
                self.merge(self.places[0], files[-1], "ours")
                assert {self.places[0].model.head} == heads
                event(f"settled after {turn} rounds")
                return
            for number, place in enumerate(self.places):
                done = self.merge(place, files[number - 1], "ours")
                self.what_was_written_last_is_there()
                if done is None or done.conflicts or done.how == "not here":
                    event("not settled: a question")
                    return
        assert not self.places, "files go round for ever"
