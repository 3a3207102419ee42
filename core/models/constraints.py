"""CHECKs that any SQL client can evaluate."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import models
from django.db.models import Q
from django.db.models.functions import Length
from django.db.models.lookups import GreaterThanOrEqual, LessThanOrEqual


class AsWritten(models.Func):
    """A date or time column as the database itself would write it, in its own SQL.

    Compared with the column it says that a time has no fraction, and on SQLite, where both are text, that
    the text is a day ``YYYY-MM-DD`` or a time ``HH:MM:SS``. Only built-in functions, so that ``sqlite3`` and
    ``psql`` can evaluate the constraint.
    """

    arity = 1

    def __init__(self, column: str, kind: str) -> None:
        """``kind``: ``date`` or ``time``."""
        output_field = models.DateField() if kind == "date" else models.TimeField()
        super().__init__(models.F(column), output_field=output_field)
        self._kind = kind

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        # Adding no days turns 30 February into 2 March. What SQLite cannot read gives NULL, and a CHECK that is
        # NULL holds: then something else than the column stands for it.
        written = {"date": "date(%(expressions)s, '+0 days')", "time": "time(%(expressions)s)"}[self._kind]
        template = f"coalesce({written}, %(expressions)s || '!')"
        sql, parameters = self.as_sql(compiler, connection, template=template, **context)
        return sql, (*parameters, *parameters)  # a value that is checked before it is saved stands in it twice

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        precision = "(0)" if self._kind == "time" else ""
        return self.as_sql(compiler, connection, template=f"(%(expressions)s)::{self._kind}{precision}", **context)


def length_between(field: str, low: int, high: int, name: str) -> models.CheckConstraint:
    """A CHECK on a text's length in characters, which SQLite does not hold by itself."""
    length = Length(field)
    return models.CheckConstraint(
        condition=Q(GreaterThanOrEqual(length, low)) & Q(LessThanOrEqual(length, high)), name=name
    )


def one_of(field: str, values: Iterable[str], name: str) -> models.CheckConstraint:
    """A CHECK on a choice.

    Not ``IN``: of more than two values SQLite builds a table, anew for every row that is written (``OpenEphemeral`` in
    its bytecode), which took a third of an INSERT.
    """
    return models.CheckConstraint(condition=Q(*((field, value) for value in values), _connector=Q.OR), name=name)
