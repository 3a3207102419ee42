"""The formats of :mod:`core.moments`, for the administration site and a template's ``{{ value }}``."""

from core.moments import DAY, MOMENT, TIME

DATE_FORMAT = SHORT_DATE_FORMAT = DAY
DATETIME_FORMAT = SHORT_DATETIME_FORMAT = MOMENT
TIME_FORMAT = TIME
