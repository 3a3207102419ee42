"""The pages about companies, for root."""

from __future__ import annotations

from typing import cast
from urllib.parse import urlencode

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count, OuterRef, Subquery
from django.db.models.functions import Coalesce
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods

from core.attendance import companies as company_service
from core.models import AttendanceRecord, Company, Role, Seal, User
from core.operations.errors import OperationFailed
from core.web import typed
from core.web.decorators import role_required
from core.web.forms.companies import CompanyForm
from core.web.forms.shared import mark_as_seen
from core.web.views.failures import because_of


@require_http_methods(["GET", "HEAD", "POST"])
@role_required([Role.ROOT], keeps_typed=True)
def companies_view(request: HttpRequest) -> HttpResponse:
    """The page that lists all companies, with a form that adds one."""
    form = CompanyForm(request.POST or None, initial={"name": request.GET.get("name", "")})
    failure = None
    if request.method == "POST" and not typed.is_only_shown(request) and form.is_valid():
        try:
            company = company_service.add_company(form.cleaned_data["name"], user=cast(User, request.user))
        except OperationFailed as error:
            failure = error
            form.add_error("name", str(error))
        else:
            messages.success(request, _("Added %(name)s.") % {"name": company.name})
            return redirect("companies")
    accounts = User.objects.filter(company=OuterRef("pk")).order_by().values("company").annotate(n=Count("pk"))
    last = AttendanceRecord.objects.filter(company=OuterRef("pk")).order_by("-date").values("date")[:1]
    companies = Company.objects.annotate(
        accounts=Coalesce(Subquery(accounts.values("n")), 0), last_day=Subquery(last)
    ).order_by("name")
    page = Paginator(companies, 50).get_page(request.GET.get("page"))
    return because_of(failure, render(request, "companies.html", {"page": page, "form": form}))


@require_http_methods(["GET", "HEAD", "POST"])
@role_required([Role.ROOT], keeps_typed=True)
def rename_company_view(request: HttpRequest, pk: int) -> HttpResponse:
    """The form that renames a company. All its records go with it."""
    company = Company.objects.filter(pk=pk).first()
    if company is None:
        if "name" not in request.POST:
            raise Http404
        messages.error(request, _("This company was deleted meanwhile. Nothing was changed."))
        return redirect(f"{reverse('companies')}?{urlencode({'name': request.POST['name']})}")
    form = CompanyForm(request.POST or None, initial={"name": company.name})
    form.fields["name"].show_hidden_initial = True
    failure = None
    if request.method == "POST" and not typed.is_only_shown(request) and form.is_valid():
        name = form.cleaned_data["name"]
        try:
            renamed = company_service.rename_company(
                pk, name, user=cast(User, request.user), seen=request.POST.get("initial-name")
            )
        except OperationFailed as error:
            failure = error
            form.add_error("name", str(error))
            company = Company.objects.filter(pk=pk).first() or company
            mark_as_seen(form, "name", company.name)
        else:
            messages.success(
                request,
                format_html(
                    '{} <a class="alert-link" href="{}">{}</a>',
                    ngettext(
                        "%(before)s is now %(after)s; %(count)s record goes with it.",
                        "%(before)s is now %(after)s; %(count)s records go with it.",
                        renamed.records,
                    )
                    % {"before": company.name, "after": name, "count": f"{renamed.records:,}"},
                    reverse("operation", args=[renamed.operation]),
                    _("It can be undone."),
                ),
            )
            return redirect("companies")
    count = AttendanceRecord.objects.filter(company=company).count()
    is_closed = Seal.objects.standing().filter(company=company).exists()
    may_delete = not count and not is_closed and not User.objects.filter(company=company).exists()
    context = {"company": company, "form": form, "count": count, "may_delete": may_delete}
    return because_of(failure, render(request, "company_rename.html", context))


@require_http_methods(["GET", "HEAD", "POST"])
@role_required([Role.ROOT])
def delete_company_view(request: HttpRequest, pk: int) -> HttpResponse:
    """The page that asks before it deletes a company without records and accounts."""
    company = get_object_or_404(Company, pk=pk)
    if request.method == "POST":
        try:
            company_service.delete_company(pk, user=cast(User, request.user))
        except OperationFailed as error:
            messages.error(request, str(error))
            return because_of(error, render(request, "company_delete.html", {"company": company}))
        messages.success(request, _("Deleted %(name)s.") % {"name": company.name})
        return redirect("companies")
    return render(request, "company_delete.html", {"company": company})
