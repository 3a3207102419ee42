"""Searching a register of a million days for a person or a company.

There are far fewer people than days, so what the box holds is compared with the names there are, and the days
follow by an index. The names are read by a loose index scan (one look-up per name): nothing is kept beside the rows
that a bulk write would have to keep in step, and letters fold as Unicode says on every engine.
"""

from __future__ import annotations

import json
import unicodedata
from typing import Final, Literal

from django.db import connections
from django.db.models import Q
from django.db.models.expressions import RawSQL

from core.models import AttendanceRecord, Company

_LISTED: Final = 500
"""Up to so many names stand in the statement one by one, which lets the engine use the index for each."""


def matching(text: str, using: str) -> Q:
    """The attendance records that a search box's text means.

    With a digit in it: those whose employee number begins with it, if there are any. Otherwise those whose number
    begins with it, or whose name or company's name contains it, in upper or lower case. Reads the database.
    """
    text = text.strip()
    if not text:
        return Q()
    number = Q()
    for spelling in {text, text.upper(), text.lower()}:
        number |= _begins_with(spelling)
    if any(letter.isdigit() for letter in text) and AttendanceRecord.objects.using(using).filter(number).exists():
        return number
    wanted = _folded(text)
    names = [name for name in distinct("ep_name", using) if wanted in _folded(name)]
    companies = Company.objects.using(using).values_list("pk", "name")
    places = [pk for pk, name in companies if wanted in _folded(name)]
    return number | _one_of(names, using) | (Q(company_id__in=places) if places else Q(pk__in=[]))


def distinct(column: Literal["ep_name", "ep_no"], using: str) -> list[str]:
    """Every value of a text column that an index begins with, by a look-up in the index for each."""
    connection = connections[using]
    table = connection.ops.quote_name(AttendanceRecord._meta.db_table)
    name = connection.ops.quote_name(column)
    # Both are names of this program's own models; there is no value in the statement.
    sql = f"""
        WITH RECURSIVE each(value) AS (
            SELECT min({name}) FROM {table}
            UNION ALL
            SELECT (SELECT min({name}) FROM {table} WHERE {name} > each.value) FROM each WHERE each.value IS NOT NULL
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


def _one_of(names: list[str], using: str) -> Q:
    if len(names) <= _LISTED:
        return Q(ep_name__in=names)
    if connections[using].vendor == "postgresql":
        return Q(ep_name__in=RawSQL("SELECT unnest(%s::text[])", [names]))
    return Q(ep_name__in=RawSQL("SELECT value FROM json_each(%s)", [json.dumps(names)]))


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()
