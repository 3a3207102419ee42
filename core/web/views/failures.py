"""Answers to requests that fail: the status for a form that shows the failure itself, and a page for all others."""

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
from recordsync.errors import HistoryUnusable

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
"""Errors of the server's own files. Any other OSError is of a connection whose other end has closed."""

RETRY_AFTER: Final = 10
"""Seconds after which a program may ask again when the register was busy."""


def because_of(error: Exception | None, response: HttpResponse) -> HttpResponse:
    """``response`` with the status that fits the error; unchanged if ``error`` is None.

    The status is 503 if somebody else holds the register, 507 if the disk is full.
    """
    if isinstance(error, RegisterBusy):
        response.status_code = 503
        response["Retry-After"] = str(RETRY_AFTER)
    elif isinstance(error, DiskFull):
        response.status_code = 507
    return response


def page(request: HttpRequest, error: BaseException | None) -> HttpResponse | None:
    """A page that says what was not done and why; None for an error that only the log can explain.

    It uses neither the database nor the session nor the account: these may be what failed.
    """
    failure = _failure(request, error)
    if failure is None:
        return None
    logger.warning("%s %s: %s", request.method, request.path, failure, exc_info=not isinstance(error, OperationFailed))
    context = {"text": str(failure), "is_form": request.method == "POST"}
    return because_of(failure, _rendered(context, status=409 if isinstance(error, OperationFailed) else 503))


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's answer to an exception that no view caught. The log has the exception."""
    return page(request, sys.exc_info()[1]) or _rendered({}, status=500)


def _failure(request: HttpRequest, error: BaseException | None) -> OperationFailed | None:
    """The error as a failure in words, if a person can do something about it; otherwise None."""
    if isinstance(error, OperationFailed):
        return error
    then = _("Check whether it was done before you try again.") if request.method == "POST" else ""
    if isinstance(error, HistoryUnusable):
        return OperationFailed(_("The history database does not answer as it should. The log says why."), then=then)
    if isinstance(error, Error | sqlite3.Error | OSError) and (is_full(error) or is_locked(error)):
        return by_hand.failure(error, DEFAULT, then)
    if isinstance(error, OSError) and error.errno in _OF_FILES:
        why = explain(OSError(error.errno, ""))
        return OperationFailed(sentences(why, _("The log says which file or folder of this server it is.")), then=then)
    if isinstance(error, OperationalError | InterfaceError | sqlite3.OperationalError) and not is_of_a_query(error):
        # The reason may name users and machines, so only the log has it.
        return OperationFailed(_("The database does not answer as it should. The log says why."), then=then)
    return None


def _rendered(context: dict[str, object], status: int) -> HttpResponse:
    return HttpResponse(get_template("500.html").render(context), status=status)
