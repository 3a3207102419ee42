"""The attendance list, and changing one record."""

from __future__ import annotations

from typing import Any, Final, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.functional import cached_property
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from core.decorators import role_required
from core.filters import AttendanceFilter
from core.forms import ConfirmForm, NewRecordForm, RecordForm, SeenField
from core.models import AttendanceRecord, Installation, Role, User
from core.services.errors import OperationFailed
from core.services.record_service import AlreadyThere, LostUpdate, RecordService, submit_delete_all
from core.views.failures import because_of

PER_PAGE: Final = 50
REACH: Final = 5_000
"""Rows that can be paged through and are counted: nobody reads on, and a database would count a million each time."""

EDITORS: Final = [Role.ROOT, Role.ADMIN]


class CappedPaginator(Paginator[AttendanceRecord]):
    """Counts, and pages through, the first :data:`REACH` rows."""

    @cached_property
    def count(self) -> int:
        rows = cast(Any, self.object_list)
        return int(rows.order_by().values("pk")[: REACH + 1].count())

    @property
    def is_capped(self) -> bool:
        return self.count > REACH

    @cached_property
    def num_pages(self) -> int:
        return max(1, -(-min(self.count, REACH) // self.per_page))


@require_safe
@login_required
def attendance_list_view(request: HttpRequest) -> HttpResponse:
    """The records in the person's scope, as the query string filters and sorts them."""
    user = cast(User, request.user)
    filters = AttendanceFilter(request.GET, user=user)
    paginator = CappedPaginator(filters.rows(), PER_PAGE)
    page = paginator.get_page(request.GET.get("page"))
    if paginator.is_capped:
        paginator.object_list = filters.rows(first=page.end_index())
        page = paginator.page(page.number)
    context = {
        "filters": filters,
        "page": page,
        "capped": paginator.is_capped,
        "reach": REACH,
        "may_edit": user.role in EDITORS,
        "sort": filters.cleaned_data.get("sort") or "-date",
        "columns": _columns(filters.cleaned_data.get("sort") or "-date"),
    }
    return render(request, "attendance_list.html", context, status=200)


def _columns(sort: str) -> list[dict[str, Any]]:
    """The headings: text, the sort that a click asks for, and how it is sorted now (for aria-sort)."""
    sortable = {"date": _("Date"), "ep_no": _("Number"), "ep_name": _("Name")}
    columns = []
    for name, text in sortable.items():
        now = "ascending" if sort == name else "descending" if sort == f"-{name}" else ""
        following = f"-{name}" if now == "ascending" or (name == "date" and not now) else name
        columns.append({"text": text, "sort": following, "now": now})
    return columns


@require_http_methods(["GET", "HEAD", "POST"])
@role_required(EDITORS)
def add_record_view(request: HttpRequest) -> HttpResponse:
    """A new record, key and content."""
    user = cast(User, request.user)
    form = NewRecordForm(request.POST or None, user=user)
    failure = None
    if request.method == "POST" and form.is_valid():
        try:
            RecordService(user).add(form.instance)
        except AlreadyThere as error:
            form.add_error("ep_no", str(error))
        except OperationFailed as error:
            failure = error
            form.add_error(None, str(error))
        else:
            messages.success(
                request,
                _("Added the record of %(number)s on %(day)s.")
                % {"number": form.instance.ep_no, "day": form.instance.date},
            )
            return redirect(_back(request))
    context = {"form": form, "record": None, "back": _back(request)}
    return because_of(failure, render(request, "record_form.html", context))


@require_http_methods(["GET", "HEAD", "POST"])
@role_required(EDITORS)
def edit_record_view(request: HttpRequest, pk: int) -> HttpResponse:
    """Change a record's content; refused (409) if somebody saved it meanwhile."""
    user = cast(User, request.user)
    record = _record(user, pk)
    form = RecordForm(request.POST or None, instance=record)
    status, failure = 200, None
    if request.method == "POST" and form.is_valid():
        try:
            if not form.cleaned_data["seen"]:
                raise LostUpdate(_("The form did not say which state of the record it was made from. Try again."))
            RecordService(user).change(pk, form.cleaned_data["seen"], form.content())
        except LostUpdate as error:
            form, status = RecordForm(instance=_record(user, pk)), 409
            messages.error(request, str(error))
        except OperationFailed as error:
            failure = error
            form.add_error(None, str(error))
        else:
            messages.success(
                request, _("Saved the record of %(number)s on %(day)s.") % {"number": record.ep_no, "day": record.date}
            )
            return redirect(_back(request))
    context = {"form": form, "record": _record(user, pk), "back": _back(request)}
    return because_of(failure, render(request, "record_form.html", context, status=status))


@require_http_methods(["GET", "HEAD", "POST"])
@role_required(EDITORS)
def delete_record_view(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask, then delete; refused (409) if somebody saved it meanwhile."""
    user = cast(User, request.user)
    record = _record(user, pk)
    status, failure = 200, None
    if request.method == "POST":
        try:
            seen = SeenField().clean(request.POST.get("seen", ""))
            if seen is None:
                raise LostUpdate(_("The form did not say which state of the record it was made from. Try again."))
            RecordService(user).delete(pk, seen)
        except LostUpdate as error:
            messages.error(request, str(error))
            record, status = _record(user, pk), 409
        except OperationFailed as error:
            failure = error
            messages.error(request, str(error))
        else:
            messages.success(
                request,
                _("Deleted the record of %(number)s on %(day)s.") % {"number": record.ep_no, "day": record.date},
            )
            return redirect(_back(request))
    context = {"record": record, "seen": record.updated_at.isoformat(timespec="microseconds"), "back": _back(request)}
    return because_of(failure, render(request, "record_delete.html", context, status=status))


@require_http_methods(["GET", "HEAD", "POST"])
@role_required([Role.ROOT])
def delete_all_view(request: HttpRequest) -> HttpResponse:
    """Every record: the installation's name is typed; then the worker takes a full backup first."""
    expected = Installation.without_writing().name
    form = ConfirmForm(request.POST or None, expected=expected)
    if request.method == "POST" and form.is_valid():
        return redirect("operation", pk=submit_delete_all(cast(User, request.user)).pk)
    context = {"form": form, "expected": expected, "count": AttendanceRecord.objects.count()}
    return render(request, "delete_all.html", context)


def _record(user: User, pk: int) -> AttendanceRecord:
    """A record that this person may change; to others it does not exist."""
    return get_object_or_404(AttendanceRecord.objects.editable_by(user).select_related("company"), pk=pk)


def _back(request: HttpRequest) -> str:
    """The list as it was before, if the address says so and stays on this site."""
    target = request.POST.get("back") or request.GET.get("back") or ""
    if target.startswith("/attendance/") and url_has_allowed_host_and_scheme(target, allowed_hosts=None):
        return target
    return "/attendance/"
