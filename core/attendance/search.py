"""Searching a register of a million days for a person or a company.

There are far fewer people than days, so the text of the search box is compared with every name, and an index leads
from a name to its days. The names are read by a loose index scan (one look-up per name). So no bulk write has to keep
a table of names up to date, and upper and lower case are compared by Unicode's rules on every engine.
"""

from __future__ import annotations

import json
import operator
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Final

from django.db.models import F, Q, Value
from django.db.models.expressions import RawSQL
from django.db.models.functions import Coalesce
from django.db.models.lookups import In

from core.models import AttendanceQuerySet, AttendanceRecord, Company
from core.register.database import Register

_LISTED: Final = 500
"""The most names that are written into a statement one by one, so that the engine can use the index for each."""


@dataclass(frozen=True)
class Matches:
    """What the text of the search box means in the register: beginnings of numbers, names, companies."""

    register: Register
    numbers: Sequence[Q]
    names: Sequence[str]
    companies: Sequence[int]

    def rows(self, *, frequent: bool = False) -> Q:
        """The condition for the records that match.

        ``frequent``: they are known to be many, so the first of them are found sooner by walking through the records
        in their order than by fetching all matches. PostgreSQL knows that from its statistics; SQLite has to be kept
        from using its indexes.
        """
        walk = frequent and self.register.connection.vendor == "sqlite"
        everywhere = in_every_company(self.register)
        numbers = [number if walk else number & everywhere for number in self.numbers]
        if not (self.names or self.companies):
            return reduce(operator.or_, numbers) if numbers else Q(pk__in=[])
        pks = self.companies
        of_companies = Q(In(Coalesce(F("company_id"), 0), pks)) if walk and pks else Q(company_id__in=pks)
        return reduce(operator.or_, numbers, _one_of(self.names, self.register, walk) | of_companies)


def find(text: str, records: AttendanceQuerySet) -> Matches:
    """The matches of a text, which is not blank, in ``records``, those that a person may see. Reads the database.

    If the text has a digit: those whose employee number begins with it, if there are any. Otherwise those whose number
    begins with it, or whose name or company's name contains it, in upper or lower case.
    """
    text, register = text.strip(), Register(records.db)
    wanted = folded(text)
    # A spelling that no number has is left out, because each further one can keep the engine from using an index.
    spelt = [_begins_with(spelling) for spelling in dict.fromkeys((text, text.upper(), text.lower()))]
    numbers = [number for number in spelt if records.filter(number & in_every_company(register)).exists()]
    if numbers and any(letter.isdigit() for letter in text):
        return Matches(register, numbers, [], [])
    names = [name for name in _names(register) if wanted in folded(name)]
    companies = register.rows(Company).values_list("pk", "name")
    return Matches(register, numbers, names, [pk for pk, name in companies if wanted in folded(name)])


def in_every_company(register: Register) -> Q:
    """True of every record; has the engine go company by company, as the index of employees has them: it serves
    numbers, which have no index across companies."""
    return Q(company_id__in=register.rows(Company).values("pk"))


def _names(register: Register) -> list[str]:
    """The names of all employees, each found by one look-up in the index of names."""
    connection = register.connection
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
    """The numbers that begin with a text, as a range: an index serves it on both engines, which order texts by code
    points."""
    last = ord(text[-1])
    following = 0xE000 if last == 0xD7FF else last + 1  # what lies between are no characters
    if following > 0x10FFFF:
        return Q(ep_no__gte=text)
    return Q(ep_no__gte=text, ep_no__lt=text[:-1] + chr(following))


def _one_of(names: Sequence[str], register: Register, walk: bool) -> Q:
    if not names:
        return Q(pk__in=[])
    listed: Any = names
    if len(names) > _LISTED and register.connection.vendor == "postgresql":
        listed = RawSQL("SELECT unnest(%s::text[])", [list(names)])
    elif len(names) > _LISTED:
        listed = RawSQL("SELECT value FROM json_each(%s)", [json.dumps(names)])
    return Q(In(Coalesce(F("ep_name"), Value("")), listed)) if walk else Q(ep_name__in=listed)


def folded(text: str) -> str:
    """A text as searches compare it: upper and lower case are the same."""
    return unicodedata.normalize("NFC", text).casefold()
