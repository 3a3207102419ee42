"""What a request says of itself: who asks, and how much it sends."""

from __future__ import annotations

from typing import Final

from django.http import HttpRequest

from core.models import User

_FORM_OVERHEAD: Final = 64 * 1024


def signed_in(request: HttpRequest) -> User:
    """The account of a request that got past :func:`core.decorators.role_required`."""
    assert isinstance(request.user, User)
    return request.user


def sends_more_than(limit: int, request: HttpRequest) -> bool:
    """Whether a form with a file says that it is larger than so many bytes: known before anything of it is read."""
    return int(request.META.get("CONTENT_LENGTH") or 0) > limit + _FORM_OVERHEAD
