"""Signing in and passwords."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.forms import PasswordChangeForm
from django.contrib.auth.views import LoginView, PasswordChangeView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse_lazy
from django.utils.translation import gettext as _

from core.forms import ChangePasswordForm


class SignInView(LoginView):
    """Sign in. Throttled by django-axes; a wrong name and a wrong password get the same answer."""

    redirect_authenticated_user = True


class ChangePasswordView(PasswordChangeView):
    """A person's own password; other sessions of the account end with it."""

    form_class = ChangePasswordForm
    template_name = "registration/change_password.html"
    success_url = reverse_lazy("dashboard")

    def form_valid(self, form: PasswordChangeForm) -> HttpResponse:
        messages.success(self.request, _("Your password was changed. Other devices have been signed out."))
        return super().form_valid(form)


def locked_out(request: HttpRequest, response: object = None, credentials: object = None) -> HttpResponse:
    """After too many wrong passwords: 429, and the same for names that have no account."""
    return render(request, "registration/locked_out.html", status=429)
