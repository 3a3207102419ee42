"""A plan: the merge of a snapshot with a register, made before anything is written.

The merge of every model goes to a temporary file, so that a plan of a million changes needs no memory, and no table is
written while it is read. A plan does not depend on a strategy: it is decided (:meth:`Plan.decided`) when it is counted,
shown or applied. Two plans with one digest are the same.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from heapq import merge as merge_sorted
from itertools import chain, islice
from operator import itemgetter
from typing import IO, Any, Final

from recordsync.merge import SEAL, Counts, Decide, Effect, Merged, Outcome, Side, effect_and_change
from recordsync.model.records import Key, Record
from recordsync.model.schema import Model, Schema, Shape
from recordsync.plan.lines import Codec, is_sealed
from recordsync.plan.references import Held, References
from recordsync.plan.steps import Additions, Step
from recordsync.streams import join
from recordsync.system.progress import EVERY

_BLOCK: Final = 1 << 20


@dataclass
class Plan:
    """See the module. Made by :func:`make_plan`; ``items`` is its temporary file, which the maker closes."""

    schema: Schema
    shapes: dict[str, Shape]
    items: IO[bytes]
    digest: str = ""
    size: int = 0
    """How many lines it has, the held ones among them."""
    settled: dict[str, Counts] = field(default_factory=dict)
    """For each model that theirs speaks about the account of what needs no decision: entries read, skipped, kept by
    absence."""
    held: list[Held] = field(default_factory=list)
    present: dict[str, set[str]] = field(default_factory=dict)
    """For each model that others refer to, the names that the database has."""
    written: dict[str, Counter[Key]] = field(default_factory=lambda: defaultdict(Counter))
    """The records that were added while the plan was made: for each model the names in their keys
    (:meth:`Model.names_in`), with the number of records. They have no lines."""
    deletions: dict[str, Counter[Key]] = field(default_factory=lambda: defaultdict(Counter))
    """The lines by which a record may be deleted, counted in the same way, as they were when the plan was made."""
    sealed: int = 0
    """How many lines are of sealed records."""

    @property
    def changes(self) -> int:
        """The largest number of changes that it makes, those that are written already among them."""
        return self.size + sum(names.total() for names in self.written.values())

    def merged(self) -> Iterator[tuple[Model, Merged]]:
        """The merges that are not settled, by model in the schema's order and by key; then the held ones."""
        yield from self.items_merged()
        for held in self.held:
            yield held.model, held.merged

    def items_merged(self) -> Iterator[tuple[Model, Merged]]:
        """As :meth:`merged`, without the held ones."""
        self.items.seek(0)
        for line in self.items:
            yield self.codec.read(line)

    @cached_property
    def codec(self) -> Codec:
        """The codec of the lines of ``items``."""
        return Codec(self.schema, self.shapes)

    def _read(self) -> Iterator[tuple[Model, Merged] | Additions]:
        """As :meth:`items_merged`, with consecutive additions together."""
        self.items.seek(0)
        while lines := list(islice(self.items, EVERY)):
            yield from self.codec.read_many(lines)

    def decided(self, decide: Decide) -> Iterator[Step | Additions]:
        """The decided steps, in an order in which they can be written: a record that others refer to is added before
        them, and deleted or renamed after them."""
        references = self.references()
        for merged in self._read():
            step = merged if isinstance(merged, Additions) else self._step(*merged, decide)
            if names := step.names():
                yield from references.follow(step.model, step.effect, names)
            yield step
        steps = [self._step(held.model, held.merged, decide) for held in self.held]
        effects = references.settled((held, step.held_effect) for held, step in zip(self.held, steps, strict=True))
        for step, effect in zip(steps, effects, strict=True):
            yield step.blocked_one() if effect is Effect.BLOCKED else step

    def references(self) -> References:
        """The references of the records before the rest of the plan is applied."""
        references = References(self.schema, self.present, self.held)
        for model in self.schema:
            references.follow(model, Effect.ADD, self.written[model.name])
        return references

    def steps(self, decide: Decide) -> Iterator[Step]:
        """As :meth:`decided`, one by one."""
        for item in self.decided(decide):
            if isinstance(item, Additions):
                yield from item.steps()
            else:
                yield item

    def counts(self, decide: Decide) -> dict[str, Counts]:
        """The account of each model when the plan is decided so."""
        account = Account(self)
        for step in self.decided(decide):
            account.add(step)
        return account.verified()

    def to_decide(self, decide: Decide) -> Iterator[Step]:
        """The steps that a person has to decide before the plan is applied by hand."""
        return (step for step in self.steps(decide) if step.to_decide)

    def sealed_steps(self, decide: Decide) -> Iterator[Step]:
        """The steps of sealed records that change, or would. Reads the lines only if there are any."""
        if not self.sealed:
            return
        self.items.seek(0)
        sealed = chain(
            (self.codec.read(line) for line in self.items if is_sealed(line)),
            ((held.model, held.merged) for held in self.held if held.merged.sealed),
        )
        for model, merged in sealed:
            if (step := self._step(model, merged, decide)).sealed:
                yield step

    def creates(self, model: Model, merged: Merged) -> bool:
        """Whether the record, if it is added, names one that the database does not have."""
        return merged.ours is None and self.missing(model, [merged])[0]

    def missing(self, model: Model, keyed: Sequence[Merged | Record]) -> list[bool]:
        """Whether each key names a record of another model that the database does not have."""
        positions = [(model.key.index(part), self.present[str(part.references)]) for part in model.references]
        return [any(record.key[position] not in present for position, present in positions) for record in keyed]

    def is_same_as(self, other: Plan) -> bool:
        """Whether both plans are the same, by their digests and by their lines as the files have them now."""
        if self.digest != other.digest or self.held != other.held:
            return False
        self.items.seek(0)
        other.items.seek(0)
        blocks = iter(lambda: (self.items.read(_BLOCK), other.items.read(_BLOCK)), (b"", b""))
        return all(ours == theirs for ours, theirs in blocks)

    def _step(self, model: Model, merged: Merged, decide: Decide) -> Step:
        if merged.sealed:
            return self._sealed_step(model, merged, decide)
        sides: dict[str, Side] = {}
        for unit in merged.conflicts:
            side = decide(model, merged, unit)
            if side is None:
                return Step(model, merged, None, Effect.UNDECIDED)
            sides[unit] = side
        effect, change = effect_and_change(model.shape(), self.shapes[model.name], merged, sides.__getitem__)
        return Step(model, merged, change, effect)

    def _sealed_step(self, model: Model, merged: Merged, decide: Decide) -> Step:
        step = self._step(model, merged._replace(sealed=""), decide)._replace(merged=merged)
        if step.effect is Effect.KEEP and merged.outcome is not Outcome.KEEP:
            return step
        side = decide(model, merged, SEAL)
        if side is Side.THEIRS:
            return step._replace(sealed=True)
        effect = Effect.UNDECIDED if side is None else Effect.KEEP
        return Step(model, merged, None, effect, sealed=True, is_stopped=True)


