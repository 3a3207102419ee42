"""Who may open a page."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Concatenate, ParamSpec

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from core.web import typed

logger = logging.getLogger(__name__)

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponseBase]


def role_required(roles: Iterable[str], *, keeps_typed: bool = False) -> Callable[[View[P]], View[P]]:
    """A decorator that admits accounts with one of these roles (values of :class:`core.models.Role`) to a view.

    A person who is not signed in is sent to the sign-in page; any other account gets 403. Both are logged.
    ``keeps_typed``: the view only shows its form again if :func:`core.web.typed.is_only_shown` says so. Then what
    somebody typed is not lost when their session has ended.
    """
    allowed = frozenset(roles)

    def decorate(view: View[P]) -> View[P]:
        @wraps(view)
        def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            user = request.user
            if not user.is_authenticated:
                logger.warning("Somebody who is not signed in was refused: %s %s", request.method, request.path)
                sign_in = redirect_to_login(request.get_full_path())
                if request.headers.get("HX-Request"):  # the whole page goes there, not only the part that htmx asks for
                    return HttpResponse(status=204, headers={"HX-Redirect": sign_in.url})
                if keeps_typed and (kept := typed.of(request)):
                    return typed.to_sign_in(request, request.get_full_path(), kept)
                return sign_in
            if user.role not in allowed:
                logger.warning(
                    "%s (%s) was refused: %s %s", user.get_username(), user.role, request.method, request.path
                )
                raise PermissionDenied
            return view(request, *args, **kwargs)

        vars(guarded)["keeps_typed"] = keeps_typed  # which finds the view by its path
        return guarded

    return decorate
