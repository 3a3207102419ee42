"""Exceptions: what looks wrong in a month of the register, in a person's scope, and what of it was seen to be right.

A month is read by the database into one row for each employee and name. A mask says on which days something is so (the
lowest bit is the first day of the month), so what is read grows with the number of employees, however many exceptions
there are. Days in the future have none.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import logging
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, NamedTuple

from django.db import models
from django.db.models import Count, F, OuterRef, Q, Subquery, Sum
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from core import moments
from core.attendance.employees import days_seen_by
from core.attendance.rest import Recorded, rest_of
from core.attendance.tally import GONE_AFTER, CountsAs, statuses, unmarked_until
from core.models import (
    MISSING_PUNCH,
    TIME_FIELDS,
    AttendanceQuerySet,
    AttendanceRecord,
    Company,
    CompanyQuerySet,
    ExceptionKind,
    SeenException,
    Status,
    User,
    days_visible_to,
)
from core.operations.by_hand import changing
from core.operations.errors import NOTHING_CHANGED, OperationFailed
from core.register.committed import committed_state
from core.register.database import DEFAULT, Register

logger = logging.getLogger(__name__)

LONGEST_NIGHT: Final = dt.timedelta(hours=13)
"""The longest pair of times that is a night shift: the time out is before the time in, so it is on the next day."""
LONG_OVERSTAY: Final = 240
IN_A_ROW: Final = 3
_REMEMBERED: Final = 4
"""How many months are remembered: that of a large register is some megabytes."""
LOOKED_BACK: Final = 14
"""How many days before its month an absence is followed, to see how long it is by then."""

RULES: Final[Mapping[ExceptionKind, str | Promise]] = {
    ExceptionKind.MISSING_PUNCH: gettext_lazy("A time in without its time out, or a time out without its time in."),
    ExceptionKind.OVERLAPPING: gettext_lazy("Two pairs of times in and out of one day share some time."),
    ExceptionKind.OUT_BEFORE_IN: gettext_lazy(
        "A time out is before its time in. That is a night shift, unless it would be longer than 13 hours."
    ),
    ExceptionKind.PRESENCE_WITHOUT_TIME: gettext_lazy(
        "The status says that somebody worked (present, partial day or half day), and there is no time."
    ),
    ExceptionKind.TIME_WITHOUT_PRESENCE: gettext_lazy(
        "The status says that nobody worked (absent, on leave, a day off or a holiday), and there is a time."
    ),
    ExceptionKind.OVERSTAY: gettext_lazy("More than 4 hours of overstay."),
    ExceptionKind.NOT_RECORDED: gettext_lazy(
        "Somebody has no record of a day that is over and on which the company works: between their first and their "
        "last record, or after the last one if that is among the last 30 days of the month, or the last 30 days up to "
        "today. The company does not work on a weekday that half of the "
        "month's records or more call a week off, and on a day that half of its records or more call a holiday."
    ),
    ExceptionKind.ABSENT_IN_A_ROW: gettext_lazy(
        "Absent on 3 days or more, one after the other, with nothing between them but days off and holidays. It "
        "stands at the third day, and once more in each month in which it goes on."
    ),
    ExceptionKind.TWO_NAMES: gettext_lazy(
        "A number has two names in one month, or another name than before it. Blank names do not count."
    ),
    ExceptionKind.TWO_NUMBERS: gettext_lazy("In one month, a name has two numbers in one company."),
}
"""When something is an exception, as people are told."""

OF_A_RECORD: Final[Mapping[ExceptionKind, Sequence[str]]] = {
    ExceptionKind.MISSING_PUNCH: TIME_FIELDS,
    ExceptionKind.OVERLAPPING: TIME_FIELDS,
    ExceptionKind.OUT_BEFORE_IN: TIME_FIELDS,
    ExceptionKind.PRESENCE_WITHOUT_TIME: ("status", *TIME_FIELDS),
    ExceptionKind.TIME_WITHOUT_PRESENCE: ("status", *TIME_FIELDS),
    ExceptionKind.OVERSTAY: ("overstay",),
}
"""The kinds that concern one record, and the fields that somebody has looked at who says that it is right."""

_PAIRS: Final = tuple(zip(TIME_FIELDS[::2], TIME_FIELDS[1::2], strict=True))
_WORKED: Final = statuses(CountsAs.PRESENT, CountsAs.HALF)
_NOT_WORKED: Final = statuses(CountsAs.LEAVE, CountsAs.ABSENT, CountsAs.OFF, CountsAs.HOLIDAY)
_DAY: Final = dt.timedelta(1)

EmployeeKey = tuple[int, str]
"""The primary key of a company, and a number."""


class Finding(NamedTuple):
    """An exception. ``company``: its primary key; ``subject``: the employee number, or the name that has two numbers;
    ``details``: the names, the numbers, or the days of absence."""

    day: dt.date
    company: int
    subject: str
    kind: ExceptionKind
    details: tuple[str, ...] = ()

    @property
    def numbers(self) -> Sequence[str]:
        """The employee numbers that it is about."""
        return self.details if self.kind == ExceptionKind.TWO_NUMBERS else [self.subject]

    @property
    def is_of_a_day(self) -> bool:
        """Whether it is of this day, rather than of a name or a number."""
        return self.kind not in (ExceptionKind.TWO_NAMES, ExceptionKind.TWO_NUMBERS)


class ExceptionShown(NamedTuple):
    """An exception as a page shows it. ``record``: that of the day, if there is one; ``seen``: who found it right."""

    finding: Finding
    company: str
    name: str
    record: AttendanceRecord | None
    seen: SeenException | None
    checksum: str

    @property
    def numbers(self) -> Sequence[str]:
        """The employee numbers that it is about."""
        return self.finding.numbers


@dataclass(frozen=True)
class Exceptions:
    """The exceptions of a month that somebody may see, the newest day first. ``seen``: those that were found right."""

    month: dt.date
    companies: Mapping[int, str]
    names: Mapping[EmployeeKey, str]
    unseen: Sequence[Finding]
    seen: Mapping[Finding, SeenException]

    def counts(self) -> Counter[ExceptionKind]:
        """How many of each kind nobody has found right."""
        return Counter(finding.kind for finding in self.unseen)


def exceptions(user: User, month: dt.date, company: int | None = None, register: Register = DEFAULT) -> Exceptions:
    """The exceptions of a month, of one company or all. ``month``: its first day. Reads the database.

    They are not looked for again where the database proves that nothing was written since the last time.
    """
    state, today = committed_state(register), timezone.localdate()
    if state is None:
        return _found(user, month, company, register, today)
    return _remembered(user, month, company, register, today, state)


@lru_cache(maxsize=_REMEMBERED)
def _remembered(
    user: User, month: dt.date, company: int | None, register: Register, today: dt.date, _state: Hashable
) -> Exceptions:
    # If somebody writes meanwhile, what is found is newer than the state, and no request gets that state again.
    return _found(user, month, company, register, today)


def _found(user: User, month: dt.date, company: int | None, register: Register, today: dt.date) -> Exceptions:
    scope = register.rows(AttendanceRecord).visible_to(user)
    companies = register.rows(Company).visible_to(user).order_by("name")
    if company is not None:
        scope, companies = scope.filter(company_id=company), companies.filter(pk=company)
    owners = dict(companies.values_list("pk", "name"))
    until = min(moments.last_of_month(month), today, days_visible_to(user)[1] or dt.date.max)
    if not owners or until < month:
        return Exceptions(month, owners, {}, [], {})
    people = _people(scope, month, until)
    _follow_back(people, scope, month)
    _add_spans(people, user, companies, month, until, today)
    found = [
        *_of_records(people, month),
        *_of_names(people, month),
        *_absences(people, month),
        *_not_recorded(people, scope, month, until),
    ]
    order = {pk: position for position, pk in enumerate(owners)}
    kinds = {kind: position for position, kind in enumerate(ExceptionKind)}
    found.sort(key=lambda one: (-one.day.toordinal(), order[one.company], one.subject, kinds[one.kind]))
    seen = _seen(found, scope, companies, month, until)
    names = {key: person.name for key, person in people.items()}
    unseen = [one for one in found if one not in seen] if seen else found
    return Exceptions(month, owners, names, unseen, seen)


def newest_month(user: User, register: Register = DEFAULT) -> dt.date:
    """The first day of the newest month with records that this person may see and that is not in the future; of this
    month where there are none. Reads the database."""
    today = timezone.localdate()
    records = register.rows(AttendanceRecord).visible_to(user).filter(date__lte=today)
    newest = records.order_by("-date").values_list("date", flat=True).first()
    return (newest or today).replace(day=1)


def shown(
    found: Exceptions, findings: Sequence[Finding], user: User, register: Register = DEFAULT
) -> list[ExceptionShown]:
    """These exceptions with what a page shows of them. Reads their records, in one query."""
    keys = [Q(company_id=one.company, date=one.day, ep_no=one.subject) for one in findings if one.is_of_a_day]
    # The keys stand apart from the scope: SQLite would go through all records of a company for the two together.
    named = register.rows(AttendanceRecord).filter(Q(*keys, _connector=Q.OR) if keys else Q(pk__in=[]))
    rows = register.rows(AttendanceRecord).visible_to(user).filter(pk__in=named.order_by().values("pk"))
    records = {(row.company_id, row.date, row.ep_no): row for row in rows.order_by()}
    result = []
    for one in findings:
        record = records.get((one.company, one.day, one.subject)) if one.is_of_a_day else None
        of_two = one.kind == ExceptionKind.TWO_NUMBERS
        name = one.subject if of_two else found.names.get((one.company, one.subject), "")
        values = {field: getattr(record, field) for field in _LOOKED_AT} if record else {}
        result.append(
            ExceptionShown(one, found.companies[one.company], name, record, found.seen.get(one), _checksum(one, values))
        )
    return result


def exception(
    user: User, kind: ExceptionKind, company: int, subject: str, day: dt.date, register: Register = DEFAULT
) -> ExceptionShown | None:
    """The exception of this kind, or None if there is none any more. One of a name or a number is looked for in the
    month of the day. Reads the database."""
    found = exceptions(user, day.replace(day=1), company, register)
    for one in (*found.unseen, *found.seen):
        if (one.kind, one.subject) == (kind, subject) and (one.day == day or not one.is_of_a_day):
            return shown(found, [one], user, register)[0]
    return None


def find_right(user: User, looked_at: ExceptionShown, checksum: str, reason: str, register: Register = DEFAULT) -> None:
    """Note that somebody has looked at an exception and found it right. ``checksum``: of what the person saw.

    Writes one row. Raises OperationFailed; PermissionError if this person may not change the company's records.
    """
    one = _editable(user, looked_at, register)
    if checksum != looked_at.checksum:
        raise OperationFailed(
            _("Somebody changed what this exception is about while you looked at it. Nothing was changed. Look again.")
        )
    with changing(register, [SeenException], NOTHING_CHANGED):
        register.rows(SeenException).update_or_create(
            company_id=one.company, kind=one.kind, subject=one.subject, checksum=checksum,
            defaults={
                "day": one.day if one.is_of_a_day else None, "reason": reason,
                "seen_by": user.get_username(), "seen_at": timezone.now(),
            },
        )  # fmt: skip
    logger.info("%s found right: %s %s %s %s", user, one.kind, one.company, one.subject, one.day)


def take_back(user: User, looked_at: ExceptionShown, register: Register = DEFAULT) -> None:
    """Forget that somebody has found an exception right. It is in the list again.

    Deletes one row. Raises OperationFailed; PermissionError if this person may not change the company's records.
    """
    one = _editable(user, looked_at, register)
    with changing(register, [SeenException], NOTHING_CHANGED):
        register.rows(SeenException).filter(
            company_id=one.company, kind=one.kind, subject=one.subject, checksum=looked_at.checksum
        ).delete()
    logger.info("%s took back: %s %s %s %s", user, one.kind, one.company, one.subject, one.day)


def _editable(user: User, looked_at: ExceptionShown, register: Register) -> Finding:
    one = looked_at.finding
    if not register.rows(AttendanceRecord).editable_by(user).filter(company_id=one.company).exists():
        raise PermissionError("This company's records are not theirs to change.")
    return one


class _DayBit(models.Func):
    """The bit of a date in a mask of its month."""

    arity = 1
    output_field = models.IntegerField()

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self.as_sql(compiler, connection, template="(1 << (substr(%(expressions)s, 9) - 1))", **context)

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        template = "(1 << (EXTRACT(DAY FROM %(expressions)s)::int - 1))"
        return self.as_sql(compiler, connection, template=template, **context)


class _Seconds(models.Func):
    """The seconds of a time of day."""

    arity = 1
    output_field = models.IntegerField()

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        template = "(substr(%(expressions)s, 1, 2) * 3600 + substr(%(expressions)s, 4, 2) * 60"
        template += " + substr(%(expressions)s, 7, 2))"
        return self.as_sql(compiler, connection, template=template, **context)

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self.as_sql(compiler, connection, template="EXTRACT(EPOCH FROM %(expressions)s)", **context)


def _overlap(one: tuple[str, str], other: tuple[str, str]) -> Q:
    """Whether two pairs of times, both complete, share some time. A pair may pass midnight."""
    complete = Q(**{f"{name}__isnull": False for name in (*other, *one)})
    return complete & (_within(other[0], one) | _within(one[0], other))


def _within(time: str, pair: tuple[str, str]) -> Q:
    """Whether a time is in a pair: at its in time, or later and before its out time."""
    begin, end = F(pair[0]), F(pair[1])
    since, before = Q(**{f"{time}__gte": begin}), Q(**{f"{time}__lt": end})
    same_day = Q(**{f"{pair[0]}__lt": end}) & since & before
    return same_day | (Q(**{f"{pair[0]}__gt": end}) & (since | before))


def _too_long(pair: tuple[str, str]) -> Q:
    """Whether a pair passes midnight and is longer than a night shift."""
    longest = 24 * 3600 - int(LONGEST_NIGHT.total_seconds())
    earlier = Q(**{f"{pair[1]}__lt": F(pair[0])})
    return earlier & Q(models.lookups.LessThan(_Seconds(pair[0]) - _Seconds(pair[1]), longest))


_NO_TIME: Final = Q(**{f"{name}__isnull": True for name in TIME_FIELDS})
_CONDITIONS: Final[Mapping[ExceptionKind, Q]] = {
    ExceptionKind.OVERLAPPING: _overlap(_PAIRS[0], _PAIRS[1])
    | _overlap(_PAIRS[0], _PAIRS[2])
    | _overlap(_PAIRS[1], _PAIRS[2]),
    ExceptionKind.OUT_BEFORE_IN: _too_long(_PAIRS[0]) | _too_long(_PAIRS[1]) | _too_long(_PAIRS[2]),
    ExceptionKind.PRESENCE_WITHOUT_TIME: _NO_TIME & Q(status__in=_WORKED),
    ExceptionKind.TIME_WITHOUT_PRESENCE: Q(status__in=_NOT_WORKED) & ~_NO_TIME,
}
"""The kinds that are looked for while a month is read. Two others have an index of their own."""

_INDEXED: Final[Mapping[ExceptionKind, Q]] = {
    ExceptionKind.MISSING_PUNCH: MISSING_PUNCH,
    # The first condition is the index's.
    ExceptionKind.OVERSTAY: Q(overstay__gte=180) & Q(overstay__gt=LONG_OVERSTAY),
}


@dataclass
class _Person:
    """What is known of an employee in a month. All numbers are masks of days; those that end in ``before`` are of the
    month before. ``span``: the days of which there should be a record; ``earlier``: the last name before the month."""

    days: int = 0
    absent: int = 0
    off: int = 0
    absent_before: int = 0
    off_before: int = 0
    span: int = 0
    earlier: str = ""
    names: dict[str, int] = field(default_factory=dict)
    wrong: dict[ExceptionKind, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The last name that the person has."""
        return max(self.names, key=lambda name: self.names[name], default="") or self.earlier


