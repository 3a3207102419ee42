"""Registers have the same content if, and only if, their trees have the same digest."""

from __future__ import annotations

import random
from dataclasses import replace
from unittest.mock import patch

from hypothesis import event
from hypothesis import strategies as st

from core.history.fingerprint import take_fingerprint
from core.models import Company
from core.register.database import Register
from tests.builders import trees
from tests.builders.days import Content, Key
from tests.builders.registers import LONG_AGO, RegisterData, put
from tests.properties.laws import clear, for_all, for_some
from tests.strategies.registers import pairs, registers


def put_in_any_order(alias: str, register: RegisterData, order: random.Random) -> None:
    """Enter the rows of a register in another order than that of their keys."""
    names, keys = list(register.companies), list(register.records)
    order.shuffle(names)
    order.shuffle(keys)
    for name in names:
        Company.objects.using(alias).create(name=name, created_at=LONG_AGO, updated_at=LONG_AGO)
    put(alias, replace(register, companies=(), records={key: register.records[key] for key in keys}))


@for_some(
    register=registers(stamped=True),
    order=st.randoms(use_true_random=False),
    most=st.sampled_from([1024, 2, 1]),
)
def test_the_digests_are_those_of_the_content(
    alias: str, register: RegisterData, order: random.Random, most: int
) -> None:
    """For all registers, the digests of everything, of each company and of each month are those that follow from the
    content by the rules: on every engine, in whatever order and whenever it was entered."""
    put_in_any_order(alias, register, order)
    with patch("recordsync.history.trees.MOST_CHILDREN", most):
        found = take_fingerprint(register=Register(alias))
    expected = trees.tree(register, most)
    assert found.digest == expected.digest
    assert {(part.company, part.month): (part.digest, part.records) for part in found.parts} == expected.parts
    assert (found.companies, found.records) == (len(register.companies), len(register.records))


@for_all(of=pairs())
def test_equal_digests_are_equal_content(alias: str, of: tuple[RegisterData, RegisterData]) -> None:
    """For all pairs of registers, the digests are equal if and only if the content is. The same holds of each company
    and each month, whose digests do not change if nothing else is read."""
    found = []
    for register in of:
        clear(alias)
        put(alias, register)
        found.append(take_fingerprint(register=Register(alias)))
    ours, theirs = of
    same = (ours.companies, ours.records) == (theirs.companies, theirs.records)
    assert (found[0].digest == found[1].digest) == same
    event("equal" if same else "different")
    ours_by, theirs_by = ({(part.company, part.month): part for part in one.parts} for one in found)
    for company, month in ours_by.keys() & theirs_by.keys():
        mine, yours = (_of(register, company, month) for register in of)
        assert (ours_by[company, month].digest == theirs_by[company, month].digest) == (mine == yours)
    for company, month in theirs_by:
        part = theirs_by[company, month]
        alone = take_fingerprint(company, month, register=Register(alias))
        assert alone.digest is None
        assert part in alone.parts
        assert alone.records == part.records
        of_all = take_fingerprint(None, month, register=Register(alias)) if month else alone
        assert part in of_all.parts
        assert {*alone.parts, *of_all.parts} <= {*found[1].parts}


def _of(register: RegisterData, company: str, month: str | None) -> dict[Key, Content]:
    """The records of a company, or of its month."""
    return {
        key: content
        for key, content in register.records.items()
        if key[0] == company and key[1].startswith(month or "")
    }
