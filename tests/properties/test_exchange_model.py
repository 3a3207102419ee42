"""The rules of exchange themselves, on the model alone: laws 15 to 18, 21 and 22."""

from __future__ import annotations

from hypothesis import settings
from hypothesis.stateful import rule

from tests.properties.exchange_machine import ANY, Exchange


class ModelExchange(Exchange):
    @rule(at=ANY, since=ANY)
    def back_up_changes(self, at: int, since: int) -> None:
        place = self.place(at)
        if place.model.moves:
            parent = place.model.moves[since % len(place.model.moves)].after
            if place.model.head is not None and parent in place.model.head.ancestry:
                self.sent.append(place.incremental(parent))


TestTheModel = ModelExchange.TestCase
TestTheModel.settings = settings(max_examples=100, stateful_step_count=30)
