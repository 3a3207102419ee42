"""Closed months: closing a company's month, reopening it, and what pages show of it.

A month is closed while it has a seal that nobody has reopened. Then nobody changes its days by hand. What goes past
this program (raw SQL) shows: the month then has another digest than its seal says.
"""

from __future__ import annotations

import datetime as dt
import logging
import uuid
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from typing import Final, NamedTuple

from django.db import Error
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from core import moments
from core.attendance.employees import days_seen_by
from core.attendance.exceptions import exceptions
from core.backups import catalogue
from core.history.fingerprint import month_digest, renamed_lines
from core.models import AttendanceRecord, Company, Kind, Role, Seal, User
from core.operations import holding
from core.operations import run as operations
from core.operations.closed import MonthsAreClosed
from core.operations.errors import NOTHING_CHANGED, DataMoved, LazyText, OperationFailed, explain
from core.operations.run import Actor
from core.operations.wording import month_of, proof_code
from core.register.committed import committed_state
from core.register.database import DEFAULT, Register
from core.register.declared import ATTENDANCE_RECORDS
from recordsync.errors import HistoryDamaged, HistoryUnusable, RecordSyncError
from recordsync.history.blocks import BlockDigest, block_of
from recordsync.history.databases import history_of
from recordsync.history.store import HistoryStore
from recordsync.history.trees import children_of
from recordsync.model.records import Record
from recordsync.model.slices import FIRST_DAYS
from recordsync.stores import Store
from recordsync.streams.lines import Lines

logger = logging.getLogger(__name__)

_REMEMBERED: Final = 64
"""The digests of so many months are kept while nothing is written."""
_WAITED: Final = 12
"""For how many months one waits to be closed."""
_LISTED: Final = 3
"""How many of the months that wait are listed, unless there is only one more."""
_SHAPE: Final = ATTENDANCE_RECORDS.shape()


class DayDiffers(NamedTuple):
    """A day that is not what it was when its month was closed, by its content then and now (None: there was or is no
    record)."""

    date: dt.date
    number: str
    before: dict[str, str | None] | None
    after: dict[str, str | None] | None


@dataclass(frozen=True)
class Closing:
    """The closing of a month. ``fits``: whether the month is what it was then; None where the seal was reopened, of
    which nobody asks it. ``unreadable``: a sentence that says why the month has no digest now; blank if it has."""

    seal: Seal
    fits: bool | None = None
    unreadable: str = ""

    @property
    def proof(self) -> str:
        """The proof code of the month as it was closed."""
        return proof_code(self.seal.digest)


@dataclass(frozen=True)
class MonthSeals:
    """What is known of the closing of a company's month. ``closings``: all of them, the oldest first."""

    closings: Sequence[Closing]

    @property
    def standing(self) -> Sequence[Closing]:
        """Those that nobody has reopened: none where the month is open, and more than one where it was closed here and
        elsewhere."""
        return [closing for closing in self.closings if closing.seal.reopened_at is None]

    @property
    def reopened(self) -> Sequence[Closing]:
        """Those that somebody has reopened."""
        return [closing for closing in self.closings if closing.seal.reopened_at is not None]

    @property
    def is_closed(self) -> bool:
        return bool(self.standing)

    @property
    def shown(self) -> Closing | None:
        """The closing that pages and prints speak of: the newest that the month fits, or else the newest that
        stands."""
        fitting = [closing for closing in self.standing if closing.fits]
        return next(reversed(fitting or self.standing), None)

    @property
    def changed(self) -> Closing | None:
        """The newest closing that stands, if the month does not fit any of them. If it fits one, it was closed
        elsewhere with other days, and has not changed here."""
        return self.shown if self.shown is not None and not self.shown.fits else None

    @property
    def seen(self) -> str:
        """What stands for the closings that stand, for whoever looks at them and reopens them."""
        return " ".join(str(closing.seal.pk) for closing in self.standing)


