"""How Django loads the engine, for its own table."""

from django.apps import AppConfig


class RecordSyncConfig(AppConfig):
    name = "recordsync"
    default_auto_field = "django.db.models.BigAutoField"
