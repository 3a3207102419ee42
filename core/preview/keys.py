"""The columns for the keys of a preview's lines, made from the schema.

Fields of the same name share a column. The first key field that refers to another model shares that model's column, so
that one column finds a company and all of its records. A second one that refers to the same model has a column of its
own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Final

from core.register.declared import ATTENDANCE_RECORDS, COMPANIES, SCHEMA, SEALS
from recordsync.model.records import Key
from recordsync.model.schema import Model, Schema


class KeyColumns:
    """The columns of a schema's keys, ``all``. ``names``: those of the names by which records refer to others. Every
    column holds a text, which is blank where a key has no such field."""

    def __init__(self, schema: Schema) -> None:
        self._by_model: Final = {
            model.name: self._of_key(model, is_referred=model.name in schema.referred) for model in schema
        }
        self.names: Final = tuple(
            dict.fromkeys(
                self._by_model[model.name][position]
                for model in schema
                if model.references or model.name in schema.referred
                for position in model.name_positions
            )
        )
        self.all: Final = tuple(dict.fromkeys(column for columns in self._by_model.values() for column in columns))
        self._positions: Final = {
            name: [columns.index(column) if column in columns else -1 for column in self.all]
            for name, columns in self._by_model.items()
        }

        self._named: Final = {
            model.name: _picked([self._place(columns[position]) for position in model.name_positions])
            for model, columns in zip(schema, self._by_model.values(), strict=True)
        }

    @staticmethod
    def _of_key(model: Model, *, is_referred: bool) -> tuple[str, ...]:
        """The column of each field of a model's key: no two of them share one."""
        columns: dict[str, None] = {}
        for field in model.key:
            shared = f"key_{field.references or (model.name if is_referred else field.name)}"
            columns[f"{shared}_{field.name}" if shared in columns else shared] = None
        return tuple(columns)

    def _place(self, column: str) -> int:
        """Where a column is among :attr:`names`; past their end if it is none of them."""
        return self.names.index(column) if column in self.names else len(self.names)

    def of(self, model: Model, field: str) -> str:
        """The column of a key field."""
        return self._by_model[model.name][model.key_names.index(field)]

    def values(self, model: Model, key: Key) -> tuple[str, ...]:
        """The value of each column for a record's key."""
        padded = (*key, "")
        return tuple([padded[position] for position in self._positions[model.name]])

    def names_in(self, model: Model, names: Sequence[str]) -> Key:
        """The names in a record's key: see :meth:`Model.names_in`. A name that nobody refers to is blank. ``names``:
        the values of :attr:`names`."""
        return self._named[model.name]((*names, ""))


def _picked(positions: Sequence[int]) -> Callable[[tuple[str, ...]], Key]:
    """A function that gives the values at these positions."""
    if len(positions) == 1:
        (position,) = positions
        return lambda values: (values[position],)
    return itemgetter(*positions)


KEYS: Final = KeyColumns(SCHEMA)
COMPANY: Final = KEYS.of(COMPANIES, "name")
EP_NO: Final = KEYS.of(ATTENDANCE_RECORDS, "ep_no")
DATE: Final = KEYS.of(ATTENDANCE_RECORDS, "date")
MONTH: Final = KEYS.of(SEALS, "month")
