"""The name and colour of this installation, as every page shows them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final

from django.conf import settings
from django.db import Error

from core.models import Installation
from core.register.database import DEFAULT, Register

logger = logging.getLogger(__name__)

UNKNOWN: Final = "grey"
"""The colour of an installation whose id is not known."""


@dataclass(frozen=True)
class Identity:
    """``name``: blank where it is not known. ``colour``: one of ``settings.INSTALLATION_COLOURS``, or grey."""

    name: str
    colour: str


def identity(register: Register = DEFAULT) -> Identity:
    """The name and colour by which people tell this installation from others.

    Reads one row at each call, so that a name that another process has changed is seen at once. Writes nothing and
    raises nothing: if the database does not answer, name and colour are those of the environment.
    """
    try:
        installation = Installation.without_writing(register.alias)
    except Error:
        logger.warning("The name of this installation could not be read", exc_info=True)
        return Identity(settings.INSTALLATION_NAME[:100], settings.INSTALLATION_COLOUR or UNKNOWN)
    derived = UNKNOWN if installation._state.adding else _colour_of(installation)
    return Identity(installation.name, settings.INSTALLATION_COLOUR or derived)


def _colour_of(installation: Installation) -> str:
    """The colour that follows from an installation's id. Two installations usually have different ones."""
    return settings.INSTALLATION_COLOURS[installation.id.int % len(settings.INSTALLATION_COLOURS)]
