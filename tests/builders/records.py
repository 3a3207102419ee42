"""Days and companies as the engine's records, and the files that the engine writes of them.

The only builder that uses the engine: for its own tests.
"""

import datetime as dt
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from core.register.declared import ATTENDANCE_RECORDS, COMPANIES, SCHEMA, SEALS
from recordsync.backupfile import InstallationName, Metadata, write_backup
from recordsync.backupfile.metadata import Application
from recordsync.history.headers import Header
from recordsync.model.records import Record, checksum
from recordsync.model.schema import Model, Schema, Shape
from recordsync.streams import Deletion
from recordsync.streams import lines as record_lines
from tests.builders.days import FRIDAY, blank_day, closed_month

NOW = dt.datetime(2026, 11, 22, 10, 30, 0, 250_000, tzinfo=dt.UTC)
MOMENT = "2026-11-20T18:40:00.000000Z"
FILE_ID = "0190f3a2-7c11-7e5d-8a44-4be7a1c0ffee"
HERE = "11111111-2222-4333-8444-555555555555"


def company(name: str, created_at: str | None = MOMENT) -> Record:
    return COMPANIES.shape().from_mapping({"name": name}, created_at)


def record(
    company: str, ep_no: str, date: str = FRIDAY, *, created_at: str | None = MOMENT, **fields: str | None
) -> Record:
    """A :func:`blank_day` as a record of the engine."""
    return ATTENDANCE_RECORDS.shape().from_mapping(blank_day(company, ep_no, date, **fields), created_at)


def seal(company: str, month: str = "2026-10-01", *, created_at: str | None = MOMENT, **fields: str | None) -> Record:
    """A :func:`closed_month` as a record of the engine."""
    return SEALS.shape().from_mapping(closed_month(company, month, **fields), created_at)


def deletion(model: Model, record: Record) -> Deletion:
    return Deletion(record.key, checksum(model.shape().content(record)))


def cut(record: Record, shape: Shape) -> Record:
    """A whole record seen through a shape."""
    return shape.project(record, shape.model.shape())


@dataclass
class Sections:
    """The content of a file, as lists by model."""

    by_model: Mapping[str, Sequence[Record]] = field(default_factory=dict)
    gone: Mapping[str, Sequence[Deletion]] = field(default_factory=dict)

    def records(self, model: Model) -> Iterable[Record]:
        return self.by_model.get(model.name, ())

    def lines(self, shape: Shape) -> Iterable[bytes]:
        return record_lines.lines_of(shape, self.records(shape.model))

    def deletions(self, model: Model) -> Iterable[Deletion]:
        return self.gone.get(model.name, ())


def sections(
    companies: Sequence[Record] = (),
    days: Sequence[Record] = (),
    gone_companies: Sequence[Deletion] = (),
    gone_days: Sequence[Deletion] = (),
    seals: Sequence[Record] = (),
    gone_seals: Sequence[Deletion] = (),
) -> Sections:
    return Sections(
        {"companies": companies, "attendance_records": days, "seals": seals},
        {"companies": gone_companies, "attendance_records": gone_days, "seals": gone_seals},
    )


def metadata(of: Sections | None = None, schema: Schema = SCHEMA, **changed: Any) -> Metadata:
    """The metadata of a full file of ``of``, with these values changed. It speaks about the models in ``fields``."""
    of = of or Sections()
    fields = {model.name: list(model.names) for model in sorted(schema, key=lambda model: model.name)}
    spoken_of = changed.get("fields", fields)
    values: dict[str, Any] = {
        "id": FILE_ID,
        "installation": InstallationName(HERE, "Site A office PC"),
        "parent": None,
        "backup_type": "full",
        "since_date": None,
        "selection": None,
        "deletions": "unknown" if changed.get("since_date") else "complete",
        "created_at": MOMENT,
        "created_by": "root",
        "fields": fields,
        "application": Application("Muster", "0.1.0"),
        "totals": {model.name: len(list(of.records(model))) for model in schema if model.name in spoken_of},
    }
    return Metadata(**(values | changed))


def written(
    of: Sections, schema: Schema = SCHEMA, bases: Iterable[tuple[Header, Sections]] = (), **changed: Any
) -> bytes:
    """A file of this content."""
    out = io.BytesIO()
    write_backup(out, schema, metadata(of, schema, **changed), of, bases=bases)
    return out.getvalue()


def sections_of(days: Sequence[Record], *more: str) -> Sections:
    """Days and their companies, and more companies."""
    names = sorted({*(record.key[0] for record in days), *more})
    return sections([company(name) for name in names], days)
