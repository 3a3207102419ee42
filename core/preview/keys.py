"""The columns for the keys of a preview's lines, made from the schema.

Fields of the same name share a column. A key field that refers to another model shares that model's column, so that one
column finds a company and all of its records.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from core.register.declared import ATTENDANCE_RECORDS, COMPANIES, SCHEMA
from recordsync.model.records import Key
from recordsync.model.schema import Field, Model, Schema


class KeyColumns:
    """The columns of a schema's keys, ``all``. ``names``: those of the models that others refer to. Every column
    holds a text, which is blank where a key has no such field."""

    def __init__(self, schema: Schema) -> None:
        referred = dict.fromkeys(f.references for model in schema for f in model.key if f.references)
        self.names: Final = tuple(f"key_{name}" for name in referred)
        self._by_model: Final = {
            model.name: tuple(self._named(model, f, is_referred=model.name in referred) for f in model.key)
            for model in schema
        }
        self.all: Final = tuple(dict.fromkeys(column for columns in self._by_model.values() for column in columns))
        self._positions: Final = {
            name: [columns.index(column) if column in columns else -1 for column in self.all]
            for name, columns in self._by_model.items()
        }

    @staticmethod
    def _named(model: Model, field: Field, *, is_referred: bool) -> str:
        return f"key_{field.references or (model.name if is_referred else field.name)}"

    def of(self, model: Model, field: str) -> str:
        """The column of a key field."""
        return self._by_model[model.name][model.key_names.index(field)]

    def values(self, model: Model, key: Key) -> tuple[str, ...]:
        """The value of each column for a record's key."""
        padded = (*key, "")
        return tuple([padded[position] for position in self._positions[model.name]])

    def name(self, model: Model, names: Sequence[str]) -> str:
        """The name that others refer to the record by, or that it refers to. ``names``: the values of :attr:`names`."""
        column = self._by_model[model.name][model.name_positions[0]]
        return names[self.names.index(column)] if column in self.names else ""


KEYS: Final = KeyColumns(SCHEMA)
COMPANY: Final = KEYS.of(COMPANIES, "name")
EP_NO: Final = KEYS.of(ATTENDANCE_RECORDS, "ep_no")
DATE: Final = KEYS.of(ATTENDANCE_RECORDS, "date")
