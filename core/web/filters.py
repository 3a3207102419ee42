"""The filters of the attendance list, and the records in the person's scope that pass them."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from django import forms
from django.db.models import Max, Min, OuterRef, Q, Subquery
from django.http import QueryDict
from django.utils.functional import cached_property
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from core.attendance.employees import last_records
from core.attendance.search import Matches, find, in_every_company
from core.attendance.tally import CountsAs, statuses
from core.models import MISSING_PUNCH, AttendanceQuerySet, AttendanceRecord, Company, Role, Status, User
from core.operations.errors import OperationFailed
from core.register.database import DEFAULT, Register
from core.web.forms.shared import DateInput, Styled

OVERSTAY: dict[str, Q] = {
    "has": Q(overstay__gt=0),
    "none": Q(overstay__isnull=True) | Q(overstay=0),
    "1-2": Q(overstay__gte=60, overstay__lt=120),
    "2-3": Q(overstay__gte=120, overstay__lt=180),
    "3-4": Q(overstay__gte=180, overstay__lte=240),
    "4+": Q(overstay__gt=240),
}

PRESENT: Final = "present"
OFF_OR_ON_LEAVE: Final = "off"
STATUSES: dict[str, list[str]] = {
    PRESENT: statuses(CountsAs.PRESENT, CountsAs.HALF),
    OFF_OR_ON_LEAVE: statuses(CountsAs.LEAVE, CountsAs.OFF, CountsAs.HOLIDAY),
}
"""What the figures of the dashboard count together, by the name that the list's address has for it."""

SORTS: dict[str, tuple[str, ...]] = {
    "-date": ("-date", "company_id", "ep_no"),
    "date": ("date", "company_id", "ep_no"),
    "ep_no": ("ep_no", "-date", "company_id"),
    "-ep_no": ("-ep_no", "-date", "company_id"),
    "ep_name": ("ep_name", "date", "company_id", "ep_no"),
    "-ep_name": ("-ep_name", "-date", "company_id", "ep_no"),
}


