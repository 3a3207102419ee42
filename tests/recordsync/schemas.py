"""The check of values against a JSON Schema, formats included."""

import datetime as dt
from typing import Final

from jsonschema import FormatChecker

FORMATS: Final = FormatChecker(["date"])


@FORMATS.checks("date-time", raises=ValueError)
def _is_moment(value: object) -> bool:
    if isinstance(value, str):
        dt.datetime.fromisoformat(value)
    return True
