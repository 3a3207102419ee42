"""What the 1.0 writer gives for known content is, byte for byte, what it gave when it was written."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from core.formats.v1_0 import MODELS, as_described
from core.formats.v1_0_checker import check_v1_0
from core.formats.v1_0_writer import write_v1_0
from core.register.declared import ATTENDANCE_RECORDS
from recordsync.backupfile import Metadata
from recordsync.errors import InvalidRecord, OutOfOrder, RecordSyncError
from recordsync.model.records import Record
from recordsync.model.schema import Model
from tests.builders.records import MOMENT, Sections, company, metadata, record, sections
from tests.recordsync.backupfile.golden_content import BEFORE_SEALS, FULL
from tests.recordsync.models import later_fields

FOLDER: Final = Path(__file__).parent / "golden"
CHANGED: Final = "2026-11-20T18:39:59.999999Z"
_FIELDS: Final = (
    "ep_no", "ep_name", "company_name", "date", "shift", "overstay", "status", "in_time", "out_time", "in_time_2",
    "out_time_2", "in_time_3", "out_time_3", "overtime", "overtime_to_mandays", "created_at", "updated_at", "checksum",
)  # fmt: skip


@dataclass(frozen=True)
class _Content:
    """The engine's golden content; every record was last changed at one moment."""

    of: Sections
    changed: str = CHANGED

    def records(self, model: Model) -> Iterator[Record]:
        return iter(self.of.records(model))

    def updated(self, model: Model) -> Iterator[str]:
        return (self.changed for _record in self.of.records(model))


GOLDEN: Final = {
    "backup-1.0.json": metadata(FULL, fields=BEFORE_SEALS),
    "backup-1.0-incremental.json": metadata(
        FULL,
        backup_type="incremental",
        since_date="2026-11-01T00:00:00.000000Z",
        deletions="unknown",
        fields=BEFORE_SEALS,
    ),
}


def _written(of: Sections, described: Metadata | None = None, changed: str = CHANGED) -> bytes:
    out = io.BytesIO()
    written = write_v1_0(out, described or metadata(of, fields=BEFORE_SEALS), _Content(of, changed))
    assert written.digest == hashlib.sha256(out.getvalue()).hexdigest()
    return out.getvalue()


@pytest.mark.parametrize("name", GOLDEN)
def test_the_writer_still_gives_the_golden_bytes(name: str) -> None:
    assert _written(FULL, GOLDEN[name]) == (FOLDER / name).read_bytes()


@pytest.mark.parametrize("name", GOLDEN)
def test_the_golden_file_is_read_back_at_its_precision(name: str) -> None:
    data = (FOLDER / name).read_bytes()
    with check_v1_0(io.BytesIO(data)) as file:
        described = as_described(GOLDEN[name], hashlib.sha256(data).hexdigest())
        said = ("version", "id", "parent", "backup_type", "since_date", "created_at", "deletions", "totals")
        for member in said:
            assert getattr(file.metadata, member) == getattr(described, member), member
        for model in MODELS:
            records = list(file.records(model))
            assert [record.key for record in records] == [record.key for record in FULL.records(model)]
            for theirs, ours in zip(records, FULL.records(model), strict=True):
                assert file.alignment(model)(theirs, ours).values == ours.values
                assert theirs.created_at == ours.created_at
        assert file.warnings == []


@pytest.mark.parametrize("name", GOLDEN)
def test_an_older_installation_reads_it(name: str) -> None:
    """By Python's ``json`` and the format's description alone."""
    data = (FOLDER / name).read_bytes()
    document = json.loads(data.decode("ascii"))
    assert list(document) == ["metadata", "companies", "attendance_records"]
    metadata = document["metadata"]
    assert metadata["version"] == "1.0"
    for section in ("companies", "attendance_records"):
        assert metadata[f"total_{section}"] == len(document[section])
    for line in document["companies"]:
        assert set(line) == {"id", "name", "created_at", "checksum"}
        text = json.dumps({"name": line["name"]}, sort_keys=True)
        assert line["checksum"] == hashlib.sha256(text.encode()).hexdigest()
    assert len({line["id"] for line in document["companies"]}) == len(document["companies"])
    for line, ours in zip(document["attendance_records"], FULL.records(ATTENDANCE_RECORDS), strict=True):
        assert set(line) == set(_FIELDS)
        content = {n: v for n, v in line.items() if n not in ("checksum", "created_at", "updated_at", "id")}
        text = json.dumps(content, sort_keys=True)
        assert line["checksum"] == hashlib.sha256(text.encode()).hexdigest()
        values = ATTENDANCE_RECORDS.shape().content(ours)
        for field, value in content.items():
            stored = values[field]
            expected = stored and stored[:5] if "_time" in field else stored
            assert value == (expected or "" if field == "overstay" else expected), field
        assert line["updated_at"] == CHANGED.replace("Z", "+00:00")


def test_there_is_no_golden_file_that_is_not_tested() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(GOLDEN)


def test_nothing_is_an_object_too() -> None:
    document = json.loads(_written(sections()))
    assert (document["companies"], document["attendance_records"]) == ([], [])


def test_what_could_not_be_read_back_is_not_written() -> None:
    """Named, and refused, as in a 2.0 file."""
    with pytest.raises(InvalidRecord, match="in_time"):
        _written(sections([], [record("A", "1", in_time="9:00")]))
    with pytest.raises(InvalidRecord, match="updated_at"):
        _written(sections([], [record("A", "1")]), changed="0001-01-01T00:00:00.000000Z")
    with pytest.raises(InvalidRecord, match="created_at"):
        _written(sections([company("A", "yesterday")]))
    with pytest.raises(OutOfOrder):
        _written(sections([], [record("B", "1"), record("A", "1")]))
    with pytest.raises(RecordSyncError, match="after it had counted"):
        _written(sections([], [record("A", "1")]), metadata(sections(), fields=BEFORE_SEALS))


def test_a_field_that_came_later_is_left_out_while_it_is_blank(monkeypatch: pytest.MonkeyPatch) -> None:
    """An older installation refuses a name that it does not know."""
    overtime = ("overtime", "overtime_to_mandays")
    monkeypatch.setattr("core.formats.v1_0_writer.ATTENDANCE_RECORDS", later_fields(ATTENDANCE_RECORDS, *overtime))
    data = _written(sections([company("A")], [record("A", "1"), record("A", "2", overtime="01:30")]))
    blank, other = json.loads(data)["attendance_records"]
    assert not {*overtime} & {*blank}
    assert {name: other.get(name) for name in overtime} == {"overtime": "01:30", "overtime_to_mandays": None}
    with check_v1_0(io.BytesIO(data)) as file:
        assert file.counts["attendance_records"] == 2


def test_progress_comes_by_batches_over_both_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recordsync.history.blocks.EVERY", 2)
    of = sections([company("A", MOMENT)], [record("A", str(n)) for n in range(1, 6)])
    told: list[tuple[str, int, int | None]] = []
    write_v1_0(io.BytesIO(), metadata(of, fields=BEFORE_SEALS), _Content(of), lambda *step: told.append(step))
    assert told == [("write", done, 6) for done in (1, 3, 5, 6)]