class AttendanceFilter(Styled, forms.Form):
    """The filters of the list, read from its query string: ``AttendanceFilter(request.GET, user=request.user)``.

    :meth:`rows` gives the records that the list shows and that an export holds.
    """

    q = forms.CharField(
        label=_("Search"),
        required=False,
        max_length=255,
        strip=True,
        widget=forms.TextInput(attrs={"type": "search", "placeholder": _("Number, name or company")}),
    )
    date_from = forms.DateField(label=_("From"), required=False, widget=DateInput)
    date_to = forms.DateField(label=_("To"), required=False, widget=DateInput)
    company = forms.ModelChoiceField(Company.objects.none(), label=_("Company"), required=False, empty_label=_("All"))
    status = forms.ChoiceField(
        label=_("Status"),
        required=False,
        choices=[
            ("", _("All")),
            (PRESENT, _("Any presence")),
            (OFF_OR_ON_LEAVE, _("Off or on leave")),
            *Status.choices,
        ],
    )
    overstay = forms.ChoiceField(
        label=_("Overstay"),
        required=False,
        choices=[
            ("", _("Any")),
            ("has", _("Has overstay")),
            ("none", _("None")),
            ("1-2", _("1–2 h")),
            ("2-3", _("2–3 h")),
            ("3-4", _("3–4 h")),
            ("4+", _("Over 4 h")),
        ],
    )
    missing = forms.BooleanField(label=_("Missing punch"), required=False)
    sort = forms.ChoiceField(
        label=_("Sort"),
        required=False,
        choices=[
            ("", _("Newest first")),
            ("date", _("Oldest first")),
            ("ep_no", _("Number, ascending")),
            ("-ep_no", _("Number, descending")),
            ("ep_name", _("Name, ascending")),
            ("-ep_name", _("Name, descending")),
            ("-date", _("Newest first")),
        ],
        widget=forms.HiddenInput,
    )

    not_on = forms.DateField(label=_("Not recorded on"), required=False, widget=forms.HiddenInput)
    """The last record of each person who has none on this day and one in the 29 days before it."""

    last = forms.BooleanField(label=_("Last records"), required=False, widget=forms.HiddenInput)
    """The last record of each employee."""

    narrowing: ClassVar = ("q", "date_from", "date_to", "company", "status", "overstay", "missing", "not_on", "last")
    """The fields that leave records out."""

    def __init__(self, data: Any, *, user: User, register: Register = DEFAULT) -> None:
        super().__init__(data)
        self.user, self.register = user, register
        company = self.fields["company"]
        assert isinstance(company, forms.ModelChoiceField)
        company.queryset = register.rows(Company).visible_to(user)
        if user.role != Role.ROOT:
            del self.fields["company"]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        first, last = cleaned.get("date_from"), cleaned.get("date_to")
        if first and last and first > last:
            self.add_error("date_to", _("The last day is before the first."))
        return cleaned

    @property
    def is_narrowed(self) -> bool:
        """Whether any filter is set, or one is not valid."""
        return any(self.cleaned_data.get(name) for name in self.narrowing) if self.is_valid() else True

    @property
    def has_more(self) -> bool:
        """Whether a filter other than the search is set, or is not valid."""
        return any(self.data.get(name) for name in self.narrowing if name != "q")

    @cached_property
    def _visible(self) -> AttendanceQuerySet:
        return self.register.rows(AttendanceRecord).visible_to(self.user)

    @cached_property
    def _matches(self) -> Matches:
        return find(self.cleaned_data["q"], self._visible)

    @cached_property
    def _last(self) -> Q:
        return last_records(self.user, self.register, without=self.cleaned_data["not_on"])

    def rows(self, *, first: int | None = None) -> AttendanceQuerySet:
        """The records in the person's scope that pass the filters, in the order asked for.

        None if a filter is not valid. ``first``: only so many from the start are needed, and there are
        known to be more. The query is then quicker; records behind these may be missing. Reads the database for a
        search, for last records, and for a sort by number with ``first``.
        """
        if not self.is_valid():
            return self._visible.none()
        chosen = self.cleaned_data
        rows = self._visible.select_related("company")
        if chosen["date_from"]:
            rows = rows.filter(date__gte=chosen["date_from"])
        if chosen["date_to"]:
            rows = rows.filter(date__lte=chosen["date_to"])
        if chosen.get("company"):
            rows = rows.filter(company_id=chosen["company"].pk)
        if chosen["status"]:
            rows = rows.filter(status__in=STATUSES.get(chosen["status"], [chosen["status"]]))
        if chosen["overstay"]:
            rows = rows.filter(OVERSTAY[chosen["overstay"]])
        if chosen["missing"]:
            rows = rows.filter(MISSING_PUNCH)
        few = bool(chosen["last"] or chosen["not_on"])
        if few:
            rows = rows.filter(self._last)
        if chosen["q"]:
            rows = rows.filter(self._matches.rows(frequent=first is not None))
        order = SORTS[chosen["sort"] or "-date"]
        if first is not None and not few and order[0] in ("ep_no", "-ep_no"):
            rows = _first_by_number(rows, first, order[0])
        return rows.order_by(*order)


def rows_shown(query: str, user: User, register: Register) -> AttendanceQuerySet:
    """The records that the list with this query string shows to ``user``.

    Raises OperationFailed if a filter is not valid any more: its company may have been deleted. Reads the database.
    """
    filters = AttendanceFilter(QueryDict(query), user=user, register=register)
    if not filters.is_valid():
        raise OperationFailed(gettext("A filter of the list is no longer valid. No file was written."))
    return filters.rows()


def _first_by_number(rows: AttendanceQuerySet, count: int, order: str) -> AttendanceQuerySet:
    """The rows whose employee numbers can be among the first ``count`` in this order. Reads the database.

    The index has numbers in order within each company only. If one company has ``count`` rows up to some number, no
    row behind that number is among the first. The nearest such number leaves few rows to sort.
    """
    register = Register(rows.db)
    companies = register.rows(Company).order_by()
    ends = rows.filter(company=OuterRef("pk")).order_by(order).values("ep_no")[count - 1 : count]
    nearest, side = (Min("end"), "lte") if order == "ep_no" else (Max("end"), "gte")
    end = companies.annotate(end=Subquery(ends)).aggregate(nearest=nearest)["nearest"]
    return rows if end is None else rows.filter(in_every_company(register), **{f"ep_no__{side}": end})
