"""How Django loads the engine, which has a table of its own."""

from django.apps import AppConfig


class RecordSyncConfig(AppConfig):
    name = "recordsync"
    default_auto_field = "django.db.models.BigAutoField"
