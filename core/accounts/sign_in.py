"""How often somebody may try a password. Attempts are counted by address, and by browser where it signed in before.

django-axes asks :class:`SignInHandler` before a password is compared and shows the page of a refusal. An attempt is
counted before its password is compared, by one statement of its own, and a right password releases it: however many
requests arrive at once, no more passwords are compared than the limit allows.

Every attempt is counted twice, by name and address and by name alone, so that guesses from a thousand addresses have a
limit, too. That limit would let strangers shut anybody out, so attempts from a browser in which the name signed in
before are counted for that browser alone. People who share a browser have a cookie each.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import logging
import secrets
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Final, NamedTuple

from axes.handlers.database import AxesDatabaseHandler
from axes.models import AccessAttempt
from axes.signals import user_locked_out
from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.db.models import Case, F, Q, When
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

logger = logging.getLogger(__name__)

LIMIT_OF_A_NAME: Final = 50
"""Wrong passwords that are allowed for one name from all addresses together. ``AXES_FAILURE_LIMIT`` is for each."""

_NAME_KEPT: Final = 255
"""Characters of a name that the column of attempts holds."""

_ANYWHERE: Final = "0.0.0.0"  # noqa: S104 # no server is bound to it: it is nobody's address
_THIS_MACHINE: Final = "127.0.0.1"
_COOKIE: Final = "muster_browser_"
_COOKIE_AGE: Final = dt.timedelta(days=90)
_COOKIE_PATH: Final = "/accounts/"
_PEOPLE_OF_A_BROWSER: Final = 20
"""How many people a browser is remembered for, those who signed in last. Servers refuse requests with long cookies."""

_CLOCKS_DIFFER: Final = dt.timedelta(minutes=5)
"""How far apart the clocks of machines that share a database may be. An attempt that is further in the future was
counted while a clock was ahead, and does not count."""

Address = IPv4Address | IPv6Address


def client_address(request: HttpRequest) -> str | None:
    """The address that attempts of this request are counted by; None where no server tells it.

    X-Forwarded-For is read from its end, as long as the part before it was written by a server in TRUSTED_PROXIES:
    anybody may have written what stands further to the left. An IPv6 address is counted by its network (/64), because
    one connection has all its addresses.
    """
    # A request over a Unix socket has no address, and comes from this machine.
    address = _address(request.META.get("REMOTE_ADDR") or _THIS_MACHINE)
    for text in reversed(request.headers.get("X-Forwarded-For", "").split(",")):
        if address is None or not any(address in network for network in settings.TRUSTED_PROXIES):
            break
        forwarded = _address(text)
        if forwarded is None:
            break
        address = forwarded
    if isinstance(address, IPv6Address):
        address = IPv6Address(int(address) >> 64 << 64)
    return None if address is None else str(address)


def _address(text: str) -> Address | None:
    """The address in a text as servers write it: also with a port, in brackets, with a zone, or IPv4 inside IPv6; None
    where it holds none."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address


class _Counter(NamedTuple):
    """One row of attempts, and its limit. ``who`` is kept in the column of the user agent, which anybody can forge and
    nothing else needs."""

    username: str
    ip_address: str
    who: str
    limit: int

    @property
    def rows(self) -> Any:
        return AccessAttempt.objects.filter(
            username=self.username, ip_address=self.ip_address, user_agent=self.who
        ).order_by()

    def take(self, now: dt.datetime) -> bool:
        """Whether one more attempt is within the limit; if so, it is counted. Each of the two statements is a
        transaction that begins with a write, so neither can fail because somebody else has written meanwhile."""
        over = ~_counts(now)
        AccessAttempt.objects.bulk_create(
            [
                AccessAttempt(
                    username=self.username, ip_address=self.ip_address, user_agent=self.who, failures_since_start=0
                )
            ],
            ignore_conflicts=True,
        )
        counted = Case(When(over, then=1), default=F("failures_since_start") + 1)
        free = self.rows.filter(over | Q(failures_since_start__lt=self.limit))
        return bool(free.update(failures_since_start=counted, attempt_time=now))

    def is_used_up(self, now: dt.datetime) -> bool:
        return bool(self.rows.filter(_counts(now), failures_since_start__gte=self.limit).exists())


