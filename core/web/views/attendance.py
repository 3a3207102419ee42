"""The attendance list, and the pages that add, change and delete records."""

from __future__ import annotations

import datetime as dt
from calendar import monthrange
from typing import Any, Final, NamedTuple, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from core import moments
from core.attendance.records import AlreadyThere, LostUpdate, RecordService, collide, submit_delete_all
from core.attendance.seals import closed_among
from core.models import AttendanceRecord, Company, Installation, Role, User
from core.operations.errors import OperationFailed
from core.operations.wording import shown_day, shown_value
from core.register.declared import ATTENDANCE_RECORDS, RecordContent, content_of
from core.services.restore_service import RestoreService
from core.web import typed
from core.web.decorators import role_required
from core.web.filters import AttendanceFilter
from core.web.forms.bulk_edit import BulkEditForm
from core.web.forms.records import AsSeen, ConfirmForm, ContentField, NewRecordForm, RecordForm
from core.web.views.failures import because_of
from core.web.views.request import back_to

PER_PAGE: Final = 50
REACH: Final = 5_000
"""The number of rows that one can page through. More are not counted: a database would count a million each time."""

EDITORS: Final = [Role.ROOT, Role.ADMIN]


class CappedPaginator(Paginator[AttendanceRecord]):
    """A paginator that counts no more than the first :data:`REACH` rows, and pages through these."""

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
    """The page that lists the records in the person's scope, filtered and sorted by the query string."""
    user = cast(User, request.user)
    filters = AttendanceFilter(request.GET, user=user)
    paginator = CappedPaginator(filters.rows(), PER_PAGE)
    page = paginator.get_page(request.GET.get("page"))
    if paginator.is_capped:
        paginator.object_list = filters.rows(first=page.end_index())
        page = paginator.page(page.number)
    may_edit = user.role in EDITORS
    closed = closed_among({(row.company_id, row.date) for row in page.object_list} if may_edit else ())
    context = {
        "filters": filters,
        "page": page,
        "closed": {row.pk for row in page.object_list if (row.company_id, row.date) in closed},
        "may_select": may_edit and any((row.company_id, row.date) not in closed for row in page.object_list),
        "capped": paginator.is_capped,
        "reach": REACH,
        "may_edit": may_edit,
        "bulk": BulkEditForm(auto_id="bulk_%s"),
        "presets": _presets(filters, timezone.localdate()),
        "sort": filters.cleaned_data.get("sort") or "-date",
        "columns": _columns(filters.cleaned_data.get("sort") or "-date"),
    }
    return render(request, "attendance_list.html", context, status=200)


class Preset(NamedTuple):
    """Days that one click chooses. ``current``: the list shows them."""

    text: str
    first: str
    last: str
    current: bool


def _presets(filters: AttendanceFilter, today: dt.date) -> list[Preset]:
    first_of_month = today.replace(day=1)
    last_of_month = today.replace(day=monthrange(today.year, today.month)[1])
    yesterday, last_month = today - dt.timedelta(1), first_of_month - dt.timedelta(1)
    spans = {
        _("Today"): (today, today),
        _("Yesterday"): (yesterday, yesterday),
        _("This month"): (first_of_month, last_of_month),
        _("Last month"): (last_month.replace(day=1), last_month),
    }
    chosen = tuple(filters.cleaned_data.get(name) for name in ("date_from", "date_to"))
    return [Preset(text, moments.day(span[0]), moments.day(span[1]), span == chosen) for text, span in spans.items()]


def _columns(sort: str) -> list[dict[str, Any]]:
    """The headings that sort the list: text, the sort that a click asks for, and the present direction (aria-sort)."""
    sortable = {"date": _("Date"), "ep_no": _("Number"), "ep_name": _("Name")}
    columns = []
    for name, text in sortable.items():
        direction = "ascending" if sort == name else "descending" if sort == f"-{name}" else ""
        next_sort = f"-{name}" if direction == "ascending" or (name == "date" and not direction) else name
        columns.append({"text": text, "sort": next_sort, "direction": direction})
    return columns