People = Mapping[EmployeeKey, _Person]


def _people(scope: AttendanceQuerySet, month: dt.date, until: dt.date) -> defaultdict[EmployeeKey, _Person]:
    """The employees with records from the beginning of the month until a day. Three queries."""
    people: defaultdict[EmployeeKey, _Person] = defaultdict(_Person)
    rows = scope.filter(date__range=(month, until)).order_by()
    bit = _DayBit("date")
    masks = {
        "absent": Sum(bit, filter=Q(status=Status.ABSENT)),
        "off": Sum(bit, filter=Q(status__in=(Status.WEEK_OFF, Status.PUBLIC_HOLIDAY))),
        **{kind.value: Sum(bit, filter=condition) for kind, condition in _CONDITIONS.items()},
    }
    groups = rows.values_list("company_id", "ep_no", "ep_name").annotate(days=Sum(bit), **masks)
    for company, number, name, days, absent, off, *wrong in groups:
        person = people[company, number]
        person.days |= days
        person.absent |= absent or 0
        person.off |= off or 0
        if name:
            person.names[name] = days
        for kind, mask in zip(_CONDITIONS, wrong, strict=True):
            if mask:
                person.wrong[kind] = person.wrong.get(kind, 0) | mask
    for kind, condition in _INDEXED.items():
        for company, number, mask in rows.filter(condition).values_list("company_id", "ep_no").annotate(days=Sum(bit)):
            people[company, number].wrong[kind] = mask
    return people


