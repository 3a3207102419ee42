"""What the golden files hold. Never changed: a new section or field gets golden files of its own, and those from before
stay: they lack it."""

from pathlib import Path
from typing import Any, Final

import msgspec

from core.register.declared import ATTENDANCE_RECORDS, COMPANIES, SEALS
from recordsync.history.headers import Header, Merge, Ordinary
from tests.builders.ancestry import header, merge, says, snapshot_id
from tests.builders.files import sha256
from tests.builders.records import Sections, company, deletion, record, seal, sections

FOLDER: Final = Path(__file__).parent / "golden"

NASTY: Final = "\x01\t\n\x1f\x7f\"\\/</script> '; DROP TABLE core_company; --"

BEFORE_SEALS: Final = {model.name: list(model.names) for model in (ATTENDANCE_RECORDS, COMPANIES)}
"""The fields of files that were written before there were seals."""

FULL: Final[Sections] = sections(
    [
        company(" "),
        company("ABC Corp", "2026-01-15T08:00:00.000000Z"),
        company("Zoë & Söhne GmbH"),
        company("e\u0301"),
        company("é"),
        company("שלום\u2028\u2029"),
        company("भारत उद्योग", "2025-12-31T23:59:59.999999Z"),
        company("\ufeff\uffee"),
        company("😀" * 255),
    ],
    [
        record("ABC Corp", "E10", in_time="09:00:00", out_time="18:07:30", created_at="2026-11-20T03:30:00.000001Z"),
        record("ABC Corp", "E9", status="WO", overstay="123:45", overtime="9999:59", overtime_to_mandays="08:00"),
        record("ABC Corp", "E10", "2026-11-21", status="-0.5", ep_name="Anna", shift="G", overtime="00:00"),
        record("Zoë & Söhne GmbH", "1", "0001-01-01", status="-1", ep_name=NASTY, shift=NASTY[:50]),
        record(
            "é",
            "💥\u202e",
            "9999-12-31",
            status="PD",
            ep_name="null",
            shift="N",
            in_time="22:00:00",
            out_time="06:00:00",
            in_time_2="00:00:00",
            out_time_2="23:59:59",
            in_time_3="12:00:00",
            out_time_3="12:00:00",
        ),
        record("भारत उद्योग", "क-1", status="L", ep_name="नाम", overstay="00:01"),
    ],
)
FULL_METADATA: Final[dict[str, Any]] = {"created_by": 'root "<admin>" \u2028', "fields": BEFORE_SEALS}

DELETIONS: Final[Sections] = sections(
    [company("ABC Corp"), company("New")],
    [record("ABC Corp", "E10", ep_name="Anne", status="A"), record("New", "1")],
    [deletion(COMPANIES, company("Gone & Co")), deletion(COMPANIES, company("é"))],
    [
        deletion(ATTENDANCE_RECORDS, record("ABC Corp", "E9", status="WO")),
        deletion(ATTENDANCE_RECORDS, record("é", NASTY[:50], "2026-02-28")),
    ],
)
_PARENT: Final = sha256("the parent")
_SIDES: Final = sorted([sha256("another side"), _PARENT])
_SAID: Final = says(2, renames=[{"model": "companies", "before": "ABC", "after": "ABC Corp"}])
_RENAMED: Final = snapshot_id(_SAID, [_PARENT])
_MERGED: Final = snapshot_id(merge(), _SIDES)
DELETIONS_METADATA: Final[dict[str, Any]] = {
    "id": "0190f3a2-7c11-7e5d-8a44-4be7a1c0f00d",
    "fields": BEFORE_SEALS,
    "backup_type": "incremental",
    "parent": _PARENT,
    "snapshot": msgspec.convert(header(says(3, message="é"), _RENAMED, _MERGED), Header),
    "ancestors": [(msgspec.convert(_SAID, Ordinary), [_PARENT]), (msgspec.convert(merge(), Merge), _SIDES)],
}

WITH_SEALS: Final = {**BEFORE_SEALS, SEALS.name: list(SEALS.names)}
_REOPENED: Final = {"reopened_at": "2026-11-20T18:39:59.999999Z", "reopened_by": NASTY}

FULL_SEALS: Final[Sections] = sections(
    [company("ABC Corp"), company("Zoë & Söhne GmbH")],
    [record("ABC Corp", "E10", in_time="09:00:00", out_time="18:07:30")],
    seals=[
        seal("ABC Corp", "2026-10-01", closed_at="2026-11-02T08:00:00.000000Z", **_REOPENED),
        seal("ABC Corp", "2026-10-01", closed_by="शिव", closed_as="ABC", digest=sha256("the month")),
        seal("Zoë & Söhne GmbH", "0001-01-01", created_at="2026-11-20T03:30:00.000001Z"),
    ],
)
DELETED_SEALS: Final[Sections] = sections(
    [company("New")],
    [record("New", "1")],
    [deletion(COMPANIES, company("é"))],
    [deletion(ATTENDANCE_RECORDS, record("é", "1"))],
    [seal("New", **_REOPENED)],
    [deletion(SEALS, seal("é")), deletion(SEALS, seal("é", closed_at="9999-12-30T00:00:00.000000Z"))],
)

GOLDEN: Final[dict[str, tuple[Sections, dict[str, Any]]]] = {
    "backup-2.0.json": (FULL, FULL_METADATA),
    "backup-2.0-deletions.json": (DELETIONS, DELETIONS_METADATA),
    "backup-2.0-bases.json": (DELETIONS, DELETIONS_METADATA),
    "backup-2.0-seals.json": (FULL_SEALS, {"fields": WITH_SEALS}),
    "backup-2.0-seals-bases.json": (DELETED_SEALS, {**DELETIONS_METADATA, "fields": WITH_SEALS}),
}

_EARLIER: Final = says(1, message="before")
BASES: Final[dict[str, list[tuple[Header, Sections]]]] = {
    "backup-2.0-bases.json": [
        (
            msgspec.convert(header(_SAID, _PARENT), Header),
            sections(
                [company("é")],
                [record("é", "1", ep_name="Anna")],
                [deletion(COMPANIES, company("New"))],
                [deletion(ATTENDANCE_RECORDS, record("New", "1"))],
            ),
        ),
        (msgspec.convert(header(_EARLIER), Header), sections([], [])),
    ],
    "backup-2.0-seals-bases.json": [
        (
            msgspec.convert(header(_SAID, _PARENT), Header),
            sections(seals=[seal("New")], gone_seals=[deletion(SEALS, seal("ABC Corp"))]),
        )
    ],
}
