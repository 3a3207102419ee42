"""Closed months that something would change: what people are told of them, and what they decide."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from core import moments
from core.operations.errors import NOTHING_CHANGED, LazyText, OperationFailed, sentences
from core.operations.wording import month_of
from recordsync.merge import Side
from recordsync.model.fields import TIMESTAMP

_SHOWN: Final = 5
"""How many months a sentence names."""


class ClosedChoice(StrEnum):
    """What a person decides about all closed months that something would change. No strategy does."""

    KEEP = "keep_closed"
    """They stay as they are."""
    REOPEN = "reopen"
    """They are reopened, and change."""


def side_of(choice: ClosedChoice | None) -> Side | None:
    """The side that closed months take (:data:`recordsync.merge.SEAL`)."""
    return {None: None, ClosedChoice.KEEP: Side.OURS, ClosedChoice.REOPEN: Side.THEIRS}[choice]


class MonthChange(NamedTuple):
    """What would become of a closed month. ``days``: how many records of it would change; none: only a seal.
    ``reopened``: how many of its seals that stand here were reopened in what comes."""

    days: int = 0
    reopened: int = 0


class ClosedMonth(NamedTuple):
    """A closed month that something would change, or has changed. ``month``: ``YYYY-MM``; ``days``: as
    :class:`MonthChange` has them. ``closed_at``: a timestamp's text; blank, as ``closed_by``: it is not closed any
    more. ``is_closed``: whether it is closed afterwards; None: nobody knows that yet. ``closings``, ``reopened``: how
    many of its seals stood here, and were reopened in what comes."""

    company: str
    month: str
    days: int
    closed_by: str = ""
    closed_at: str = ""
    is_closed: bool | None = None
    closings: int = 1
    reopened: int = 0

    @property
    def is_reopened(self) -> bool:
        """Whether what comes has reopened it: all that closed it here."""
        return 0 < self.reopened == self.closings

    @property
    def name(self) -> str:
        """Such as ``November 2026 of Site A``."""
        return _name(self.company, self.month)

    @property
    def sentence(self) -> str:
        """A sentence that says who closed it, and how much of it would change."""
        if self.days and self.is_reopened:
            text = ngettext(
                "in what comes it was reopened, and %(n)s day of it would change.",
                "in what comes it was reopened, and %(n)s days of it would change.",
                self.days,
            )
        elif self.days:
            text = ngettext("%(n)s day of it would change.", "%(n)s days of it would change.", self.days)
        elif self.is_reopened:
            text = _("in what comes it was reopened.")
        else:
            text = _("a closing of it would no longer stand.")
        would = text % {"n": f"{self.days:,}"}
        at = TIMESTAMP.to_python(self.closed_at or None)
        if at is None:
            return _("%(month)s is closed: %(would)s") % {"month": self.name, "would": would}
        return _("%(month)s is closed (by %(who)s, %(when)s): %(would)s") % {
            "month": self.name,
            "who": self.closed_by,
            "when": moments.moment(at),
            "would": would,
        }


class TouchedMonths(NamedTuple):
    """The closed months that something would change, in order, and what somebody has decided about them. ``newly``: the
    months that it has closed, which were open, each by company and ``YYYY-MM``."""

    months: Sequence[ClosedMonth] = ()
    choice: ClosedChoice | None = None
    newly: Sequence[tuple[str, str]] = ()

    @property
    def undecided(self) -> bool:
        """Whether somebody has to decide first."""
        return bool(self.months) and self.choice is None

    @property
    def closes_again(self) -> bool:
        """Whether any of them, which was reopened in what comes, is closed again."""
        return self.choice is ClosedChoice.KEEP and any(one.is_reopened for one in self.months)

    @property
    def changes_nothing(self) -> bool:
        """Whether nothing is written about them, as somebody has decided, or there are none."""
        return not any(self.choice is not ClosedChoice.KEEP or one.reopened for one in self.months)

    @property
    def decision(self) -> str:
        """Sentences that say what was decided and done, and which months were closed; blank if there is nothing to
        say."""
        newly = _("Closed now: %(months)s.") % {"months": named(self.newly)} if self.newly else ""
        return sentences(self._decided, newly)

    @property
    def _decided(self) -> str:
        match self.choice:
            case ClosedChoice.KEEP:
                return self._kept(
                    _("Kept closed, as it was here: %(months)s."),
                    _("Closed again, as it was here, after it was reopened: %(months)s."),
                )
            case ClosedChoice.REOPEN:
                changed = [one for one in self.months if one.days]
                others = [one for one in self.months if not one.days]
                return sentences(
                    _about(_("Reopened and changed: %(months)s."), [one for one in changed if not one.is_closed]),
                    _about(_("Changed, and still closed: %(months)s."), [one for one in changed if one.is_closed]),
                    _about(_("Reopened: %(months)s."), [one for one in others if not one.is_closed]),
                    _about(
                        _("Still closed, though a closing no longer stands: %(months)s."),
                        [one for one in others if one.is_closed],
                    ),
                )
        return ""

    @property
    def intention(self) -> str:
        """A sentence that says what is decided and not yet done; blank if there is nothing to decide."""
        match self.choice:
            case ClosedChoice.KEEP:
                return self._kept(
                    _("To stay closed, as it is here: %(months)s."),
                    _("To close again, as it is here, after it was reopened: %(months)s."),
                )
            case ClosedChoice.REOPEN:
                return _about(_("To reopen, unless it is then as somebody closed it: %(months)s."), self.months)
        return ""

    def _kept(self, kept: str, again: str) -> str:
        """These sentences about the months that are kept closed, and those that are closed again."""
        return sentences(
            _about(kept, [one for one in self.months if not one.is_reopened]),
            _about(again, [one for one in self.months if one.is_reopened]),
        )

    def summary(self) -> dict[str, Any]:
        """For JSON."""
        months = [one._asdict() for one in self.months]
        return {"closed": self.choice, "closed_months": months, "newly_closed": [list(month) for month in self.newly]}


def _about(text: str, months: Sequence[ClosedMonth]) -> str:
    """A sentence about these months; blank if there are none."""
    return text % {"months": named([(one.company, one.month) for one in months])} if months else ""


def choice_in(result: Mapping[str, Any]) -> ClosedChoice | None:
    """What was decided, by the result of an operation (:meth:`TouchedMonths.summary`)."""
    choice = result.get("closed")
    return ClosedChoice(choice) if choice else None


def decision_in(result: Mapping[str, Any]) -> str:
    """The sentences that say what was decided, and what was closed, by the result of an operation; blank if there is
    nothing to say."""
    months = [ClosedMonth(**one) for one in result.get("closed_months") or ()]
    newly = [(company, month) for company, month in result.get("newly_closed") or ()]
    return TouchedMonths(months, choice_in(result), newly).decision


class MonthsAreClosed(OperationFailed):
    """Something would change closed months, and nobody has decided that it may. ``told``: a sentence of each.
    ``months``: these months, if it is known how much of each would change; else none."""

    months: Sequence[ClosedMonth] = ()

    @classmethod
    def of(cls, months: Sequence[ClosedMonth], then: LazyText) -> MonthsAreClosed:
        """The failure that names these months. Nothing was changed."""
        failure = cls([one.sentence for one in months], then)
        failure.months = months
        return failure

    def __init__(self, told: Sequence[str], then: LazyText, undone: LazyText = NOTHING_CHANGED) -> None:
        shown = list(told[:_SHOWN])
        if (more := len(told) - _SHOWN) > 0:
            text = ngettext("%(n)s more month is closed.", "%(n)s more months are closed.", more)
            shown.append(text % {"n": f"{more:,}"})
        super().__init__(sentences(*shown), undone=undone, then=then)


def _name(company: str, month: str) -> str:
    return month_of(company, dt.date.fromisoformat(f"{month}-01"))


def named(months: Sequence[tuple[str, str]]) -> str:
    """The names of months at the end of a sentence, before its full stop, each given by company and ``YYYY-MM``; the
    first five of many."""
    names = [_name(*month) for month in months]
    more = [_("%(n)s more") % {"n": f"{len(names) - _SHOWN:,}"}] if len(names) > _SHOWN else []
    return ", ".join([*names[:_SHOWN], *more]).removesuffix(".")  # of Pvt. Ltd.