def _follow_back(people: defaultdict[EmployeeKey, _Person], scope: AttendanceQuerySet, month: dt.date) -> None:
    """Add how the month before ended, for absences that go on. One query."""
    bit, still = _DayBit("date"), (Status.ABSENT, Status.WEEK_OFF, Status.PUBLIC_HOLIDAY)
    rows = scope.filter(date__range=(month - LOOKED_BACK * _DAY, month - _DAY), status__in=still).order_by()
    masks = {"absent": Sum(bit, filter=Q(status=Status.ABSENT)), "all": Sum(bit)}
    for company, number, absent, both in rows.values_list("company_id", "ep_no").annotate(**masks):
        person = people.get((company, number))
        if person is not None and absent:
            person.absent_before, person.off_before = absent, both & ~absent


def _add_spans(
    people: defaultdict[EmployeeKey, _Person],
    user: User,
    companies: CompanyQuerySet,
    month: dt.date,
    until: dt.date,
    today: dt.date,
) -> None:
    """Add the days of which each employee should have a record, and the last name before the month. One query.

    The index of employees has the days of each in order, so each takes a few look-ups, however many days they have. The
    conditions are those of ``visible_to``, written for that index: SQLite takes another one for any more than these.
    """
    register = Register(companies.db)
    connection = register.connection
    pks = companies.order_by().values(company_id=F("pk"))
    owners, values = pks.query.get_compiler(register.alias).as_sql()
    table = connection.ops.quote_name(AttendanceRecord._meta.db_table)

    def own(whose: str) -> str:
        return f"{table} WHERE company_id = {whose}.company_id AND ep_no = {whose}.ep_no AND date BETWEEN %s AND %s"

    sql = f"""
        WITH RECURSIVE owners AS ({owners}),
        each(company_id, ep_no) AS (
            SELECT company_id, (SELECT min(ep_no) FROM {table} WHERE company_id = owners.company_id) FROM owners
            UNION ALL
            SELECT company_id,
                (SELECT min(ep_no) FROM {table} WHERE company_id = each.company_id AND ep_no > each.ep_no)
            FROM each WHERE ep_no IS NOT NULL
        ),
        lasts AS MATERIALIZED (
            SELECT company_id, ep_no, (SELECT max(date) FROM {own("each")}) AS last FROM each WHERE ep_no IS NOT NULL
        ),
        spans AS MATERIALIZED (
            SELECT company_id, ep_no, last,
                (SELECT ep_name FROM {own("lasts")} AND ep_name <> '' ORDER BY date DESC LIMIT 1) AS earlier
            FROM lasts WHERE last > %s
        )
        SELECT company_id, ep_no, last, earlier, earlier IS NOT NULL OR EXISTS (SELECT 1 FROM {own("spans")})
        FROM spans"""  # noqa: S608 - the statement in it is Django's
    opens, closes = days_seen_by(user)
    gone = min(month - _DAY, until - GONE_AFTER)  # whoever has no record after this day is not in this month
    days = (opens, min(closes, today), opens, min(closes, month - _DAY), gone, opens, min(closes, month - _DAY))
    with connection.cursor() as cursor:
        cursor.execute(sql, [*values, *map(connection.ops.adapt_datefield_value, days)])
        rows = cursor.fetchall()
    for company, number, last, earlier, was_there in rows:
        person = people[company, number]
        person.earlier = earlier or ""
        if was_there or person.days:
            begin = 0 if was_there else _first(person.days)
            end = min(unmarked_until(_date(last), until), until, today - _DAY)
            if end >= month + begin * _DAY:
                person.span = (1 << end.day) - (1 << begin)


