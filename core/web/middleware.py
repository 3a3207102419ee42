"""The middleware around every page."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from core.operations import waiting
from core.web.views import failures


class PageMiddleware:
    """Keeps waits for the register short, because a person waits for the page, and answers failures with a page."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        with waiting.at_a_page():
            return self._get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponseBase | None:
        return failures.page(request, error)
