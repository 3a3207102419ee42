"""The columns that the keys of a preview's lines stand in, as the schema has them.

Fields of one name share a column. What a key names of another model stands in that model's column, beside its own
records: so whatever is of one company is found by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from core.register.declared import ATTENDANCE_RECORDS, COMPANIES, SCHEMA
from recordsync.model.records import Key
from recordsync.model.schema import Field, Model, Schema


class KeyColumns:
    """The columns of a schema's keys. ``names``: those of what others refer to; all have a text, blank for none."""

    def __init__(self, schema: Schema) -> None:
        referred = dict.fromkeys(f.references for model in schema for f in model.key if f.references)
        self.names: Final = tuple(f"key_{name}" for name in referred)
        self._by_model: Final = {
            model.name: tuple(self._named(model, f, is_referred=model.name in referred) for f in model.key)
            for model in schema
        }
        self.all: Final = tuple(dict.fromkeys(column for columns in self._by_model.values() for column in columns))
        self._places: Final = {
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
        """What stands in each of the columns for a record's key."""
        padded = (*key, "")
        return tuple([padded[place] for place in self._places[model.name]])

    def name(self, model: Model, names: Sequence[str]) -> str:
        """The name that others refer to a record by, or that it refers to, by what stands in :attr:`names`."""
        column = self._by_model[model.name][model.name_position]
        return names[self.names.index(column)] if column in self.names else ""


KEYS: Final = KeyColumns(SCHEMA)
COMPANY: Final = KEYS.of(COMPANIES, "name")
EP_NO: Final = KEYS.of(ATTENDANCE_RECORDS, "ep_no")
DATE: Final = KEYS.of(ATTENDANCE_RECORDS, "date")