def _date(value: dt.date | str) -> dt.date:
    """A date as the cursor has it: SQLite's is a text."""
    return dt.date.fromisoformat(value) if isinstance(value, str) else value


def _of_records(people: People, month: dt.date) -> Iterator[Finding]:
    """The exceptions of single records."""
    for (company, number), person in people.items():
        for kind, mask in person.wrong.items():
            for day in _days(mask):
                yield Finding(month + day * _DAY, company, number, kind)


def _of_names(people: People, month: dt.date) -> Iterator[Finding]:
    """The numbers with two names, and the names with two numbers. Each stands at the first day on which the last of
    them stands in the month."""
    numbers: defaultdict[EmployeeKey, list[tuple[int, str]]] = defaultdict(list)
    for (company, number), person in people.items():
        begun = [_first(mask) for mask in person.names.values()]
        for name, day in zip(person.names, begun, strict=True):
            numbers[company, name].append((day, number))
        names = {*person.names, person.earlier} - {""}
        if begun and len(names) > 1:
            yield Finding(month + max(begun) * _DAY, company, number, ExceptionKind.TWO_NAMES, tuple(sorted(names)))
    for (company, name), having in numbers.items():
        if len(having) > 1:
            day, alike = max(having)[0], tuple(sorted(number for _day, number in having))
            yield Finding(month + day * _DAY, company, name, ExceptionKind.TWO_NUMBERS, alike)


