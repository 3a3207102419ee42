"""All routes: those of the administration site, and those of :mod:`core.urls`."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("core.urls")),
]

handler500 = "core.web.views.failures.server_error"
