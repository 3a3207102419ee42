"""The addresses of the register's pages."""

from django.contrib.auth.views import LogoutView
from django.urls import path, register_converter

from core import views
from core.web.converters import MonthConverter, NumberConverter

register_converter(MonthConverter, "month")
register_converter(NumberConverter, "number")

urlpatterns = [
    path("", views.dashboard_view, name="dashboard"),
    path("accounts/login/", views.SignInView.as_view(), name="login"),
    path("accounts/logout/", LogoutView.as_view(), name="logout"),
    path("accounts/password/", views.ChangePasswordView.as_view(), name="change_password"),
    path("roll/", views.roll_view, name="roll"),
    path("roll/<int:company>/<month:first>/", views.roll_month_view, name="roll_month"),
    path("roll/<int:company>/<month:first>/close/", views.close_month_view, name="close_month"),
    path("roll/<int:company>/<month:first>/reopen/", views.reopen_month_view, name="reopen_month"),
    path("roll/<int:company>/<month:first>/print/", views.roll_print_view, name="roll_print"),
    path("roll/<int:company>/<month:first>/workbook/", views.roll_workbook_view, name="roll_workbook"),
    path("roll/<int:company>/<month:first>/<int:day>/<number:number>/", views.roll_day_view, name="roll_day"),
    path("attendance/export/", views.attendance_export_view, name="attendance_export"),
    path("attendance/export/workbook/", views.export_workbook_view, name="export_workbook"),
    path("operations/<uuid:pk>/workbook/", views.exported_workbook_view, name="exported_workbook"),
    path("upload/", views.upload_view, name="upload"),
    path("upload/template/", views.upload_template_view, name="upload_template"),
    path("upload/logs/", views.upload_logs_view, name="upload_logs"),
    path("upload/<uuid:pk>/", views.upload_detail_view, name="upload_detail"),
    path("upload/<uuid:pk>/apply/", views.upload_apply_view, name="upload_apply"),
    path("upload/<uuid:pk>/again/", views.upload_again_view, name="upload_again"),
    path("upload/<uuid:pk>/dates/", views.upload_dates_view, name="upload_dates"),
    path("upload/<uuid:pk>/cancel/", views.upload_cancel_view, name="upload_cancel"),
    path("upload/<uuid:pk>/refused/", views.upload_refused_view, name="upload_refused"),
    path("attendance/", views.attendance_list_view, name="attendance_list"),
    path("attendance/add/", views.add_record_view, name="add_record"),
    path("attendance/change/", views.bulk_edit_view, name="bulk_edit"),
    path("attendance/delete-all/", views.delete_all_view, name="delete_all"),
    path("attendance/<int:pk>/edit/", views.edit_record_view, name="edit_record"),
    path("attendance/<int:pk>/delete/", views.delete_record_view, name="delete_record"),
    path("exceptions/", views.exceptions_view, name="exceptions"),
    path("exceptions/<month:first>/counts/", views.exception_counts_view, name="exception_counts"),
    path("exceptions/one/", views.exception_view, name="exception"),
    path("people/<int:company>/<number:number>/", views.person_view, name="person"),
    path("companies/", views.companies_view, name="companies"),
    path("companies/<int:pk>/rename/", views.rename_company_view, name="rename_company"),
    path("companies/<int:pk>/delete/", views.delete_company_view, name="delete_company"),
    path("users/", views.users_view, name="users"),
    path("users/add/", views.user_view, name="add_user"),
    path("users/<int:pk>/", views.user_view, name="edit_user"),
    path("backup/", views.backup_data_view, name="backup_data"),
    path("backup/download/<uuid:pk>/", views.download_backup_view, name="download_backup"),
    path("backup/<uuid:pk>/", views.change_backup_view, name="change_backup"),
    path("backup/log/", views.backup_log_view, name="backup_logs"),
    path("restore/", views.restore_data_view, name="restore_data"),
    path("restore/preview/<uuid:pk>/", views.preview_restore_view, name="preview_restore"),
    path("restore/apply/<uuid:pk>/", views.apply_restore_view, name="apply_restore"),
    path("history/", views.history_view, name="history"),
    path("history/<slug:pk>/", views.snapshot_view, name="snapshot"),
    path("history/<slug:pk>/restore/", views.restore_snapshot_view, name="restore_snapshot"),
    path("operations/<uuid:pk>/undo/", views.undo_operation_view, name="undo_operation"),
    path("operations/<uuid:pk>/check-again/", views.check_again_view, name="check_again"),
    path("operations/<uuid:pk>/", views.operation_view, name="operation"),
    path("operations/<uuid:pk>/cancel/", views.cancel_operation_view, name="cancel_operation"),
    path("operations/<uuid:pk>/changes/", views.operation_changes_view, name="operation_changes"),
    path("operations/<uuid:pk>/errors/", views.operation_errors_view, name="operation_errors"),
]
