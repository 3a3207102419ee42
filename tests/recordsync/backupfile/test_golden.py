"""The golden files: what the writer gives for known content is, byte for byte, what it gave when 2.0 was fixed."""

import hashlib
import json
from pathlib import Path

import pytest

from core.register.declared import SCHEMA
from tests.builders.records import metadata, written
from tests.recordsync.backupfile.golden_content import BASES, FOLDER, GOLDEN
from tests.recordsync.support import opened

pytestmark = pytest.mark.parametrize("name", GOLDEN)


def test_the_writer_still_gives_the_golden_bytes(name: str) -> None:
    of, described = GOLDEN[name]
    assert written(of, bases=BASES.get(name, ()), **described) == (FOLDER / name).read_bytes()


def test_the_golden_file_is_read_back_whole(name: str) -> None:
    of, described = GOLDEN[name]
    file = opened((FOLDER / name).read_bytes())
    assert file.metadata == metadata(of, **described)
    models = file.metadata.models(SCHEMA)
    for model in models:
        assert list(file.records(model)) == list(of.records(model))
        assert list(file.deletions(model)) == list(of.deletions(model))
    bases = BASES.get(name, [])
    assert list(file.bases) == [base for base, _rows in bases]
    with file.open() as of_records, file.open() as of_deletions:
        for position, (_base, rows) in enumerate(bases):
            for model in models:
                assert list(of_records.records(model, position)) == list(rows.records(model))
                found = [deletion for _key, deletion, _line in of_deletions.deletions(model, position)]
                assert found == list(rows.deletions(model))


def test_what_the_trailer_says_can_be_checked_without_our_code(name: str) -> None:
    data = (FOLDER / name).read_bytes()
    document = json.loads(data)
    before = data[: data.rindex(b'"trailer":')]
    assert document["trailer"] == {
        **{section: len(document[section]) for section in document["metadata"]["fields"]},
        "deleted": sum(len(rows) for rows in document["deleted"].values()),
        "sha256": hashlib.sha256(before).hexdigest(),
        **({"bases": len(document["bases"])} if "bases" in document else {}),
    }
    for record in (record for section in document["metadata"]["fields"] for record in document[section]):
        content = {name: value for name, value in record.items() if name not in ("checksum", "created_at")}
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        # Of what json.dumps escapes as \u00hh, RFC 8785 wants the same; DEL and the rest stand as they are.
        assert hashlib.sha256(canonical.encode()).hexdigest() == record["checksum"]


def test_one_record_stands_on_one_line(name: str) -> None:
    lines = (FOLDER / name).read_text("utf-8").split("\n")
    document = json.loads((FOLDER / name).read_bytes())
    for rows in (*map(document.get, document["metadata"]["fields"]), *document["deleted"].values()):
        for record in rows:
            line = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            assert line in lines or f"{line}," in lines


def test_there_is_no_golden_file_that_is_not_tested(name: str) -> None:
    assert {path.name for path in Path(FOLDER).iterdir()} == set(GOLDEN)
