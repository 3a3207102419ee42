"""Which months of a register are closed."""

from __future__ import annotations

from core.models import Seal
from core.register.database import Register
from core.register.declared import ATTENDANCE_RECORDS, SEALS
from recordsync.model.records import Key
from recordsync.model.schema import Model

ClosedMonths = frozenset[tuple[str, str]]
"""Each by its company's name and its month, ``YYYY-MM``."""


def closed_months(register: Register) -> ClosedMonths:
    """The months that are closed now. Reads the seals."""
    rows = register.rows(Seal).standing().order_by().values_list("company__name", "month")
    return frozenset((name, month.isoformat()[:7]) for name, month in rows)


def is_closed(closed: ClosedMonths, model: Model, key: Key) -> bool:
    """Whether a record is of a closed month: somebody's day, or a seal of the month. Pure."""
    return model in (ATTENDANCE_RECORDS, SEALS) and (key[0], key[1][:7]) in closed