@require_http_methods(["GET", "HEAD", "POST"])
@role_required(EDITORS, keeps_typed=True)
def add_record_view(request: HttpRequest) -> HttpResponse:
    """The form that adds a record. If the record exists already (409), its values are shown beside what was typed."""
    user = cast(User, request.user)
    form = NewRecordForm(request.POST or None, user=user, initial=request.GET.dict())
    existing, failure, status = None, None, 200
    if request.method == "POST" and not typed.is_only_shown(request) and form.is_valid():
        service = RecordService(user)
        try:
            service.add(form.instance)
        except AlreadyThere as error:
            status = 409
            form.add_error("ep_no", str(error))
            if existing := service.record_of(RestoreService._get_unique_key(form.instance)):
                form.show_beside(collide(existing, form.content(), None).beside)
        except OperationFailed as error:
            failure = error
            form.add_error(None, str(error))
        else:
            messages.success(request, _("Added the record of %(record)s.") % {"record": _named(form.instance)})
            return redirect(back_to(request))
    context = {"form": form, "record": None, "existing": existing, "back": back_to(request)}
    return because_of(failure, render(request, "record_form.html", context, status=status))


@require_http_methods(["GET", "HEAD", "POST"])
@role_required(EDITORS, keeps_typed=True)
def edit_record_view(request: HttpRequest, pk: int) -> HttpResponse:
    """The form that changes a record. If somebody changed or deleted it meanwhile (409), the page shows that too."""
    user = cast(User, request.user)
    service = RecordService(user)
    record = service.record(pk)
    if record is None:
        return _deleted_page(request, user)
    form = RecordForm(_with_saved(request.POST, record) or None, instance=record)
    failure = None
    if request.method == "POST" and form.is_valid():
        if "take" in request.POST or "instead" in request.POST or typed.is_only_shown(request):
            return _collision_page(request, service, pk, form)
        try:
            if not form.cleaned_data["seen"]:
                raise LostUpdate(_unseen())
            service.change(pk, form.cleaned_data["seen"], form.content())
        except LostUpdate as error:
            return _collision_page(request, service, pk, form, str(error))
        except OperationFailed as error:
            failure = error
            form.add_error(None, str(error))
        else:
            messages.success(request, _("Saved the record of %(record)s.") % {"record": _named(record)})
            return redirect(back_to(request))
    context = {
        "form": form,
        "record": service.record(pk),
        "is_closed": _is_closed(record),
        "back": back_to(request),
    }
    return because_of(failure, render(request, "record_form.html", context))


def _is_closed(record: AttendanceRecord) -> bool:
    """Whether the record is in a closed month."""
    return bool(closed_among([(record.company_id, record.date)]))


def _unseen() -> str:
    return _("The form does not say which state of the record it shows. Nothing was saved.")


def _named(record: AttendanceRecord) -> str:
    return _("%(number)s on %(day)s") % {"number": record.ep_no, "day": shown_day(record.date.isoformat())}


def _with_saved(data: QueryDict, record: AttendanceRecord) -> QueryDict:
    """The data of a form, with the saved values of the unit for which the person takes what is saved."""
    names = ATTENDANCE_RECORDS.units.get(data.get("take", ""), ())
    if names:
        data, saved = data.copy(), content_of(record)
        for name in names:
            data[name] = saved[name] or ""
    return data


def _collision_page(
    request: HttpRequest, service: RecordService, pk: int, form: RecordForm, lost: str = ""
) -> HttpResponse:
    """The form with what the person typed beside what is saved. ``lost``: why it could not be saved (409)."""
    record = service.record(pk)
    if record is None:
        return _deleted_page(request, service.user)
    collision = collide(record, form.content(), form.cleaned_data["base"])
    if lost and form.cleaned_data["seen"] and collision.is_settled:
        messages.success(request, _("The record of %(record)s had these values already.") % {"record": _named(record)})
        return redirect(back_to(request))
    form = RecordForm(instance=record, initial=collision.values)
    form.show_beside(collision.beside)
    context = {"form": form, "record": record, "lost": lost, "collision": collision, "back": back_to(request)}
    return render(request, "record_form.html", context, status=409 if lost else 200)


