"""The pages of the register."""

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from core import views

urlpatterns = [
    path("", views.dashboard_view, name="dashboard"),
    path("accounts/login/", LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("accounts/logout/", LogoutView.as_view(), name="logout"),
]
