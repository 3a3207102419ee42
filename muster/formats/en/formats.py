"""As :mod:`core.moments` writes them: what the administration site lists, and a template's ``{{ value }}``."""

from core.moments import DAY, MOMENT, TIME

DATE_FORMAT = SHORT_DATE_FORMAT = DAY
DATETIME_FORMAT = SHORT_DATETIME_FORMAT = MOMENT
TIME_FORMAT = TIME