class MonthChanges(NamedTuple):
    """What differs from what was closed. ``days``: the days that differ, in order, as far as the person may see them;
    ``hidden``: how many others do. ``unknown``: a sentence that says why they are not known; blank if they are."""

    days: Sequence[DayDiffers] = ()
    hidden: int = 0
    unknown: str = ""


class WaitingMonths(NamedTuple):
    """The months of a company that wait to be closed, by their first days, the oldest first. ``pk``: the company's."""

    company: str
    pk: int
    months: Sequence[dt.date]

    @property
    def first_months(self) -> Sequence[dt.date]:
        """Those that are listed: months are closed one after the other, and a link costs time."""
        return self.months if len(self.months) <= _LISTED + 1 else self.months[:_LISTED]

    @property
    def others(self) -> int:
        """How many more there are."""
        return len(self.months) - len(self.first_months)


class ToClose(NamedTuple):
    """What somebody sees before they close a month. ``why_not``: a sentence that says why it cannot be closed; blank if
    it can. ``unseen``: how many exceptions of it nobody has looked at. ``digest``: what is closed."""

    company: Company
    why_not: str
    digest: str = ""
    unseen: int = 0

    @property
    def proof(self) -> str:
        """The proof code of the month."""
        return proof_code(self.digest)


DigestAs = Callable[[str], tuple[str, str]]
"""Gives the digest of a month under a name of its company, and a sentence that says why it has none; one of the two is
blank."""


def close_month(
    user: User, company: int, first: dt.date, *, seen: str, accepted: int = 0, register: Register = DEFAULT
) -> uuid.UUID:
    """The id of the operation that closed a company's month, which its day ``first`` is in: in one transaction, with a
    row in the audit trail and a snapshot.

    ``seen``: the digest of the month that the person saw. ``accepted``: with how many exceptions that nobody has looked
    at they close it. Raises DataMoved where one or the other is different now, OperationFailed where the month is not
    over, has no records or is closed already, and PermissionError for anybody but root and the company's administrator.
    """
    first = first.replace(day=1)
    _require_keeper(user, company, register)
    with (
        operations.running(Kind.CLOSE_MONTH, Actor.of(user), register) as run,
        holding.holding_register(run) as (store, _keeper),
    ):
        owner = _require_keeper(user, company, register)
        run.log.filename = month_of(owner.name, first)
        if why := _why_not(owner, first, register):
            raise OperationFailed(why, undone=NOTHING_CHANGED)
        digest = month_digest(store, owner.name, first)
        if digest != seen:
            raise DataMoved(
                _("%(month)s changed since you looked at it.") % {"month": month_of(owner.name, first)},
                undone=NOTHING_CHANGED,
                then=_("Look at it again."),
            )
        unseen = len(exceptions(user, first, company, register).unseen)
        if unseen > accepted:
            text = ngettext(
                "%(month)s has %(number)s exception that nobody has looked at.",
                "%(month)s has %(number)s exceptions that nobody has looked at.",
                unseen,
            )
            raise DataMoved(
                text % {"month": month_of(owner.name, first), "number": f"{unseen:,}"},
                undone=NOTHING_CHANGED,
                then=_("Look at them, or close it as it is."),
            )
        now = catalogue.stamp(register)
        register.rows(Seal).create(
            company=owner, month=first, closed_at=now, closed_by=user.get_username(), closed_as=owner.name,
            digest=digest, created_at=now, updated_at=now,
        )  # fmt: skip
        run.complete(0)
        run.operation.filename = run.log.filename
    return run.operation.pk


