"""How Django loads the application and the administration site."""

from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class CoreConfig(AppConfig):
    name = "core"
    verbose_name = "Attendance"

    def ready(self) -> None:
        from core import checks  # noqa: F401 # registers them


class RootAdminConfig(AdminConfig):
    """Django's administration site, for root users only."""

    default_site = "core.admin_site.RootAdminSite"