def _counts(now: dt.datetime) -> Q:
    """The rows whose attempts still count."""
    return Q(attempt_time__gt=now - settings.AXES_COOLOFF_TIME, attempt_time__lte=now + _CLOCKS_DIFFER)


def _counters(request: HttpRequest, username: str) -> list[_Counter]:
    """The counters of an attempt. Each of them must have an attempt left."""
    limit: int = settings.AXES_FAILURE_LIMIT
    browser = request.get_signed_cookie(cookie_of(username), default="", salt=username, max_age=_COOKIE_AGE)
    if browser:
        return [_Counter(username, _ANYWHERE, f"browser {browser}", limit)]
    address = client_address(request) or _ANYWHERE
    return [
        _Counter(username, address, "an address", limit),
        _Counter(username, _ANYWHERE, "all addresses", LIMIT_OF_A_NAME),
    ]


class SignInHandler(AxesDatabaseHandler):
    """Counts an attempt before its password is compared, where axes counts it afterwards."""

    def is_allowed(self, request: HttpRequest, credentials: dict[str, Any] | None = None) -> bool:
        now = timezone.now()
        return all(counter.take(now) for counter in _counters(request, _name(credentials)))

    def user_login_failed(self, sender: Any, credentials: dict[str, Any], request: Any = None, **kwargs: Any) -> None:
        """Show the page of a refusal where the password was not compared, and for the last wrong one."""
        name, now = _name(credentials), timezone.now()
        if not request.axes_locked_out and not any(counter.is_used_up(now) for counter in _counters(request, name)):
            return
        logger.warning("Sign-in from %s is refused: too many wrong passwords for one name", request.axes_ip_address)
        request.axes_locked_out = True
        request.axes_credentials = credentials
        user_locked_out.send("axes", request=request, username=name, ip_address=request.axes_ip_address)

    def user_logged_in(self, sender: Any, request: HttpRequest, user: AbstractBaseUser, **kwargs: Any) -> None:
        release(request, user)

    def user_logged_out(self, *args: Any, **kwargs: Any) -> None:
        """Count nothing."""


def _name(credentials: dict[str, Any] | None) -> str:
    """The name that somebody tried, cut to the length of the column. No account has a longer one."""
    return str((credentials or {}).get("username") or "")[:_NAME_KEPT]


def release(request: HttpRequest, user: AbstractBaseUser) -> None:
    """Give back the attempts after a right password: all of the browser or address, and this one of the name."""
    own, *others = _counters(request, user.get_username())
    own.rows.update(failures_since_start=0)
    for counter in others:
        counter.rows.filter(failures_since_start__gt=0).update(failures_since_start=F("failures_since_start") - 1)


def cookie_of(username: str) -> str:
    """The name of the cookie that marks a browser in which this account signed in."""
    return _COOKIE + hashlib.sha256(username.encode()).hexdigest()[:16]


def remember_browser(request: HttpRequest, response: HttpResponse, user: AbstractBaseUser) -> None:
    """Set the cookie by which this browser's attempts at the name are counted apart. The cookie lets nobody in."""
    own = cookie_of(user.get_username())
    others = [name for name in request.COOKIES if name.startswith(_COOKIE) and name != own]
    for oldest in others[: 1 - _PEOPLE_OF_A_BROWSER]:  # a browser sends the oldest first
        response.delete_cookie(oldest, path=_COOKIE_PATH)
    response.set_signed_cookie(
        own,
        secrets.token_urlsafe(16),
        salt=user.get_username(),
        max_age=_COOKIE_AGE,
        path=_COOKIE_PATH,
        secure=settings.HTTPS,
        httponly=True,
        samesite="Lax",
    )


def forget_attempts(before: dt.datetime) -> None:
    """Delete the rows of attempts whose last attempt was before this moment."""
    AccessAttempt.objects.filter(attempt_time__lt=before).delete()
