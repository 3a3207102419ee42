"""The system checks of this project, for ``manage.py check --deploy`` and for each web server as it starts."""

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
    """An error if the manifest of collectstatic lacks a static file: pages would then fail."""
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
    """A warning if HTTPS is on and no server in front is named: everybody would then have that server's address."""
    if not settings.HTTPS or settings.TRUSTED_PROXIES:
        return []
    return [
        Caution(
            "HTTPS is on, and TRUSTED_PROXIES does not name the server in front that handles it. Everybody would have "
            "that server's address, so five wrong passwords for a name, from anywhere, would lock it for everybody.",
            hint="Set TRUSTED_PROXIES to the address that the server in front comes from, such as 127.0.0.1.",
            id="muster.W001",
        )
    ]


def files_are_private(app_configs: Sequence[Any] | None = None, **options: Any) -> list[Caution]:
    """A warning for each of the first 20 files and folders that other users of this machine can read or change."""
    return [
        Caution(
            f"{place.path} is open to other users of this machine.",
            hint=f"Close it, as its owner or as root: {place.command}",
            id="muster.W002",
        )
        for place in private_files.still_open()[:_OPEN_PATHS_NAMED]
    ]


def require_static_files() -> None:
    """Raises ImproperlyConfigured where a static file is missing. For the entry points of web servers, which run no
    checks."""
    for error in static_files_are_collected():
        raise ImproperlyConfigured(f"{error.msg} {error.hint}")
