"""The rules of exchange themselves, on the model alone: laws 11, 15 to 18, 21 and 22."""

from __future__ import annotations

from hypothesis import settings

from tests.properties.exchange_machine import FIRST, KEYS, Exchange
from tests.properties.exchange_model import Installation, Snapshots

TestTheModel = Exchange.TestCase
TestTheModel.settings = settings(max_examples=100, stateful_step_count=30, derandomize=True)


def test_files_in_a_ring_end_whatever_the_ids_are() -> None:
    """Two delete the same record, and one of them enters it again. Where the smaller id alone told on which snapshot
    both settle, the record was deleted and came back for ever."""
    record, other = KEYS[:2]
    for salt in range(50):
        snapshots = Snapshots(str(salt))
        ring = [Installation(snapshots) for _place in range(4)]
        first, _second, third, fourth = ring
        first.write({record[:1]: (), record: FIRST, other: FIRST})
        for place in ring[1:]:
            place.restore(first.full(), "ours")
        first.write({record[:1]: (), other: FIRST})
        fourth.restore(first.full(), "ours")
        third.write({record[:1]: (), other: FIRST})
        first.write({record[:1]: (), record: FIRST, other: FIRST})
        for _round in range(20):
            heads = [place.head for place in ring]
            files = [place.full() for place in ring]
            done = [place.restore(files[number - 1], "ours") for number, place in enumerate(ring)]
            if any(one.conflicts for one in done) or heads == [place.head for place in ring]:
                break
        else:
            raise AssertionError(f"for ever, with the ids of {salt}")
