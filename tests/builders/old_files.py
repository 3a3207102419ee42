"""1.0 files as older installations wrote them, made with Python's own json and no code of Muster."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterable
from typing import Any

from tests.builders.days import TIMES, Content

STAMPS = (
    "2026-01-15T08:00:00", "2026-01-15T08:00:00.250000", "2026-01-15T08:00:00Z", "2026-01-15T13:30:00+05:30",
    "2026-01-15 08:00:00+00:00",
)  # fmt: skip
"""Spellings of a moment. A moment without a zone is in UTC."""

SPELLINGS = ("", "-", None)
"""Spellings of a blank overstay."""


def parsed_moment(text: str) -> dt.datetime:
    moment = dt.datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def signed(content: dict[str, Any]) -> dict[str, Any]:
    """A record with its checksum."""
    return {**content, "checksum": hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()}


def old_record(content: Content, created_at: str = STAMPS[0]) -> dict[str, Any]:
    """A 2.0 record's content as a 1.0 record: times to the minute, a blank overstay."""
    old: dict[str, Any] = dict(content)
    for name in TIMES:
        old[name] = old[name] and old[name][:5]
    old["overstay"] = old["overstay"] or ""
    return {**signed(old), "created_at": created_at, "updated_at": STAMPS[0]}


def old_document(records: Iterable[dict[str, Any]], companies: Iterable[str] = (), **metadata: Any) -> dict[str, Any]:
    rows, names = list(records), list(companies)
    said = {"version": "1.0", "created_at": "2026-11-20T18:40:00", "backup_type": "full", "total_companies": len(names),
            "total_attendance_records": len(rows)}  # fmt: skip
    return {
        "metadata": said | metadata,
        "companies": [{"id": 7 + at, **signed({"name": name})} for at, name in enumerate(names)],
        "attendance_records": rows,
    }


def old_file(records: Iterable[dict[str, Any]], companies: Iterable[str] = (), **metadata: Any) -> bytes:
    return json.dumps(old_document(records, companies, **metadata), indent=2).encode()
