"""Signing in, passwords, and the accounts that root and administrators manage."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm
from django.contrib.auth.views import LoginView, PasswordChangeView
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse_lazy
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from core.accounts import accounts as account_service
from core.accounts import sign_in
from core.models import Role, User
from core.operations.errors import OperationFailed
from core.web import typed
from core.web.decorators import role_required
from core.web.forms.accounts import AccountForm, ChangePasswordForm
from core.web.views.failures import because_of


class SignInView(LoginView):
    """The sign-in page, throttled by :mod:`core.accounts.sign_in`. Wrong names and wrong passwords get one answer."""

    redirect_authenticated_user = True

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(**kwargs) | {typed.KEPT: self.request.POST.get(typed.KEPT, "")}

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        response = super().form_valid(form)
        path, kept = self.get_redirect_url(), self.request.POST.get(typed.KEPT)
        if kept and typed.keeps(path):
            response = typed.back_to(self.request, path, kept)
        sign_in.remember_browser(self.request, response, form.get_user())
        return response


class ChangePasswordView(PasswordChangeView):
    """The page where a person changes their own password. Other sessions of the account then end."""

    form_class = ChangePasswordForm
    template_name = "registration/change_password.html"
    success_url = reverse_lazy("dashboard")

    def get_form_kwargs(self) -> dict[str, Any]:
        return super().get_form_kwargs() | {"request": self.request}

    def form_valid(self, form: PasswordChangeForm) -> HttpResponse:
        account = form.save(commit=False)
        try:
            account_service.save_password(account)
        except OperationFailed as error:
            form.add_error(None, str(error))
            return because_of(error, self.form_invalid(form))
        update_session_auth_hash(self.request, account)
        messages.success(self.request, _("Your password was changed. Other devices have been signed out."))
        return redirect(self.get_success_url())


def locked_out(request: HttpRequest, response: object = None, credentials: object = None) -> HttpResponse:
    """The page after too many wrong passwords (429). A name without an account gets the same page."""
    return render(request, "registration/locked_out.html", status=429)


def _accounts(editor: User) -> QuerySet[User]:
    """The accounts that this person manages: all for root, the supervisors of the own company for an administrator."""
    accounts = User.objects.select_related("company").order_by("username")
    if editor.role == Role.ROOT:
        return accounts
    if editor.role == Role.ADMIN:
        return accounts.filter(role=Role.USER1, company=editor.company_id)
    return accounts.none()


@require_safe
@role_required([Role.ROOT, Role.ADMIN])
def users_view(request: HttpRequest) -> HttpResponse:
    """The page that lists the accounts that the person manages."""
    page = Paginator(_accounts(cast(User, request.user)), 50).get_page(request.GET.get("page"))
    return render(request, "users.html", {"page": page})


@require_http_methods(["GET", "HEAD", "POST"])
@role_required([Role.ROOT, Role.ADMIN], keeps_typed=True)
def user_view(request: HttpRequest, pk: int | None = None) -> HttpResponse:
    """The form that adds an account, or changes one. A valid POST saves it."""
    editor = cast(User, request.user)
    account = get_object_or_404(_accounts(editor), pk=pk) if pk is not None else User()
    form = AccountForm(request.POST or None, instance=account, editor=editor)
    failure = None
    if request.method == "POST" and not typed.is_only_shown(request) and form.is_valid():
        saved = form.account()
        try:
            account_service.save(saved, by=editor, columns=form.columns)
        except OperationFailed as error:
            failure = error
            form.add_error(None, str(error))
        else:
            if saved.pk == editor.pk and form.cleaned_data.get("password"):
                update_session_auth_hash(request, saved)
            messages.success(request, _("Saved the account %(name)s.") % {"name": saved.username})
            return redirect("users")
    return because_of(failure, render(request, "user_form.html", {"form": form, "account": account}))