def _absences(people: People, month: dt.date) -> Iterator[Finding]:
    """The absences of three days or more in a row, at the third day or at the first one in the month after that."""
    before = (month - _DAY).day
    for (company, number), person in people.items():
        if not person.absent or (person.absent | person.absent_before << 31).bit_count() < IN_A_ROW:
            continue
        row: list[dt.date] = []
        for day in range(1, LOOKED_BACK + 1):
            bit = 1 << before - day
            if person.absent_before & bit:
                row.insert(0, month - day * _DAY)
            elif not person.off_before & bit:
                break
        is_told = False
        for day in range(person.days.bit_length()):
            bit = 1 << day
            if person.absent & bit:
                row.append(month + day * _DAY)
                if len(row) >= IN_A_ROW and not is_told:
                    is_told, days = True, tuple(absent.isoformat() for absent in row)
                    yield Finding(row[-1], company, number, ExceptionKind.ABSENT_IN_A_ROW, days)
            elif not person.off & bit:
                row, is_told = [], False


def _not_recorded(people: People, scope: AttendanceQuerySet, month: dt.date, until: dt.date) -> Iterator[Finding]:
    """The working days of which employees have no record. One query."""
    working = _working_days(scope, month, until)
    for (company, number), person in people.items():
        for day in _days(person.span & ~person.days & working.get(company, -1)):
            yield Finding(month + day * _DAY, company, number, ExceptionKind.NOT_RECORDED)


