"""The references of a plan's records while it is decided: the records to create for them, and those that cannot be
deleted because of them, or cannot get another name."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from operator import itemgetter
from typing import NamedTuple

from recordsync.merge import Effect, Merged
from recordsync.model.records import Key, Record
from recordsync.model.schema import Model, Schema
from recordsync.plan.steps import Step
from recordsync.streams import Change


class Held(NamedTuple):
    """The deletion or another name of a record that others may refer to. It is decided last, when what remains is
    known."""

    model: Model
    merged: Merged
    references: int
    """The number of references of rows to a record that is deleted, before the plan is applied. A row may have
    several."""

    @property
    def name(self) -> str:
        """The name by which others refer to the record."""
        return self.merged.key[0]

    @property
    def new_name(self) -> str | None:
        """The name that the record gets; None: it is deleted."""
        return None if self.merged.theirs is None else self.merged.theirs.key[0]


class References:
    """See the module. Follows everything that is decided, in the order in which it is written."""

    def __init__(self, schema: Schema, present: Mapping[str, Collection[str]], held: Iterable[Held]) -> None:
        """``present``: for each model that others refer to, the names that the database has."""
        self._schema = schema
        self._present = {name: set(names) for name, names in present.items()}
        self._left = {(deletion.model.name, deletion.name): deletion.references for deletion in held}

    def follow(self, model: Model, effect: Effect, names: Mapping[Key, int]) -> list[Step]:
        """The steps that create, beforehand, the records that these records name and the database does not have.

        ``names``: for each :meth:`Model.names_in` a key, the number of records with this ``effect``.
        """
        if effect is Effect.ADD and model.name in self._present:
            self._present[model.name].update(name for (name,) in names)
        created: list[Step] = []
        for position, reference in enumerate(model.references):
            parent = self._schema[str(reference.references)]
            if self._left and effect in (Effect.ADD, Effect.DELETE):
                for together, number in names.items():
                    if (named := (parent.name, together[position])) in self._left:
                        self._left[named] += number if effect is Effect.ADD else -number
            if effect is Effect.ADD:
                present = self._present[parent.name]
                missing = dict.fromkeys(name for name in map(itemgetter(position), names) if name not in present)
                present.update(missing)
                created += [_creation(parent, name) for name in missing]
        return created

    def settled(self, decided: Iterable[tuple[Held, Effect]]) -> list[Effect]:
        """The effects on all held records after everything else was followed. ``decided``: each with its effect, unless
        it is in the way: a deletion where something still refers to the record, another name that is taken."""
        effects: list[Effect] = []
        present = {model: set(names) for model, names in self._present.items()}
        renamed: dict[int, Held] = {}
        for position, (held, effect) in enumerate(decided):
            if effect is Effect.DELETE and self._left[held.model.name, held.name] > 0:
                effect = Effect.BLOCKED
            if effect is Effect.DELETE or effect is Effect.UPDATE:
                present[held.model.name].discard(held.name)
            if effect is Effect.UPDATE:
                renamed[position] = held
            effects.append(effect)
        while taken := [at for at, held in renamed.items() if held.new_name in present[held.model.name]]:
            for position in taken:
                held = renamed.pop(position)
                present[held.model.name].add(held.name)
                effects[position] = Effect.BLOCKED
        return effects


def _creation(model: Model, name: str) -> Step:
    """The step that creates the record that has its name and nothing else but blank fields."""
    content = {part.name: part.type.blank for part in model.fields} | {model.key_names[0]: name}
    record: Record = model.shape().from_mapping(content)
    return Step(model, None, Change(record.key, None, record), Effect.CREATE)
