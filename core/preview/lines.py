"""The lines of a plan as a page of a preview shows them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

from core.operations.wording import shown_key
from core.register.declared import SEALS
from recordsync.merge import EXISTENCE, KEY_UNIT, Merged
from recordsync.model.schema import Model
from recordsync.plan import Plan


@dataclass(frozen=True)
class FieldLine:
    """One field of a line, with its values on both sides and in the base."""

    name: str
    ours: str | None
    theirs: str | None
    unit: str
    base: str | None = None

    @property
    def differs(self) -> bool:
        return self.ours != self.theirs


@dataclass(frozen=True)
class UnitLine:
    """A unit in conflict: its fields, and the side that it takes as it is decided now (blank: not decided)."""

    name: str
    side: str
    fields: list[FieldLine]


@dataclass
class Line:
    """One line of the plan, as people see it."""

    id: int
    kind: str
    model: Model
    key: tuple[str, ...]
    fields: list[FieldLine]
    units: list[UnitLine]
    ours_is_there: bool
    theirs_is_there: bool
    base_is_known: bool
    """Whether it is proven what both sides once had, so that the page shows it beside them."""
    is_closed: bool = False
    """Whether it is of a closed month, so that a person decides whether it changes at all."""
    is_kept: bool = False
    """Whether this month is kept closed, so that nothing else has to be decided."""
    stays: bool = False
    """Whether it is a company that was deleted there and stays because something here still refers to it, or that got
    another name there and keeps its own because that is taken here."""
    changed_at: dt.datetime | None = None
    """When the register's record last changed, if that was looked up (:func:`core.restores.jobs.look_up`)."""

    @classmethod
    def of(cls, plan: Plan, pk: int, kind: str, model: Model, merged: Merged, sides: Mapping[str, str]) -> Line:
        """The line for a merge of the plan. ``sides``: whose side each unit in conflict takes; blank: undecided."""
        shape, whole = plan.shapes[model.name], model.shape()
        ours = whole.content(merged.ours) if merged.ours else {}
        theirs = shape.content(merged.theirs) if merged.theirs else {}
        base = shape.content(merged.base) if merged.base else {}
        unit_of = {name: unit for unit, names in model.units.items() for name in names}
        if KEY_UNIT in (*merged.units, *merged.conflicts):
            unit_of |= dict.fromkeys(model.key_names, KEY_UNIT)
        fields = [
            FieldLine(name, ours.get(name), theirs.get(name), unit, base.get(name))
            for name, unit in unit_of.items()
            if name in shape.names and (ours.get(name) or theirs.get(name)) is not None
        ]
        if merged.ours and merged.theirs:
            shown = {*merged.units, *merged.conflicts}
            fields = [
                field for field in fields if field.unit in shown and (field.differs or field.unit in merged.conflicts)
            ]
        units = [
            UnitLine(unit, sides[unit], [field for field in fields if unit in (EXISTENCE, field.unit)])
            for unit in merged.conflicts
        ]
        settled = [field for field in fields if not {field.unit, EXISTENCE} & set(merged.conflicts)]
        known = (merged.ours is not None, merged.theirs is not None, merged.base is not None)
        return cls(pk, kind, model, merged.key, settled, units, *known, is_closed=bool(merged.sealed))

    @property
    def is_reopening(self) -> bool:
        """Whether it is a closing of a month that was reopened there."""
        return self.model is SEALS and self.theirs_is_there

    @property
    def is_rename(self) -> bool:
        """Whether the company got another name there."""
        units = (*(field.unit for field in self.fields), *(unit.name for unit in self.units))
        return KEY_UNIT in units

    @property
    def shown_key(self) -> str:
        return shown_key(self.model.spelt(self.key))


@dataclass
class Page:
    """A page of lines. ``total``: how many lines the filter selects; ``more``: whether there are more than that.
    ``before``, ``after``: the lines at which the previous page ends and after which the next one begins (None: there is
    no such page)."""

    lines: list[Line]
    total: int
    more: bool
    before: int | None
    after: int | None
