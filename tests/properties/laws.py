"""Laws: properties that hold on each engine, each example with an empty register."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction
from hypothesis import given, settings
from hypothesis.strategies import SearchStrategy

from tests.builders import registers
from tests.conftest import DEEP
from tests.running import databases

EXAMPLES = {"sqlite": 200 if DEEP else 50, "postgres": 200 if DEEP else 15}
"""How many each engine gets, which takes half of all the time of the tests."""
FEW = {"sqlite": 200 if DEEP else 10, "postgres": 200 if DEEP else 5}
"""How many each engine gets of a law that is told once more."""


def examples(engine: str) -> settings:
    """As many examples as an engine gets."""
    return settings(max_examples=EXAMPLES[engine])


Decorator = Callable[[Callable[..., None]], Callable[[str, str], None]]


def for_some(**values: SearchStrategy[Any]) -> Decorator:
    """As :func:`for_all`, with few examples: for laws without a number of their own, or told once more."""
    return for_all(few=True, **values)


def for_all(*, few: bool = False, **values: SearchStrategy[Any]) -> Decorator:
    """Make a law a test on each engine: ``law(alias, **values)``, each example with an empty register."""

    def decorate(law: Callable[..., None]) -> Callable[[str, str], None]:
        def test(register_db: str, engine: str) -> None:
            def example(**drawn: Any) -> None:
                clear(register_db)
                law(register_db, **drawn)

            example.__name__ = law.__name__
            of = settings(max_examples=FEW[engine]) if few else examples(engine)
            of(given(**values)(example))()

        test.__name__, test.__doc__, test.__module__ = law.__name__, law.__doc__, law.__module__
        return pytest.mark.untraced(test)  # wherever it is: see tests/conftest.py

    return decorate


def clear(alias: str) -> None:
    """Empty a register, its history and the jobs database."""
    with transaction.atomic(using=alias):
        registers.empty(alias)
    databases.empty("jobs")
    databases.empty_history(alias)