def reopen_month(user: User, company: int, first: dt.date, *, seen: str, register: Register = DEFAULT) -> uuid.UUID:
    """The id of the operation that reopened a company's month, which its day ``first`` is in. The seals stay, with who
    reopened them. In one transaction, with a row in the audit trail and a snapshot.

    ``seen``: the closings that the person saw (:attr:`MonthSeals.seen`). Raises DataMoved where others stand now,
    OperationFailed where the month is not closed, and PermissionError as :func:`close_month` does.
    """
    first = first.replace(day=1)
    _require_keeper(user, company, register)
    with (
        operations.running(Kind.REOPEN_MONTH, Actor.of(user), register) as run,
        holding.holding_register(run),
    ):
        owner = _require_keeper(user, company, register)
        run.log.filename = month_of(owner.name, first)
        now = catalogue.stamp(register)
        seals = register.rows(Seal).filter(company_id=company, month__range=(first, moments.last_of_month(first)))
        standing = MonthSeals([Closing(seal) for seal in seals.standing().order_by("closed_at")])
        if not standing.is_closed:
            raise OperationFailed(
                _("%(month)s is not closed.") % {"month": month_of(owner.name, first)}, undone=NOTHING_CHANGED
            )
        if standing.seen != seen:
            raise DataMoved(
                _("Somebody closed or reopened %(month)s since you looked at it.")
                % {"month": month_of(owner.name, first)},
                undone=NOTHING_CHANGED,
                then=_("Look at it again."),
            )
        seals.standing().update(reopened_at=now, reopened_by=user.get_username(), updated_at=now)
        run.complete(0)
        run.operation.filename = run.log.filename
    return run.operation.pk


def may_close(user: User, company: int) -> bool:
    """Whether a person may close and reopen the months of a company: root may, and its administrator. Reads nothing."""
    if not user.is_active:
        return False
    return user.role == Role.ROOT or (user.role == Role.ADMIN and user.company_id == company)


def to_close(user: User, company: int, first: dt.date, register: Register = DEFAULT) -> ToClose:
    """What a person sees before they close a month. ``first``: its first day. Reads the records of the month. Raises
    PermissionError as :func:`close_month` does."""
    owner = _require_keeper(user, company, register)
    if why := _why_not(owner, first, register):
        return ToClose(owner, why)
    digest, unreadable = _known_digest(owner, first, register)(owner.name)
    return ToClose(owner, unreadable, digest, len(exceptions(user, first, company, register).unseen))


def _why_not(company: Company, first: dt.date, register: Register) -> str:
    """A sentence that says why a month cannot be closed; blank if it can. Reads the database."""
    last = moments.last_of_month(first)
    month = month_of(company.name, first)
    if last >= timezone.localdate():
        return _("%(month)s is not over yet.") % {"month": month}
    standing = _standing(register).filter(company=company, month__range=(first, last)).order_by("closed_at").first()
    if standing is not None:
        return _told(standing, _("%(month)s is closed already (by %(who)s, %(when)s)."))
    if not register.rows(AttendanceRecord).filter(company=company, date__range=(first, last)).exists():
        return _("%(month)s has no records.") % {"month": month}
    return ""


def require_open(days: Iterable[tuple[int, dt.date]], register: Register, undone: LazyText) -> None:
    """Raises MonthsAreClosed where one of these days (a company's primary key, and a date) is in a closed month.

    ``undone``: a sentence that says what was not done. Reads the seals, in the transaction that is about to write.
    """
    wanted = {(company, day.replace(day=1)) for company, day in days}  # the months that they are in
    if not wanted:
        return
    months = [month for _company, month in wanted]
    found = _standing(register).filter(month__range=(min(months), moments.last_of_month(max(months))))
    closed = {(seal.company_id, seal.month.replace(day=1)): seal for seal in found}
    _refuse([seal for month, seal in closed.items() if month in wanted], undone, are_others=not wanted <= closed.keys())


def require_all_open(register: Register, undone: LazyText) -> None:
    """Raises MonthsAreClosed where any month is closed. ``undone`` and what it reads: as :func:`require_open`."""
    _refuse(_standing(register), undone)


def delete_reopened(companies: Iterable[int], register: Register, undone: LazyText) -> None:
    """Delete the seals of companies, which are about to be deleted, in the same transaction. Raises MonthsAreClosed
    where one of them stands. ``undone``: a sentence that says what was not done."""
    seals = register.rows(Seal).filter(company__in=companies)
    _refuse(_standing(register).filter(pk__in=seals.values("pk")), undone)
    seals.delete()


