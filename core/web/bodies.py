"""How much a request may send. This is checked, and who sends it, before any of a large body is read.

Every page takes a small body. A large one is put aside when the request comes in, so that no middleware and no error
page can read it. A page that takes files (:func:`takes_files`) checks who sends it and how large it is, and then gets
the body. All other pages refuse the request.
"""

from __future__ import annotations

import codecs
import io
import logging
import threading
from collections.abc import Callable, Iterable
from functools import wraps
from http import HTTPStatus
from typing import Any, Final

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.http.request import UnreadablePostError
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt, csrf_protect

from core.web.decorators import View, role_required

logger = logging.getLogger(__name__)

AT_ONCE: Final = 2
"""Large bodies that one process reads at a time. Half of its threads (gunicorn.conf.py) stay free for others."""

_FORM_OVERHEAD: Final = 64 * 1024
_reading = threading.BoundedSemaphore(AT_ONCE)


class PutAside:
    """The body of a request that nobody has been allowed to read yet."""

    def __init__(self, request: HttpRequest, length: int) -> None:
        self.length = length
        self._text = request.META.get("CONTENT_LENGTH", "")
        # Django's request classes read the body from this attribute; there is no public name for it.
        self._stream = request._stream
        self._replace(request, "0", io.BytesIO())

    def give_back(self, request: HttpRequest) -> None:
        self._replace(request, self._text, self._stream)

    @staticmethod
    def _replace(request: HttpRequest, length: str, stream: Any) -> None:
        request.META["CONTENT_LENGTH"] = length
        request._stream = stream


class BodyLimitMiddleware:
    """Puts large bodies aside, and refuses them for all pages but those that take files.

    It must be the first middleware: an error page reads the form that was sent, whatever the error is about.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        length = _length(request)
        if length > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            vars(request)["put_aside"] = PutAside(request, length)
        return self._get_response(request)

    def process_view(self, request: HttpRequest, view: View[...], args: Any, kwargs: Any) -> HttpResponse | None:
        if request.headers.get("Transfer-Encoding"):  # it would be read as if it were empty
            return _refused(
                request, HTTPStatus.LENGTH_REQUIRED, _("The request does not say how large it is. Nothing was changed.")
            )
        if request.encoding and codecs.lookup(request.encoding).name != "utf-8":  # Django has checked that it exists
            return _refused(
                request, HTTPStatus.UNSUPPORTED_MEDIA_TYPE, _("The form is not in UTF-8. Nothing was changed.")
            )
        if _put_aside(request) is None or getattr(view, "takes_files", False):
            return None
        return _more_than(request, settings.DATA_UPLOAD_MAX_MEMORY_SIZE)


def takes_files(
    roles: Iterable[str], limit: str, too_large: Callable[[HttpRequest], HttpResponse]
) -> Callable[[View[...]], View[...]]:
    """A decorator for a page that takes files from accounts with one of the roles.

    ``limit``: the setting that says how many bytes a file may have. Other people are refused as by
    :func:`core.web.decorators.role_required`, and a larger file with the page ``too_large``; none of it is read. A
    person who is not signed in and sends a large file gets a page that says so, not a redirect: a browser whose upload
    breaks off shows an error page but follows no redirect. The CSRF token is in the body, so it is checked here too.
    """

    def decorate(view: View[...]) -> View[...]:
        with_token = csrf_protect(view)

        @role_required(roles)
        def permitted(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            body = _put_aside(request)
            if (body.length if body else _length(request)) > getattr(settings, limit) + _FORM_OVERHEAD:
                return too_large(request)
            refusal = _read(request, body) if body else None
            return refusal or with_token(request, *args, **kwargs)

        @csrf_exempt
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if _put_aside(request) and not request.user.is_authenticated:
                reason = _("You are not signed in any more. Nothing was changed. Sign in, then send the file again.")
                return _refused(request, HTTPStatus.FORBIDDEN, reason)
            return permitted(request, *args, **kwargs)

        vars(guarded)["takes_files"] = True
        return guarded

    return decorate


def _put_aside(request: HttpRequest) -> PutAside | None:
    return getattr(request, "put_aside", None)


def _length(request: HttpRequest) -> int:
    """The size of the body in bytes; 0 if the header is no number, as for Django."""
    text = request.META.get("CONTENT_LENGTH") or ""
    return int(text.lstrip("0")[:18] or 0) if text.isascii() and text.isdigit() else 0


def _read(request: HttpRequest, body: PutAside) -> HttpResponse | None:
    """Read a large body. Returns the refusal if it is not read, or not to its end; otherwise None."""
    if not _reading.acquire(blocking=False):
        reason = _("The server is receiving other large files. Nothing was changed. Try again in a minute.")
        response = _refused(request, HTTPStatus.SERVICE_UNAVAILABLE, reason)
        response["Retry-After"] = "60"
        return response
    try:
        body.give_back(request)
        request.POST  # noqa: B018 # this reads it
    except Exception as error:
        for handler in request.upload_handlers:
            handler.upload_interrupted()  # it removes what was written of a file
        if isinstance(error, RequestDataTooBig):
            return _more_than(request, settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
        if not isinstance(error, UnreadablePostError):
            raise
        reason = _("The file did not arrive, because the connection was lost or too slow. Nothing was changed.")
        return _refused(request, HTTPStatus.REQUEST_TIMEOUT, reason)
    finally:
        _reading.release()
    return None


def _more_than(request: HttpRequest, limit: int) -> HttpResponse:
    reason = _("The form is larger than this page accepts (%(limit)s bytes). Nothing was changed.")
    return _refused(request, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, reason % {"limit": f"{limit:,}"})


def _refused(request: HttpRequest, status: int, reason: str) -> HttpResponse:
    logger.warning("%s %s was refused: %s", request.method, request.path, reason)
    return render(request, "not_taken.html", {"reason": reason}, status=status)
