"""The pages of the register."""

from django.contrib.auth.views import LogoutView
from django.urls import path

from core import views

urlpatterns = [
    path("", views.dashboard_view, name="dashboard"),
    path("accounts/login/", views.SignInView.as_view(), name="login"),
    path("accounts/logout/", LogoutView.as_view(), name="logout"),
    path("accounts/password/", views.ChangePasswordView.as_view(), name="change_password"),
]
