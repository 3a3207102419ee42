"""The muster roll: a company's month, and one employee's day."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from io import BytesIO
from typing import Any, Final, NamedTuple, cast
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from core import moments
from core.attendance import month as months
from core.attendance import prints
from core.attendance.month import RollFilter
from core.attendance.print_workbook import write_workbook
from core.attendance.prints import PrintedRoll
from core.attendance.seals import MonthSeals, changes_since, closed_among, may_close, month_seals
from core.history.origins import came_with
from core.history.snapshots import cause_label
from core.models import Company, User, days_visible_to
from core.operations.wording import shown_value
from core.register.declared import ATTENDANCE_RECORDS, RecordContent
from core.web import roll_table
from core.web.forms.bulk_edit import BulkEditForm
from core.web.forms.prints import PrintForm
from core.web.forms.roll import RollForm
from core.web.views.attendance import EDITORS
from core.web.views.request import signed_in
from core.web.views.sheets import XLSX, attachment

PER_PAGE: Final = 500
DIFFERING: Final = 100
"""How many of the days that differ from what was closed are listed."""


@require_safe
@login_required
def roll_view(request: HttpRequest) -> HttpResponse:
    """Leads to the roll that the query string names: of a company, else the person's first one; of a month, else the
    newest one with records. What narrows the roll is kept."""
    form = RollForm(request.GET, user=signed_in(request))
    form.is_valid()
    for error in form.errors.get("month", []):
        messages.error(request, str(error))
    company, first = form.cleaned_data.get("company"), form.cleaned_data.get("month")
    newest = months.newest_month(signed_in(request), company and company.pk)
    if newest is None:
        return render(request, "roll_month.html", {"month": None})
    address = reverse("roll_month", args=[newest[0], first or newest[1]])
    kept = {name: request.GET[name] for name in RollFilter._fields if request.GET.get(name)}
    return redirect(f"{address}?{urlencode(kept)}" if kept else address)


@require_safe
@login_required
def roll_month_view(request: HttpRequest, company: int, first: dt.date) -> HttpResponse:
    """The page of a company's month: its employees, their days, and what these add up to."""
    user = signed_in(request)
    chosen = RollForm(request.GET, user=user).chosen()
    month = months.roll_month(user, company, first, chosen)
    if month is None:
        raise Http404
    page = cast("Any", Paginator(month.rows, PER_PAGE)).get_page(request.GET.get("page"))
    seals = month_seals(month.company, first)
    shown = {"company": company, "month": first.isoformat()[:7], **chosen._asdict()}
    kept = urlencode({name: value for name, value in chosen._asdict().items() if value})
    context = {
        "month": month,
        "page": page,
        "form": RollForm(initial=shown, user=user, shifts=sorted({*month.shifts, chosen.shift} - {""})),
        "looks_wrong": bool(chosen.exception),
        "may_edit": user.role in EDITORS and not seals.is_closed,
        "seals": seals,
        "proves": not any(days_visible_to(user)),
        "may_close": may_close(user, company),
        "can_be_closed": month.employees and moments.last_of_month(first) < timezone.localdate(),
        **_changes(user, month.company, seals),
        "bulk": BulkEditForm(auto_id="bulk_%s"),
        "is_narrowed": chosen != months.EVERYBODY,
        "query": f"?{kept}" if kept else "",
        "previous": first - dt.timedelta(1) if first > dt.date.min else None,
        "following": moments.last_of_month(first) + dt.timedelta(1) if first.isoformat() < "9999-12" else None,
        "body": roll_table.body(page.object_list, month.days, company),
        "sums": roll_table.SUMS,
        "feet": roll_table.feet(month),
        "legend": roll_table.LEGEND,
    }
    return render(request, "roll_month.html", context)


class _Differing(NamedTuple):
    """A day that differs from what was closed, as the page shows it. ``fields``: those that differ, each with its value
    before and now."""

    date: dt.date
    number: str
    before: RecordContent | None
    after: RecordContent | None
    href: str
    fields: Sequence[tuple[str, str | None, str | None]]


def _changes(user: User, company: Company, seals: MonthSeals) -> dict[str, Any]:
    """What differs from what was closed, for the page."""
    if seals.changed is None:
        return {}
    changes = changes_since(seals.changed, company, user)
    shown = [
        _Differing(
            *day,
            reverse("roll_day", args=[company.pk, day.date, day.date.day, day.number]),
            [
                (name, shown_value(name, day.before[name]), shown_value(name, day.after[name]))
                for names in ATTENDANCE_RECORDS.units.values()
                for name in names
                if day.before[name] != day.after[name]
            ]
            if day.before is not None and day.after is not None
            else [],
        )
        for day in changes.days[:DIFFERING]
    ]
    return {"changes": changes, "differing": shown, "more": len(changes.days) - len(shown)}


@require_safe
@login_required
def roll_day_view(request: HttpRequest, company: int, first: dt.date, day: int, number: str) -> HttpResponse:
    """The page of one employee's day: its record, or that it has none."""
    user = signed_in(request)
    try:
        shown = months.person_day(user, company, number, first.replace(day=day))
    except ValueError as error:
        raise Http404 from error
    if shown is None:
        raise Http404
    came = came_with(shown.record) if shown.record else None
    is_closed = bool(closed_among([(company, shown.date)]))
    return render(
        request,
        "roll_day.html",
        {
            "shown": shown,
            "code": roll_table.code_of_day(shown),
            "roll": reverse("roll_month", args=[company, first]),
            "part": roll_table.address(number),
            "is_closed": is_closed,
            "may_edit": user.role in EDITORS and not is_closed,
            "came": came,
            "came_what": came and cause_label(came.cause),
            "section": "roll",
        },
    )


@require_safe
@login_required
def roll_print_view(request: HttpRequest, company: int, first: dt.date) -> HttpResponse:
    """The page of a company's month as paper has it, by the profile and for the paper that the query string names."""
    form, roll = _printed(request, company, first)
    kept = request.GET.copy()
    context = {
        "roll": roll,
        "form": form,
        "paper": form.size,
        "is_custom": roll.profile.key == prints.CUSTOM,
        "body": roll_table.printed_body(roll),
        "sums": roll_table.printed_sums(roll),
        "signatures": prints.SIGNATURES,
        "legend": roll_table.LEGEND,
        "kept": {name: kept[name] for name in RollFilter._fields if kept.get(name)},
        "section": "roll",
    }
    return render(request, "roll_print.html", context)


@require_safe
@login_required
def roll_workbook_view(request: HttpRequest, company: int, first: dt.date) -> HttpResponse:
    """The same as a workbook."""
    form, roll = _printed(request, company, first)
    out = BytesIO()
    write_workbook(roll, form.size, out)
    name = f"muster-roll-{company}-{first.isoformat()[:7]}.xlsx"
    return HttpResponse(out.getvalue(), content_type=XLSX, headers=attachment(name))


def _printed(request: HttpRequest, company: int, first: dt.date) -> tuple[PrintForm, PrintedRoll]:
    """What a request wants printed. Raises Http404 if the person may not see the company."""
    user = signed_in(request)
    form, chosen = PrintForm(request.GET, month=first), RollForm(request.GET, user=user).chosen()
    roll = prints.printed(user, company, first, form.chosen(), chosen)
    if roll is None:
        raise Http404
    return form, roll