def _company_of(name: str, user: User) -> Company | None:
    """The company of a record that the person saw; None if it is deleted. Raises Http404 if they could not see it."""
    company = Company.objects.visible_to(user).filter(name=name).first()
    if company is None and user.role != Role.ROOT:
        raise Http404
    return company


def _deleted_page(request: HttpRequest, user: User) -> HttpResponse:
    """The page after a record was deleted (409): what was typed, in a form that adds the record again.

    If somebody has added it again already, the page shows that beside what was typed. Raises Http404 if the person
    never saw the record.
    """
    seen = ContentField().clean(request.POST.get("base"))
    if seen is None:
        raise Http404
    service = RecordService(user)
    key = ep_no, company_name, day = RestoreService._get_unique_key(seen)
    if record := service.record_of(key):
        form = RecordForm(request.POST, instance=record)
        if form.is_valid():
            again = _("This record was deleted and added again while you were editing it. Nothing of yours was saved.")
            return _collision_page(request, service, record.pk, form, again)
    company = _company_of(company_name, user)
    data = request.POST.copy()
    data["company"] = str(company.pk) if company else ""
    data["ep_no"], data["date"] = ep_no, day
    lost = _("This record was deleted while you were editing it. Nothing of yours was saved.")
    context = {"form": NewRecordForm(data, user=user), "record": None, "lost": lost, "back": back_to(request)}
    return render(request, "record_form.html", context, status=409)


@require_http_methods(["GET", "HEAD", "POST"])
@role_required(EDITORS)
def delete_record_view(request: HttpRequest, pk: int) -> HttpResponse:
    """The page that asks before it deletes a record. If somebody changed it meanwhile (409), it asks again."""
    user = cast(User, request.user)
    service = RecordService(user)
    asked = AsSeen(request.POST)
    seen, base = (asked.cleaned_data["seen"], asked.cleaned_data["base"]) if asked.is_valid() else (None, None)
    record = service.record(pk)
    if record is None:
        if base is None:
            raise Http404
        _company_of(base["company_name"], user)
        messages.info(request, _("This record was deleted already."))
        return redirect(back_to(request))
    status, failure, changes = 200, None, []
    if request.method == "POST":
        try:
            if seen is None:
                raise LostUpdate(_unseen())
            service.delete(pk, seen)
        except LostUpdate as error:
            messages.error(request, str(error))
            record, status = _record(user, pk), 409
            changes = _changes(record, base)
        except OperationFailed as error:
            failure = error
            messages.error(request, str(error))
        else:
            messages.success(request, _("Deleted the record of %(record)s.") % {"record": _named(record)})
            return redirect(back_to(request))
    context = {
        "record": record,
        "form": AsSeen(initial=AsSeen.of(record)),
        "is_closed": _is_closed(record),
        "changes": changes,
        "back": back_to(request),
    }
    return because_of(failure, render(request, "record_delete.html", context, status=status))


def _changes(record: AttendanceRecord, base: RecordContent | None) -> list[tuple[str, str | None, str | None]]:
    """The fields that somebody has changed since ``base``, each with its value before and now."""
    now = content_of(record)
    return [
        (name, shown_value(name, base[name]), shown_value(name, now[name]))
        for name in (name for names in ATTENDANCE_RECORDS.units.values() for name in names)
        if base is not None and base[name] != now[name]
    ]


@require_http_methods(["GET", "HEAD", "POST"])
@role_required([Role.ROOT])
def delete_all_view(request: HttpRequest) -> HttpResponse:
    """The page that deletes every record, after a full backup. The person types the installation's name to confirm."""
    expected = Installation.without_writing().name
    form = ConfirmForm(request.POST or None, expected=expected)
    if request.method == "POST" and form.is_valid():
        return redirect("operation", pk=submit_delete_all(cast(User, request.user)).pk)
    context = {"form": form, "expected": expected, "count": AttendanceRecord.objects.count()}
    return render(request, "delete_all.html", context)


def _record(user: User, pk: int) -> AttendanceRecord:
    """The record with this id. Raises Http404 if it does not exist or the person may not change it."""
    return get_object_or_404(AttendanceRecord.objects.editable_by(user).select_related("company"), pk=pk)
