"""How Django loads the parcels."""

from django.apps import AppConfig


class ParcelsConfig(AppConfig):
    name = "tests.parcels"
    label = "parcels"
