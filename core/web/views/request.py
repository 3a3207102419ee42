"""The person who sends a request."""

from __future__ import annotations

from django.http import HttpRequest

from core.models import User


def signed_in(request: HttpRequest) -> User:
    """The account that sends a request. The request has passed :func:`core.web.decorators.role_required`."""
    assert isinstance(request.user, User)
    return request.user
