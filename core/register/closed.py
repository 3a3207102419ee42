"""Which months of a register are closed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from typing import NamedTuple

from core.models import Seal
from core.register.database import Register
from core.register.declared import ATTENDANCE_RECORDS, SEALS
from recordsync.model.records import Key
from recordsync.model.schema import Model


class StandingSeal(NamedTuple):
    """The seal of a month that is closed. ``company``: its name; ``month``: ``YYYY-MM``."""

    pk: int
    company: str
    month: str
    closed_at: dt.datetime
    closed_by: str
    company_pk: int

    @property
    def of(self) -> tuple[str, str]:
        """The month, by its company's name."""
        return self.company, self.month


def standing_seals(register: Register) -> list[StandingSeal]:
    """The seals of the months that are closed now, in the order in which they were closed. Reads the seals."""
    rows = register.rows(Seal).standing().order_by("closed_at")
    found = rows.values_list("pk", "company__name", "month", "closed_at", "closed_by", "company_id")
    return [StandingSeal(pk, name, month.isoformat()[:7], at, by, owner) for pk, name, month, at, by, owner in found]


def is_closed(closed: Collection[tuple[str, str]], model: Model, key: Key) -> bool:
    """Whether a record is of a closed month: somebody's day, or a seal of the month. ``closed``: the closed months.
    Pure."""
    return model in (ATTENDANCE_RECORDS, SEALS) and (key[0], key[1][:7]) in closed
