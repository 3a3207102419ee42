"""CHECK constraints that any SQL client can evaluate."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import models
from django.db.models import Q
from django.db.models.functions import Length
from django.db.models.lookups import GreaterThanOrEqual, LessThanOrEqual


class AsWritten(models.Func):
    """A date or time column as the database itself would write it.

    A CHECK that this equals the column refuses a time with a fraction, and on SQLite, where both are text, also any
    text that is not a day ``YYYY-MM-DD`` or a time ``HH:MM:SS``. It uses only built-in functions, so that ``sqlite3``
    and ``psql`` can evaluate the constraint.
    """

    arity = 1

    def __init__(self, column: str, kind: str) -> None:
        """``kind``: ``date`` or ``time``."""
        output_field = models.DateField() if kind == "date" else models.TimeField()
        super().__init__(models.F(column), output_field=output_field)
        self._kind = kind

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        # Adding no days turns 30 February into 2 March. SQLite gives NULL for what it cannot read, and a CHECK that
        # gives NULL passes, so NULL is replaced by a text that differs from the column.
        written = {"date": "date(%(expressions)s, '+0 days')", "time": "time(%(expressions)s)"}[self._kind]
        template = f"coalesce({written}, %(expressions)s || '!')"
        sql, parameters = self.as_sql(compiler, connection, template=template, **context)
        return sql, (*parameters, *parameters)  # Django's validation puts a value in place of the column, here twice

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        precision = "(0)" if self._kind == "time" else ""
        return self.as_sql(compiler, connection, template=f"(%(expressions)s)::{self._kind}{precision}", **context)


def length_between(field: str, low: int, high: int, name: str) -> models.CheckConstraint:
    """A CHECK that a text has from ``low`` to ``high`` characters. SQLite does not enforce ``max_length``."""
    length = Length(field)
    return models.CheckConstraint(
        condition=Q(GreaterThanOrEqual(length, low)) & Q(LessThanOrEqual(length, high)), name=name
    )


def one_of(field: str, values: Iterable[str], name: str) -> models.CheckConstraint:
    """A CHECK that a field has one of these values.

    It does not use ``IN``: for more than two values, SQLite builds a table for every row that is written
    (``OpenEphemeral`` in its bytecode), which took a third of the time of an INSERT.
    """
    return models.CheckConstraint(condition=Q(*((field, value) for value in values), _connector=Q.OR), name=name)
