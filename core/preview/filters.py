"""The filters by which people choose lines of a preview, and their conditions in SQL."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

from core.preview.keys import COMPANY, DATE, EP_NO
from core.preview.tables import OPEN
from core.register.declared import SCHEMA
from recordsync.merge import EXISTENCE, KEY_UNIT

FIELDS: Final = tuple(dict.fromkeys(field.name for model in SCHEMA for field in model.fields))
"""The fields by which changes can be filtered. The changed fields of a line are a number with one bit for each."""
UNITS: Final = (*dict.fromkeys(unit for model in SCHEMA for unit in model.units), KEY_UNIT, EXISTENCE)
"""The units that can be in conflict."""


@dataclass(frozen=True)
class Filter:
    """The lines to show or decide. A blank value selects all. Texts are passed as parameters, never as SQL."""

    kind: str = ""
    company: str = ""
    ep_no: str = ""
    date_from: str = ""
    date_to: str = ""
    field: str = ""
    unit: str = ""
    undecided: bool = False

    def where(self, *, by_date: bool = True) -> tuple[str, list[Any]]:
        """The condition on ``items``, and its parameters. ``by_date``: whether SQLite may use the index of the date."""
        date = DATE if by_date else f"+{DATE}"
        terms: list[tuple[str, Any]] = []
        for column, value in (("kind", self.kind), (COMPANY, self.company), (EP_NO, self.ep_no)):
            if value:
                terms.append((f"{column} = ?", value))
        if self.date_from:
            terms.append((f"{date} >= ?", self.date_from))
        if self.date_to:
            terms.append((f"{date} <= ? AND {date} != ''", self.date_to))
        if self.field in FIELDS:
            terms.append(("fields & ?", 1 << FIELDS.index(self.field)))
        sql = [term for term, _value in terms]
        values = [value for _term, value in terms]
        if self.unit or self.undecided:
            conflicting, more = self.conflicting()
            sql.append(f"EXISTS ({conflicting} AND item = id)")
            values += more
        return " AND ".join(f"({term})" for term in sql) or "1", values

    def conflicting(self) -> tuple[str, list[Any]]:
        """The query for the lines whose ``unit`` is in conflict or which are ``undecided``, and its parameters. Further
        terms can be added to it."""
        terms = [*(["unit = ?"] if self.unit else []), *([OPEN] if self.undecided else [])]
        query = f"SELECT DISTINCT item FROM conflicts WHERE {' AND '.join(terms) or '1'}"
        return query, [self.unit] if self.unit else []

    def units(self) -> tuple[str, list[Any]]:
        """The condition on ``conflicts``, and its parameters, for the units that are decided when all lines of the
        filter are: every unit of the lines, or only those that ``unit`` and ``undecided`` select."""
        where, values = replace(self, unit="", undecided=False).where()
        terms = [f"item IN (SELECT id FROM items WHERE {where})"] if where != "1" else []
        if self.unit:
            terms.append("unit = ?")
            values.append(self.unit)
        if self.undecided:
            terms.append(OPEN)
        return " AND ".join(terms) or "1", values

    @property
    def is_tallied(self) -> bool:
        """Whether the table of counts says how many lines it selects."""
        return not (self.ep_no or self.date_from or self.date_to or self.field or self.unit or self.undecided)

    @property
    def is_of_conflicts(self) -> bool:
        """Whether it selects conflicts by nothing else, so that their own table and indexes serve it."""
        others = (self.company, self.ep_no, self.date_from, self.date_to, self.field)
        return bool(self.unit or self.undecided) and self.kind in ("", "conflict") and not any(others)
