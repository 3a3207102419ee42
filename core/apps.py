"""How Django loads the application and the administration site."""

from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig
from django.core.checks import Tags, register
from django.db.backends.signals import connection_created


class CoreConfig(AppConfig):
    name = "core"
    verbose_name = "Attendance"

    def ready(self) -> None:
        from core import checks, private_files
        from core.operations import waiting

        private_files.close()
        register(checks.static_files_are_collected, Tags.staticfiles, deploy=True)
        register(checks.files_are_private, Tags.security, deploy=True)
        register(checks.servers_in_front_are_named, Tags.security, deploy=True)
        connection_created.connect(waiting.limit)


class RootAdminConfig(AdminConfig):
    """Django's administration site, for root users only."""

    default_site = "core.web.admin_site.RootAdminSite"

    def ready(self) -> None:
        """Unregister the table of the queue, which another application registers: it belongs to the worker."""
        super().ready()
        from django.contrib.admin import site
        from django_tasks_db.models import DBTaskResult

        site.unregister(DBTaskResult)
