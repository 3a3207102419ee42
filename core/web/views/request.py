"""What a request says of itself: who asks."""

from __future__ import annotations

from django.http import HttpRequest

from core.models import User


def signed_in(request: HttpRequest) -> User:
    """The account of a request that got past :func:`core.web.decorators.role_required`."""
    assert isinstance(request.user, User)
    return request.user
