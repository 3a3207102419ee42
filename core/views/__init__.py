"""The pages, one module per area: thin, what they do is done by :mod:`core.services`."""

from core.views.accounts import ChangePasswordView, SignInView
from core.views.dashboard import dashboard_view
from core.views.sheets import (
    attendance_export_view,
    upload_apply_view,
    upload_cancel_view,
    upload_detail_view,
    upload_logs_view,
    upload_refused_view,
    upload_template_view,
    upload_view,
)

__all__ = [
    "ChangePasswordView",
    "SignInView",
    "attendance_export_view",
    "dashboard_view",
    "upload_apply_view",
    "upload_cancel_view",
    "upload_detail_view",
    "upload_logs_view",
    "upload_refused_view",
    "upload_template_view",
    "upload_view",
]
