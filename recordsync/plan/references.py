"""What the records of a plan refer to, while it is decided: what has to be created for them, and what cannot be deleted
because of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from recordsync.merge import Effect, Merged
from recordsync.model.records import Record
from recordsync.model.schema import Model, Schema
from recordsync.plan.steps import Step
from recordsync.streams import Change


class Held(NamedTuple):
    """The deletion of a record that others may refer to: decided last, when it is known what remains."""

    model: Model
    merged: Merged
    references: int
    """How many rows refer to it before anything of the plan is done."""

    @property
    def name(self) -> str:
        """The name that others refer to it by."""
        return self.merged.key[0]


class References:
    """See the module. It is told everything that is decided, in the order in which it is written."""

    def __init__(self, schema: Schema, present: Mapping[str, Collection[str]], held: Iterable[Held]) -> None:
        """``present``: per model that others refer to, the names that the database has."""
        self._schema = schema
        self._present = {name: set(names) for name, names in present.items()}
        self._left = {(one.model.name, one.name): one.references for one in held}

    def follow(self, model: Model, effect: Effect, names: Mapping[str, int]) -> list[Step]:
        """The steps that have to come first, because these records name what is not there.

        ``names``: of records of which ``effect`` becomes, how many have each name (:attr:`Model.name_position`).
        """
        if effect is Effect.ADD and model.name in self._present:
            self._present[model.name].update(names)
        reference = model.reference
        if reference is None or reference.references is None:
            return []
        parent = self._schema[reference.references]
        if self._left and effect in (Effect.ADD, Effect.DELETE):
            for name, n in names.items():
                if (parent.name, name) in self._left:
                    self._left[parent.name, name] += n if effect is Effect.ADD else -n
        if effect is not Effect.ADD:
            return []
        missing = [name for name in names if name not in self._present[parent.name]]
        self._present[parent.name].update(missing)
        return [Step(parent, None, Change((name,), None, _named_only(parent, name)), Effect.CREATE) for name in missing]

    def settled(self, held: Held, effect: Effect) -> Effect:
        """What becomes of a record when everything but what is held has been followed: ``effect``, unless that is a
        deletion and something still refers to it."""
        is_blocked = effect is Effect.DELETE and self._left[held.model.name, held.name] > 0
        return Effect.BLOCKED if is_blocked else effect


def _named_only(model: Model, name: str) -> Record:
    """A record that has nothing but its name."""
    return model.shape().from_mapping({model.key_names[0]: name})
