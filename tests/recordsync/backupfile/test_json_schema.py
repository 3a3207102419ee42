"""The published JSON Schema: current, a schema, satisfied by real files, and not by broken ones."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from django.core.management import call_command
from jsonschema import Draft202012Validator

from core.register.declared import ATTENDANCE_RECORDS, SCHEMA
from recordsync.backupfile.json_schema import file_schema
from recordsync.model.schema import Schema
from tests.builders.records import company, record, sections, written
from tests.recordsync.backupfile.golden_content import FOLDER, GOLDEN
from tests.recordsync.backupfile.test_checker import FIELDS, MISSING, PLACES, VALUES, WRONG_FIELDS, WRONG_METADATA
from tests.recordsync.schemas import FORMATS

PUBLISHED: Final = Path(__file__).resolve().parents[3] / "docs" / "backup-2.0.schema.json"

VALIDATOR: Final = Draft202012Validator(json.loads(PUBLISHED.read_text("utf-8")), format_checker=FORMATS)


def golden(name: str = "backup-2.0-seals-bases.json") -> Any:
    return json.loads((FOLDER / name).read_bytes())


def test_the_published_schema_is_current() -> None:
    out = io.StringIO()
    call_command("print_file_schema", stdout=out)
    assert PUBLISHED.read_text("utf-8") == out.getvalue(), "manage.py print_file_schema > docs/backup-2.0.schema.json"


def test_it_is_a_schema_of_draft_2020_12() -> None:
    Draft202012Validator.check_schema(file_schema(SCHEMA))
    Draft202012Validator.check_schema(file_schema(Schema(SCHEMA.models)))


@pytest.mark.parametrize("name", GOLDEN)
def test_the_golden_files_satisfy_it(name: str) -> None:
    VALIDATOR.validate(golden(name))


def test_selections_and_files_that_lack_units_satisfy_it() -> None:
    selection = {"companies": ["ABC"], "date_from": "2026-01-01", "date_to": None}
    VALIDATOR.validate(json.loads(written(sections([company("ABC")], [record("ABC", "1")]), selection=selection)))
    names = [*ATTENDANCE_RECORDS.key_names, *ATTENDANCE_RECORDS.units["day"]]
    shape = ATTENDANCE_RECORDS.shape(names)
    cut = shape.project(record("ABC", "1"), ATTENDANCE_RECORDS.shape())
    fields = FIELDS | {"attendance_records": sorted(names)}
    VALIDATOR.validate(json.loads(written(sections([company("ABC")], [cut]), fields=fields)))


@pytest.mark.parametrize(("name", "value"), [case[:2] for case in WRONG_METADATA])
def test_metadata_that_the_reader_refuses_do_not_satisfy_it(name: str, value: object) -> None:
    file = golden()
    file["metadata"][name] = value
    nul = "\\u0000" in json.dumps(value)  # a rule that the schema leaves to the reader
    as_number = isinstance(value, float) and value.is_integer()  # JSON Schema has no difference between 2 and 2.0
    impossible = "-02-30T" in str(value)  # the pattern is right, and only since_date and created_at have a calendar
    if not (nul or as_number or impossible):
        assert not VALIDATOR.is_valid(file)


@pytest.mark.parametrize("name", [*MISSING, "version"])
def test_missing_metadata_do_not_satisfy_it(name: str) -> None:
    file = golden()
    del file["metadata"][name]
    assert not VALIDATOR.is_valid(file)


@pytest.mark.parametrize(("what", "value"), [case[:2] for case in WRONG_FIELDS], ids=[case[0] for case in WRONG_FIELDS])
def test_fields_that_the_reader_refuses_do_not_satisfy_it(what: str, value: object) -> None:
    file = golden()
    file["metadata"]["fields"] = value
    assert VALIDATOR.is_valid(file) == (what == "out of order"), "order is what no schema can say"


@pytest.mark.parametrize("case", VALUES, ids=lambda case: f"{case.field}={ascii(case.value)[:20]} in {case.line}")
def test_values_that_the_reader_refuses_do_not_satisfy_it(case: Any) -> None:
    file = golden()
    section, deleted = PLACES[case.line]
    rows = file["deleted"][section] if deleted else file[section]
    assert case.field in rows[0]
    rows[0][case.field] = case.value
    assert not VALIDATOR.is_valid(file)


BROKEN: Final[dict[str, Callable[[Any], object]]] = {
    "an unknown section": lambda file: file.update(people=[]),
    "no trailer": lambda file: file.pop("trailer"),
    "no companies": lambda file: file.pop("companies"),
    "an unknown field": lambda file: file["companies"][0].update(id=5),
    "a missing field": lambda file: file["attendance_records"][0].pop("status"),
    "a missing checksum": lambda file: file["companies"][0].pop("checksum"),
    "a checksum in upper case": lambda file: file["companies"][0].update(checksum="A" * 64),
    "a deletion with more than its key": lambda file: file["deleted"]["companies"][0].update(created_at=None),
    "a deletion without its checksum": lambda file: file["deleted"]["attendance_records"][0].pop("checksum"),
    "a negative count": lambda file: file["trailer"].update(deleted=-1),
    "more in the trailer": lambda file: file["trailer"].update(more=1),
    "no digest": lambda file: file["trailer"].pop("sha256"),
    "deletions in one list": lambda file: file.update(deleted=[]),
    "records in an object": lambda file: file.update(companies={}),
}


@pytest.mark.parametrize("what", BROKEN)
def test_broken_files_do_not_satisfy_it(what: str) -> None:
    file = golden()
    BROKEN[what](file)
    assert not VALIDATOR.is_valid(file)
