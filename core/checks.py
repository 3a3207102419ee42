"""What Django's system checks ask of this project: ``manage.py check --deploy``, and each web server as it starts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from django.conf import settings
from django.contrib.staticfiles.apps import StaticFilesConfig
from django.contrib.staticfiles.finders import get_finders
from django.contrib.staticfiles.storage import staticfiles_storage
from django.core.checks import Error
from django.core.checks import Warning as Caution
from django.core.exceptions import ImproperlyConfigured

from core import private_files

_OPEN_PATHS_NAMED: Final = 20


def static_files_are_collected(app_configs: Sequence[Any] | None = None, **options: Any) -> list[Error]:
    """Pages name their style sheets and scripts by the manifest of collectstatic, and are errors without it."""
    manifest = getattr(staticfiles_storage, "hashed_files", None)
    if settings.DEBUG or manifest is None:
        return []
    names = (name for finder in get_finders() for name, _storage in finder.list(StaticFilesConfig.ignore_patterns))
    missing = next((name for name in names if name not in manifest), None)
    if missing is None:
        return []
    return [
        Error(
            f"The static files in {settings.STATIC_ROOT} are not those of this version: {missing} is not among them. "
            "Pages would answer Internal Server Error.",
            hint="Run manage.py collectstatic --noinput, then start the web processes again.",
            id="muster.E001",
        )
    ]


def servers_in_front_are_named(app_configs: Sequence[Any] | None = None, **options: Any) -> list[Caution]:
    """Somebody in front ends HTTPS; unless it is named, everybody has its address."""
    if not settings.HTTPS or settings.TRUSTED_PROXIES:
        return []
    return [
        Caution(
            "HTTPS is on, and TRUSTED_PROXIES names no server in front that ends it. Everybody would have that "
            "server's address, so that five wrong passwords for a name from anywhere would close it for all.",
            hint="Set TRUSTED_PROXIES to the address that the server in front comes from, such as 127.0.0.1.",
            id="muster.W001",
        )
    ]


def files_are_private(app_configs: Sequence[Any] | None = None, **options: Any) -> list[Caution]:
    """Nobody else on this machine can get at what is kept here."""
    return [
        Caution(
            f"{place.path} is open to other users of this machine.",
            hint=f"Close it, as its owner or as root: {place.command}",
            id="muster.W002",
        )
        for place in private_files.still_open()[:_OPEN_PATHS_NAMED]
    ]


def require_static_files() -> None:
    """For the entry points of web servers, which run no checks. Raises ImproperlyConfigured."""
    for error in static_files_are_collected():
        raise ImproperlyConfigured(f"{error.msg} {error.hint}")
