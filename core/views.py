"""The views of all pages, by the names that `core.urls` uses. They live in :mod:`core.web.views`."""

from core.web.views.accounts import ChangePasswordView, SignInView, user_view, users_view
from core.web.views.attendance import (
    add_record_view,
    attendance_list_view,
    delete_all_view,
    delete_record_view,
    edit_record_view,
)
from core.web.views.backups import backup_data_view, change_backup_view, download_backup_view
from core.web.views.bulk_edit import bulk_edit_view
from core.web.views.closing import close_month_view, reopen_month_view
from core.web.views.companies import companies_view, delete_company_view, rename_company_view
from core.web.views.dashboard import dashboard_view, exception_counts_view
from core.web.views.exceptions import exception_view, exceptions_view
from core.web.views.history import history_view, restore_snapshot_view, snapshot_view
from core.web.views.operations import (
    backup_log_view,
    cancel_operation_view,
    check_again_view,
    operation_changes_view,
    operation_errors_view,
    operation_view,
    undo_operation_view,
)
from core.web.views.people import person_view
from core.web.views.restores import apply_restore_view, preview_restore_view, restore_data_view
from core.web.views.roll import roll_day_view, roll_month_view, roll_print_view, roll_view, roll_workbook_view
from core.web.views.sheets import (
    attendance_export_view,
    export_workbook_view,
    exported_workbook_view,
    upload_again_view,
    upload_apply_view,
    upload_cancel_view,
    upload_dates_view,
    upload_detail_view,
    upload_logs_view,
    upload_refused_view,
    upload_template_view,
    upload_view,
)

__all__ = [
    "ChangePasswordView",
    "SignInView",
    "add_record_view",
    "apply_restore_view",
    "attendance_export_view",
    "attendance_list_view",
    "backup_data_view",
    "backup_log_view",
    "bulk_edit_view",
    "cancel_operation_view",
    "change_backup_view",
    "check_again_view",
    "close_month_view",
    "companies_view",
    "dashboard_view",
    "delete_all_view",
    "delete_company_view",
    "delete_record_view",
    "download_backup_view",
    "edit_record_view",
    "exception_counts_view",
    "exception_view",
    "exceptions_view",
    "export_workbook_view",
    "exported_workbook_view",
    "history_view",
    "operation_changes_view",
    "operation_errors_view",
    "operation_view",
    "person_view",
    "preview_restore_view",
    "rename_company_view",
    "reopen_month_view",
    "restore_data_view",
    "restore_snapshot_view",
    "roll_day_view",
    "roll_month_view",
    "roll_print_view",
    "roll_view",
    "roll_workbook_view",
    "snapshot_view",
    "undo_operation_view",
    "upload_again_view",
    "upload_apply_view",
    "upload_cancel_view",
    "upload_dates_view",
    "upload_detail_view",
    "upload_logs_view",
    "upload_refused_view",
    "upload_template_view",
    "upload_view",
    "user_view",
    "users_view",
]