def _working_days(scope: AttendanceQuerySet, month: dt.date, until: dt.date) -> dict[int, int]:
    """The mask of the days on which each company works that has records in the month."""
    rows = scope.filter(date__range=(month, until)).order_by().values_list("company_id", "date")
    counts = rows.annotate(
        all=Count("*"),
        off=Count("status", filter=Q(status=Status.WEEK_OFF)),
        holiday=Count("status", filter=Q(status=Status.PUBLIC_HOLIDAY)),
    )
    days: defaultdict[int, list[Recorded]] = defaultdict(list)
    for company, *recorded in counts:
        days[company].append(Recorded(*recorded))
    dates = [month + day * _DAY for day in range(until.day)]
    working = {}
    for company, recorded_days in days.items():
        rest = rest_of(recorded_days)
        worked = (date for date in dates if not rest.is_off(date) and date not in rest.holidays)
        working[company] = sum(1 << date.day - 1 for date in worked)
    return working


def _seen(
    found: Iterable[Finding], scope: AttendanceQuerySet, companies: CompanyQuerySet, month: dt.date, until: dt.date
) -> dict[Finding, SeenException]:
    """Those of the exceptions that somebody has found right, as they are now. Two queries at most."""
    register = Register(scope.db)
    noted = register.rows(SeenException).filter(company__in=companies.order_by().values("pk"))
    noted = noted.filter(Q(day__range=(month, until)) | Q(day=None)).order_by("seen_at")
    by_subject: defaultdict[tuple[Any, ...], dict[str, SeenException]] = defaultdict(dict)
    for row in noted:
        by_subject[row.company_id, row.kind, row.subject, row.day][row.checksum] = row
    if not by_subject:
        return {}
    day = scope.filter(company=OuterRef("company"), date=OuterRef("day"), ep_no=OuterRef("subject"))
    pks = noted.exclude(day=None).annotate(record=Subquery(day.values("pk")[:1])).order_by().values("record")
    columns = ("company_id", "date", "ep_no", *_LOOKED_AT)
    records = {tuple(row[:3]): row[3:] for row in scope.filter(pk__in=pks).order_by().values_list(*columns)}
    result = {}
    for one in found:
        rows = by_subject.get((one.company, one.kind, one.subject, one.day if one.is_of_a_day else None))
        if rows:
            values = records.get((one.company, one.day, one.subject), ())
            if same := rows.get(_checksum(one, dict(zip(_LOOKED_AT, values, strict=False)))):
                result[one] = same
    return result


_LOOKED_AT: Final = ("status", "overstay", *TIME_FIELDS)
"""The fields of a record in which there can be an exception."""


def _checksum(one: Finding, record: Mapping[str, Any]) -> str:
    """The SHA-256 of what an exception is about. ``record``: the fields of its record, if it is of one."""
    looked_at = [str(record[name]) for name in OF_A_RECORD.get(one.kind, ())]
    day = one.day.isoformat() if one.is_of_a_day else ""
    return hashlib.sha256(json.dumps([day, *looked_at, *one.details]).encode()).hexdigest()


def _first(mask: int) -> int:
    """The first day of a mask, counted from 0."""
    return (mask & -mask).bit_length() - 1


def _days(mask: int) -> Iterator[int]:
    """The days of a mask, counted from 0."""
    while mask:
        yield _first(mask)
        mask &= mask - 1
