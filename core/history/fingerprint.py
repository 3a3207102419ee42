"""Fingerprints, by which two people can tell whether their registers hold the same."""

from __future__ import annotations

import calendar
import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.db import Error
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from core.models import Phase
from core.operations.errors import as_failure
from core.operations.known import require_companies
from core.operations.results import summary_of
from core.register.database import DEFAULT, Register
from core.register.declared import ATTENDANCE_RECORDS, COMPANIES, SEALS, Selection, filters
from recordsync.errors import RecordSyncError
from recordsync.history.blocks import batches, block_of
from recordsync.history.trees import nodes, tree_of
from recordsync.model.fields import TIMESTAMP
from recordsync.model.records import Record
from recordsync.model.slices import FIRST_DAYS
from recordsync.stores import Store
from recordsync.streams.lines import Lines
from recordsync.system.progress import Progress, no_progress

OPERATION: Final = "fingerprint"
"""What making one is called in a summary."""
_UNDONE: Final = _("No fingerprint was made.")


@dataclass(frozen=True)
class Part:
    """The records of a company, which may have none, or (with a ``month``, YYYY-MM) of its month."""

    company: str
    month: str | None
    digest: str
    records: int


@dataclass(frozen=True)
class Fingerprint:
    """What the register holds at one moment, by its digest.

    ``digest``: of everything; None if one company or one month was asked for. ``parts``: each company (if all of its
    months were read), and then each of its months that has records. ``closings``: the digest of all closings of months,
    and how many there are; None: there is none, or not everything was asked for.
    """

    digest: str | None
    companies: int
    records: int
    taken_at: dt.datetime
    parts: Sequence[Part]
    closings: tuple[str, int] | None = None

    def summary(self) -> dict[str, Any]:
        """For JSON: the keys that every command's summary has, and the digests."""
        return summary_of(
            OPERATION,
            companies=self.companies,
            records=self.records,
            taken_at=TIMESTAMP.to_text(self.taken_at),
            digest=self.digest,
            closings=None if self.closings is None else {"digest": self.closings[0], "count": self.closings[1]},
            parts=[
                {"company": part.company, "month": part.month, "digest": part.digest, "records": part.records}
                for part in self.parts
            ],
        )


def take_fingerprint(
    company: str | None = None,
    month: str | None = None,
    *,
    with_parts: bool = True,
    register: Register = DEFAULT,
    progress: Progress = no_progress,
) -> Fingerprint:
    """The fingerprint of the register as it is now, or only of this company, or of this month (YYYY-MM).

    Reads every record that it is of, at one moment, and writes nothing. ``with_parts``: whether it has its parts, which
    take memory where companies are many. Raises OperationFailed: for a company that is not in the register, for a
    record that no file could hold, and if the database fails.
    """
    selection = None
    if company is not None or month is not None:
        selection = Selection(None if company is None else [company], *(_days(month) if month else (None, None)))
    where = filters(selection)
    digest, records = "", 0
    parts: list[Part] = []
    months: list[Part] = []
    closings: tuple[str, int] | None = None
    try:
        with register.read() as store:
            taken_at = timezone.now()
            if company is not None:
                require_companies([company], register, undone=_UNDONE)
            companies = store.count(COMPANIES, where[COMPANIES.name])
            total = store.count(ATTENDANCE_RECORDS, where[ATTENDANCE_RECORDS.name])
            progress(Phase.READ, 0, total)
            for node in tree_of(store, where):
                match node.path:
                    case (ATTENDANCE_RECORDS.name, name, of_month):
                        months.append(Part(name, of_month, node.digest, node.count))
                        records += node.count
                        progress(Phase.READ, records, total)
                    case (ATTENDANCE_RECORDS.name, name):
                        if with_parts:
                            whole = [] if month else [Part(name, None, node.digest, node.count)]
                            parts += [*whole, *months]
                        months = []
                    case (SEALS.name,) if node.count:
                        closings = node.digest, node.count
                digest = node.digest
            if with_parts and month is None:
                parts = _with_all_companies(parts, store.records(COMPANIES, where[COMPANIES.name]))
    except (Error, RecordSyncError) as error:
        raise as_failure(error, _UNDONE) from error
    if selection is not None:
        return Fingerprint(None, companies, records, taken_at, parts)
    return Fingerprint(digest, companies, records, taken_at, parts, closings)


def month_digest(store: Store, company: str, month: dt.date, known_as: str | None = None) -> str:
    """The digest of a company's month as a store shows it, by its first day, as if the company were named ``known_as``
    (None: by its own name). Reads its records. Raises what :meth:`Store.lines` raises."""
    partition = (company, month.isoformat()[:7])
    path = (ATTENDANCE_RECORDS.name, *partition)
    lines = ((day, store.partition(ATTENDANCE_RECORDS, (*partition, day))) for day in FIRST_DAYS)
    blocks = (((*path, day), block_of(renamed_lines(of, company, known_as or company))) for day, of in lines)
    *_below, node = nodes(((place, block) for place, block in blocks if block.count), path)
    return node.digest


def renamed_lines(lines: Iterable[bytes], company: str, known_as: str) -> Iterable[bytes]:
    """Lines of a company's records, which are known to be right, as if the company were named ``known_as``."""
    return lines if company == known_as else _renamed(lines, known_as)


def _renamed(lines: Iterable[bytes], known_as: str) -> Iterator[bytes]:
    shape = ATTENDANCE_RECORDS.shape()
    of_shape = Lines(shape)
    for batch in batches(lines):
        for record in of_shape.records(batch):
            content = shape.content(record) | {"company_name": known_as}
            yield of_shape.line(shape.from_mapping(content).values, record.created_at)


def _with_all_companies(parts: Sequence[Part], companies: Iterable[Record]) -> list[Part]:
    """The parts in order, and among them the companies without records, which are in no tree. They have the digest of a
    node that has no children."""
    known = {part.company for part in parts}
    (empty,) = nodes(())
    names = (record.key[0] for record in companies)
    lacking = [Part(name, None, empty.digest, 0) for name in names if name not in known]
    return sorted([*parts, *lacking], key=lambda part: (part.company, part.month or ""))


def _days(month: str) -> tuple[str, str]:
    """The first and the last day of a month."""
    year, number = map(int, month.split("-"))
    return f"{month}-01", f"{month}-{calendar.monthrange(year, number)[1]}"