def closed_among(days: Iterable[tuple[int, dt.date]], register: Register = DEFAULT) -> frozenset[tuple[int, dt.date]]:
    """Those of these days (a company's primary key, and a date) that are in closed months. Reads the seals, unless
    there are no days."""
    days = set(days)
    if not days:
        return frozenset()
    months = [day.replace(day=1) for _company, day in days]
    found = register.rows(Seal).standing().order_by()
    found = found.filter(
        company__in={company for company, _day in days},
        month__range=(min(months), moments.last_of_month(max(months))),
    )
    closed = {(company, month.replace(day=1)) for company, month in found.values_list("company_id", "month")}
    return frozenset(one for one in days if (one[0], one[1].replace(day=1)) in closed)


def month_seals(
    company: Company, first: dt.date, register: Register = DEFAULT, digest_as: DigestAs | None = None
) -> MonthSeals:
    """What is known of the closing of a company's month. ``first``: its first day.

    Makes one query. Only of a month that is closed are the records read, and not again where the database proves that
    nothing was written since the last time. ``digest_as``: reads them instead, in a transaction of the caller's.
    """
    rows = register.rows(Seal).filter(company=company, month__range=(first, moments.last_of_month(first)))
    digest_as = digest_as or _known_digest(company, first, register)
    return MonthSeals([_closing(seal, digest_as) for seal in rows.order_by("closed_at")])


def digest_in(store: Store, company: Company, first: dt.date) -> DigestAs:
    """What reads the digests of a month from a store, each once. ``first``: its first day."""
    return cache(partial(_read_digest, store, company.name, first))


def changes_since(closing: Closing, company: Company, user: User, register: Register = DEFAULT) -> MonthChanges:
    """The days that differ from what was closed, by the history, if that still has it. Reads the slices of the month
    that differ."""
    if closing.unreadable:
        return MonthChanges(unknown=closing.unreadable)
    store = HistoryStore(history_of(register.alias))
    month = closing.seal.month.replace(day=1)
    try:
        slices = {
            day: BlockDigest(digest, count) for day, digest, count in children_of(store.nodes, closing.seal.digest)
        }
        with register.read() as now:
            days = list(_differing(now, store, slices, company.name, month, closing.seal.closed_as))
    except HistoryDamaged:
        return MonthChanges(unknown=_("The history does not have the month any more as it was closed."))
    except (HistoryUnusable, Error, RecordSyncError) as error:
        logger.warning("It is not known what differs from the closed month", exc_info=True)
        return MonthChanges(unknown=explain(error))
    begin, end = days_seen_by(user)
    visible = [one for one in days if begin <= one.date <= end]
    return MonthChanges(visible, len(days) - len(visible))


def months_waiting(user: User, register: Register = DEFAULT) -> list[WaitingMonths]:
    """The months that wait for this person to close them, of the last twelve that are over: they have records, and are
    not closed. The companies with the most come first. Makes two queries, and none for who closes no month."""
    if user.role not in (Role.ROOT, Role.ADMIN):
        return []
    this = timezone.localdate().replace(day=1)
    months = [_months_before(this, number) for number in range(_WAITED, 0, -1)]
    records = register.rows(AttendanceRecord).filter(company=OuterRef("pk"))
    has = [Exists(records.filter(date__range=(month, moments.last_of_month(month)))) for month in months]
    seals = register.rows(Seal).standing().order_by().filter(month__range=(months[0], this))
    closed = {(company, month.replace(day=1)) for company, month in seals.values_list("company_id", "month")}
    companies = register.rows(Company).visible_to(user).order_by("name").values_list("name", "pk", *has)
    waiting = [
        WaitingMonths(
            name, pk, [month for month, there in zip(months, of, strict=True) if there and (pk, month) not in closed]
        )
        for name, pk, *of in companies
    ]
    return sorted((one for one in waiting if one.months), key=lambda one: -len(one.months))


def _months_before(month: dt.date, number: int) -> dt.date:
    years, rest = divmod(month.year * 12 + month.month - 1 - number, 12)
    return dt.date(years, rest + 1, 1)


