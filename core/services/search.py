"""Searching a register of a million days for a person or a company.

There are far fewer people than days, so what the box holds is compared with the names there are, and the days
follow by an index. The names are read by a loose index scan (one look-up per name): nothing is kept beside the rows
that a bulk write would have to keep in step, and letters fold as Unicode says on every engine.
"""

from __future__ import annotations

import json
import operator
import unicodedata
from functools import reduce
from typing import Any, Final

from django.db import connections
from django.db.models import F, Q, Value
from django.db.models.expressions import RawSQL
from django.db.models.functions import Coalesce
from django.db.models.lookups import In

from core.models import AttendanceQuerySet, AttendanceRecord, Company

_LISTED: Final = 500
"""Up to so many names stand in the statement one by one, which lets the engine use the index for each."""


def matching(text: str, records: AttendanceQuerySet, *, frequent: bool = False) -> Q:
    """Which of ``records``, those that a person may see, a search box's text means.

    With a digit in it: those whose employee number begins with it, if there are any. Otherwise those whose number
    begins with it, or whose name or company's name contains it, in upper or lower case. Reads the database.

    ``frequent``: they are known to be many, so that the first of them are met sooner by walking the records in their
    order than by fetching all of them. PostgreSQL's statistics tell it so; SQLite has to be kept from its indexes.
    """
    text, using = text.strip(), records.db
    if not text:
        return Q()
    wanted = _folded(text)
    # Company by company, as the natural key's index has them: it serves numbers without one of their own. A spelling
    # that no number has is left out, for every further alternative can cost the engine the use of an index.
    companies = Q(company_id__in=Company.objects.using(using).values("pk"))
    spelt = [_begins_with(spelling) for spelling in dict.fromkeys((text, text.upper(), text.lower()))]
    found = [number for number in spelt if records.filter(number & companies).exists()]
    walk = frequent and connections[using].vendor == "sqlite"
    numbers = [number if walk else number & companies for number in found]
    if numbers and any(letter.isdigit() for letter in text):
        return reduce(operator.or_, numbers)
    names = _one_of([name for name in _names(using) if wanted in _folded(name)], using, walk)
    places = [pk for pk, name in Company.objects.using(using).values_list("pk", "name") if wanted in _folded(name)]
    place = Q(In(Coalesce(F("company_id"), 0), places)) if walk and places else Q(company_id__in=places)
    return reduce(operator.or_, numbers, names | place)


def _names(using: str) -> list[str]:
    """Every employee's name, by a look-up in the index of names for each."""
    connection = connections[using]
    table = connection.ops.quote_name(AttendanceRecord._meta.db_table)
    # The table's name is the model's; there is no value in the statement.
    sql = f"""
        WITH RECURSIVE each(value) AS (
            SELECT min(ep_name) FROM {table}
            UNION ALL
            SELECT (SELECT min(ep_name) FROM {table} WHERE ep_name > each.value) FROM each WHERE each.value IS NOT NULL
        )
        SELECT value FROM each WHERE value IS NOT NULL"""  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return [row[0] for row in cursor.fetchall()]


def _begins_with(text: str) -> Q:
    """As a range, which an index serves on both engines: texts are in the order of their code points."""
    last = ord(text[-1])
    following = 0xE000 if last == 0xD7FF else last + 1  # what lies between are no characters
    if following > 0x10FFFF:
        return Q(ep_no__gte=text)
    return Q(ep_no__gte=text, ep_no__lt=text[:-1] + chr(following))


def _one_of(names: list[str], using: str, walk: bool) -> Q:
    if not names:
        return Q(pk__in=[])
    listed: Any = names
    if len(names) > _LISTED and connections[using].vendor == "postgresql":
        listed = RawSQL("SELECT unnest(%s::text[])", [names])
    elif len(names) > _LISTED:
        listed = RawSQL("SELECT value FROM json_each(%s)", [json.dumps(names)])
    return Q(In(Coalesce(F("ep_name"), Value("")), listed)) if walk else Q(ep_name__in=listed)


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()
