"""The pages of the register."""

from django.contrib.auth.views import LogoutView
from django.urls import path

from core import views

urlpatterns = [
    path("", views.dashboard_view, name="dashboard"),
    path("accounts/login/", views.SignInView.as_view(), name="login"),
    path("accounts/logout/", LogoutView.as_view(), name="logout"),
    path("accounts/password/", views.ChangePasswordView.as_view(), name="change_password"),
    path("attendance/export/", views.attendance_export_view, name="attendance_export"),
    path("upload/", views.upload_view, name="upload"),
    path("upload/template/", views.upload_template_view, name="upload_template"),
    path("upload/logs/", views.upload_logs_view, name="upload_logs"),
    path("upload/<uuid:pk>/", views.upload_detail_view, name="upload_detail"),
    path("upload/<uuid:pk>/apply/", views.upload_apply_view, name="upload_apply"),
    path("upload/<uuid:pk>/cancel/", views.upload_cancel_view, name="upload_cancel"),
    path("upload/<uuid:pk>/refused/", views.upload_refused_view, name="upload_refused"),
]
