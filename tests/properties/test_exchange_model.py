"""The rules of exchange themselves, on the model alone: laws 11, 15 to 18, 21 and 22."""

from __future__ import annotations

from hypothesis import settings

from tests.properties.exchange_machine import Exchange

TestTheModel = Exchange.TestCase
TestTheModel.settings = settings(max_examples=100, stateful_step_count=30)
