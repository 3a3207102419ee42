"""Parts of addresses: a month, and an employee number."""

from __future__ import annotations

import datetime as dt


class MonthConverter:
    """A month as ``2026-11``, which views get as its first day."""

    regex = r"[0-9]{4}-(?:0[1-9]|1[0-2])"

    def to_python(self, value: str) -> dt.date:
        """The first day of the month. Raises ValueError for the year 0, which is no address then."""
        return dt.date.fromisoformat(f"{value}-01")

    def to_url(self, value: dt.date) -> str:
        """The part of the address."""
        return value.isoformat()[:7]


class NumberConverter:
    """An employee number, which may have slashes.

    Browsers take ``.`` and ``..`` between two slashes for steps in a path, even if they are escaped, and servers in
    between may make one slash of two. So a tilde goes there, and before what begins with one.
    """

    regex = r"(?s:.+)"

    def to_python(self, value: str) -> str:
        """The number."""
        return "/".join(part.removeprefix("~") for part in value.split("/"))

    def to_url(self, value: str) -> str:
        """The part of the address, not yet quoted."""
        return "/".join(f"~{part}" if part in ("", ".", "..") or part[:1] == "~" else part for part in value.split("/"))
