"""What was ever written where, told without snapshots: by what each installation has heard of.

Every write of a unit is an event of its own. It replaces those that its installation has heard of by then. A register
may have of each unit only what a write says that nothing which was heard of has replaced: so nothing is lost, nothing
is undone, and nothing that was deleted returns, whatever base a merge has found.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from tests.properties.exchange_model import WHOLE, Content, Key, Merged, Register

Cell = tuple[Key, int]
"""A unit of a record, or the name of a company."""
UNITS: Final = 4


class Write(NamedTuple):
    """``value``: None: the record is not there. ``replaced``: all that its installation had heard of the unit."""

    number: int
    value: str | None
    replaced: frozenset[int]


class Writes:
    """All writes. ``are_told_apart``: whether no two of them wrote the same value."""

    def __init__(self) -> None:
        self.are_told_apart = False
        self._all: list[Write] = []
        self._decisions: dict[tuple[Cell, str | None, frozenset[int]], int] = {}

    def __getitem__(self, number: int) -> Write:
        return self._all[number]

    def new(self, value: str | None, replaced: frozenset[int]) -> int:
        self._all.append(Write(len(self._all), value, replaced))
        return len(self._all) - 1

    def decision(self, cell: Cell, value: str | None, replaced: frozenset[int]) -> int:
        """Whoever decides alike about the same writes, writes the same."""
        known = (cell, value, replaced)
        if known not in self._decisions:
            self._decisions[known] = self.new(value, replaced)
        return self._decisions[known]


class Heard:
    """The writes that one installation has heard of, by unit."""

    def __init__(self, writes: Writes, of: Mapping[Cell, frozenset[int]] | None = None) -> None:
        self._writes = writes
        self.of: dict[Cell, frozenset[int]] = dict(of or {})

    def copy(self) -> Heard:
        return Heard(self._writes, self.of)

    def __getitem__(self, cell: Cell) -> frozenset[int]:
        return self.of.get(cell, frozenset())

    def values(self, cell: Cell) -> set[str | None]:
        """What the unit may be: what is said by writes that no other one has replaced."""
        heard = self[cell]
        replaced = frozenset().union(*(self._writes[number].replaced for number in heard))
        return {self._writes[number].value for number in heard - replaced} or {None}

    def ever(self, cell: Cell) -> set[str | None]:
        """What the unit ever was."""
        return {None, *(self._writes[number].value for number in self[cell])}

    def write(self, before: Register, after: Register) -> None:
        """The register was written here."""
        for key in before.keys() | after.keys():
            for at in units(key):
                value = _value(after.get(key), at)
                if len(key) == 1 and value is None:
                    continue  # whether a company is there, follows from much else
                if _value(before.get(key), at) != value:
                    self.of[key, at] = self[key, at] | {self._writes.new(value, self[key, at])}

    def decide(self, cell: Cell, value: str | None, *, is_shared: bool = True) -> None:
        """Somebody decides. ``is_shared``: whether others make the same decision: that of a merge."""
        new = self._writes.decision(cell, value, self[cell]) if is_shared else self._writes.new(value, self[cell])
        self.of[cell] = self[cell] | {new}

    def allow(self, cell: Cell, value: str | None) -> None:
        """The unit may have this value as well: nobody has decided between it and the others."""
        self.of[cell] = self[cell] | {self._writes.decision(cell, value, frozenset())}

    def hear(self, other: Heard) -> None:
        for cell, writes in other.of.items():
            self.of[cell] = self[cell] | writes

    def check(self, register: Register) -> None:
        """That a register has what was written last."""
        for key in {key for key, _at in self.of} | register.keys():
            assert len(key) == 1 or key not in register or key[:1] in register, "a record without its company"
            for at in units(key):
                value = _value(register.get(key), at)
                is_told = len(key) > 1 or value is not None
                assert not is_told or value in self.values((key, at)), (key, at)


def heard_of_both(
    here: Heard, there: Heard, merged: Mapping[Key, Merged], result: Register, *, is_proven: bool
) -> Heard:
    """What is heard of after a merge. Checks that it asks about a unit only where both wrote without having heard of
    each other, and that it asks there. ``is_proven``: whether the base is one snapshot; else it may ask more."""
    both = here.copy()
    both.hear(there)
    for key, one in merged.items():
        for at in units(key):
            cell, value = (key, at), _value(result.get(key), at)
            if len(key) == 1 and value is None:
                continue
            is_asked = at in one.conflicts or one.conflicts == WHOLE
            values = both.values(cell)
            if is_asked:
                both.decide(cell, value)
            elif len(key) == 1 and None in (one.ours, one.theirs):
                # Whoever deletes a company, deletes its name: if it stays, because a record needs it, or comes back, it
                # has the name of either.
                if value not in values:
                    both.allow(cell, value)
            elif len(values) > 1 and (len(key) > 1 or {len(here.values(cell)), len(there.values(cell))} == {1}):
                # Who has brought a value back to what both know, has not changed it.
                known = {both._writes[number].value for number in here[cell] & there[cell]} | {None}
                assert values - known <= {value}, (cell, values, known, value)
                both.decide(cell, value)
        if is_proven and one.conflicts and (len(key) > 1 or one.conflicts != WHOLE):
            asked = units(key) if one.conflicts == WHOLE else one.conflicts
            unheard = [at for at in asked if here.values((key, at)) != there.values((key, at))]
            assert unheard, (key, one)
    return both


def units(key: Key) -> range:
    return range(1 if len(key) == 1 else UNITS)


def _value(content: Content | None, at: int) -> str | None:
    return None if content is None else content[at]
