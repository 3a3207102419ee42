"""Answers to what could not be done: the status of a form that says so itself, and a page where no form does."""

from __future__ import annotations

import errno
import logging
import sqlite3
import sys
from typing import Final

from django.db import Error, InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.template.loader import get_template
from django.utils.translation import gettext as _

from core.operations import by_hand
from core.operations.errors import (
    DiskFull,
    OperationFailed,
    RegisterBusy,
    explain,
    is_full,
    is_locked,
    is_of_a_query,
    sentences,
)
from core.register.database import DEFAULT

logger = logging.getLogger(__name__)

_OF_FILES: Final = {
    errno.EACCES,
    errno.EBUSY,
    errno.EIO,
    errno.EISDIR,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EPERM,
    errno.EROFS,
}
"""Errors of the server's own files; others are of connections, whose other end is gone."""

RETRY_AFTER: Final = 10
"""Seconds after which a machine may ask again for what the register had no time for."""


def because_of(error: Exception | None, response: HttpResponse) -> HttpResponse:
    """The answer with the status that says why something was not done: 503 while somebody else holds the register, 507
    where the disk is full. ``error`` None: nothing went wrong."""
    if isinstance(error, RegisterBusy):
        response.status_code = 503
        response["Retry-After"] = str(RETRY_AFTER)
    elif isinstance(error, DiskFull):
        response.status_code = 507
    return response


def page(request: HttpRequest, error: BaseException | None) -> HttpResponse | None:
    """A page that says what could not be done and why; None where only the log can say it.

    Made without the database, the session and the account: it may be these that failed.
    """
    failure = _failure(request, error)
    if failure is None:
        return None
    logger.warning("%s %s: %s", request.method, request.path, failure, exc_info=not isinstance(error, OperationFailed))
    context = {"text": str(failure), "is_form": request.method == "POST"}
    return because_of(failure, _rendered(context, status=409 if isinstance(error, OperationFailed) else 503))


def server_error(request: HttpRequest) -> HttpResponse:
    """What Django answers after an exception; the log has it."""
    return page(request, sys.exc_info()[1]) or _rendered({}, status=500)


def _failure(request: HttpRequest, error: BaseException | None) -> OperationFailed | None:
    """The error as a failure for people, if it is one that they can do something about."""
    if isinstance(error, OperationFailed):
        return error
    then = _("Look whether what you asked for was done before you ask again.") if request.method == "POST" else ""
    if isinstance(error, Error | sqlite3.Error | OSError) and (is_full(error) or is_locked(error)):
        return by_hand.failure(error, DEFAULT, then)
    if isinstance(error, OSError) and error.errno in _OF_FILES:
        why = explain(OSError(error.errno, ""))
        return OperationFailed(
            sentences(why, _("It is a file or folder of this server; the log says which.")), then=then
        )
    if isinstance(error, OperationalError | InterfaceError | sqlite3.OperationalError) and not is_of_a_query(error):
        # Why may name users and machines: that is for the log.
        return OperationFailed(_("The database does not answer as it should; the log says why."), then=then)
    return None


def _rendered(context: dict[str, object], status: int) -> HttpResponse:
    return HttpResponse(get_template("500.html").render(context), status=status)