class Account:
    """The account of a plan: what needed no decision, and the steps that are added."""

    def __init__(self, plan: Plan) -> None:
        self._schema = plan.schema
        self._counts = {name: Counts() + settled for name, settled in plan.settled.items()}

    def add(self, step: Step | Additions) -> None:
        """Account for a step."""
        step.tally(self.of(step.model))

    def of(self, model: Model) -> Counts:
        """The counts of a model so far, to account for more."""
        return self._counts.setdefault(model.name, Counts())

    def verified(self) -> dict[str, Counts]:
        """The counts of each model that theirs speaks about, or of which records are created.

        Raises RecordSyncError unless everything that was read is accounted for.
        """
        for counts in self._counts.values():
            counts.verify()
        return {model.name: self._counts[model.name] for model in self._schema if model.name in self._counts}


def differences(earlier: Plan, later: Plan) -> Iterator[tuple[Model, Key]]:
    """The keys for which two plans differ: what was changed between them."""

    def stream(plan: Plan) -> Iterable[tuple[Any, ...]]:
        order = {model.name: index for index, model in enumerate(plan.schema)}
        items = (
            ((order[model.name], *merged.key), merged, plan.creates(model, merged))
            for model, merged in plan.items_merged()
        )
        held = (((order[held.model.name], *held.merged.key), held.merged, held.references) for held in plan.held)
        return merge_sorted(items, held, key=itemgetter(0))

    for before, after in join(stream(earlier), stream(later)):
        if before is None or after is None or before[1:] != after[1:]:
            index, *key = (after if before is None else before)[0]
            yield earlier.schema.models[index], tuple(key)