def _closing(seal: Seal, digest_as: DigestAs) -> Closing:
    if seal.reopened_at is not None:
        return Closing(seal)
    digest, unreadable = digest_as(seal.closed_as)
    return Closing(seal, digest == seal.digest, unreadable)


def _known_digest(company: Company, first: dt.date, register: Register) -> DigestAs:
    """What reads the digests of a month, or has them from the last time."""

    def digest_as(known_as: str) -> tuple[str, str]:
        state = committed_state(register)
        if state is None:
            return _digest(company.name, first, known_as, register)
        return _remembered(company.name, first, known_as, register, state)

    return digest_as


@lru_cache(maxsize=_REMEMBERED)
def _remembered(name: str, first: dt.date, known_as: str, register: Register, _state: Hashable) -> tuple[str, str]:
    return _digest(name, first, known_as, register)


def _digest(name: str, first: dt.date, known_as: str, register: Register) -> tuple[str, str]:
    with register.read() as store:
        return _read_digest(store, name, first, known_as)


def _read_digest(store: Store, name: str, first: dt.date, known_as: str) -> tuple[str, str]:
    try:
        return month_digest(store, name, first, known_as), ""
    except (Error, RecordSyncError) as error:
        return "", explain(error)


def _differing(
    now: Store, history: HistoryStore, slices: dict[str, BlockDigest], name: str, first: dt.date, known_as: str
) -> Iterator[DayDiffers]:
    """The days that differ. ``slices``: the blocks of the month as it was closed, by the first day of the slice. Raises
    HistoryDamaged where one of them is not at hand."""
    lines = Lines(_SHAPE)
    for day in FIRST_DAYS:
        partition = (name, first.isoformat()[:7], day)
        closed = slices.get(day)
        read = list(renamed_lines(now.partition(ATTENDANCE_RECORDS, partition), name, known_as))
        if (closed is None and not read) or block_of(read) == closed:
            continue
        text = next(history.lines([closed])) if closed is not None else []
        if text is None:
            assert closed is not None
            raise HistoryDamaged(closed.digest, "a block is missing")
        before, after = ({record.key[1:]: record for record in lines.records(of)} for of in (text, read))
        for key in sorted(before.keys() | after.keys()):
            old, new = before.get(key), after.get(key)
            if old is None or new is None or old.values != new.values:
                yield DayDiffers(dt.date.fromisoformat(key[0]), key[1], _content(old), _content(new))


def _content(record: Record | None) -> dict[str, str | None] | None:
    return None if record is None else _SHAPE.content(record)


def _standing(register: Register) -> QuerySet[Seal]:
    """The seals of closed months with their companies, in the order in which sentences name them."""
    rows = register.rows(Seal).standing().select_related("company")
    return rows.order_by("company__name", "month", "closed_at")


def _require_keeper(user: User, company: int, register: Register) -> Company:
    """The company. Raises PermissionError where this person may not close its months."""
    owner = register.rows(Company).visible_to(user).filter(pk=company).first()
    if owner is None or not may_close(user, company):
        raise PermissionError("The months of this company are not theirs to close.")
    return owner


def _told(seal: Seal, text: str) -> str:
    return text % {
        "month": month_of(seal.company.name, seal.month),
        "who": seal.closed_by,
        "when": moments.moment(seal.closed_at),
    }


def _refuse(seals: Iterable[Seal], undone: LazyText, *, are_others: bool = False) -> None:
    """Raises MonthsAreClosed, unless there are no seals. ``are_others``: whether something is left to be done where
    somebody leaves out the days of these months."""
    by_month = {(seal.company_id, seal.month.replace(day=1)): seal for seal in seals}  # of two, the newer one
    if not by_month:
        return
    told = [_told(seal, _("%(month)s is closed (by %(who)s, %(when)s).")) for seal in by_month.values()]
    if are_others:
        then = ngettext(
            "Reopen the month first, or leave its days out.",
            "Reopen the months first, or leave their days out.",
            len(by_month),
        )
    else:
        then = ngettext("Reopen the month first.", "Reopen the months first.", len(by_month))
    raise MonthsAreClosed(told, then, undone)
