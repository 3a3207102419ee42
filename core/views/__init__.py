"""The pages, one module per area: thin, what they do is done by :mod:`core.services`."""

from core.views.accounts import ChangePasswordView, SignInView
from core.views.dashboard import dashboard_view

__all__ = ["ChangePasswordView", "SignInView", "dashboard_view"]
