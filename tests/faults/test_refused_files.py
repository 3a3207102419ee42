"""Every kind of file that is not a whole and valid backup, through the command: why, where, and nothing changed."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest
import zstandard
from pytest_django.plugin import DjangoDbBlocker

from core.models import BackupLog
from recordsync.model.records import checksum
from tests.builders.big_registers import filled
from tests.running import commands, inspection
from tests.running.commands import Ended, run
from tests.running.installation import Installations, NewInstallation, ScratchInstallation

KEY = ["Company 0", "EMP00000", "2026-01-02"]


@dataclass(frozen=True)
class Bad:
    """A way to spoil a file, and what must be said of it."""

    spoil: Callable[[bytes], bytes]
    says: tuple[str, ...]
    where: dict[str, Any] = field(default_factory=dict)


def lines(content: bytes) -> list[bytes]:
    return content.splitlines(keepends=True)


def sealed(parts: list[bytes]) -> bytes:
    """The lines as a file whose trailer has the digest of what is now before it: made to deceive, not damaged."""
    body = b"".join(parts[:-1])
    trailer = orjson.loads(parts[-1][len(b'"trailer":') : -2])
    trailer["sha256"] = hashlib.sha256(body).hexdigest()
    return body + b'"trailer":' + orjson.dumps(trailer, option=orjson.OPT_SORT_KEYS) + b"}\n"


def at(content: bytes) -> int:
    """The place of the record KEY among the lines."""
    number = next(n for n, line in enumerate(lines(content)) if b'"2026-01-02"' in line and b'"EMP00000"' in line)
    assert b'"Company 0"' in lines(content)[number]
    return number


def with_record(change: Callable[[dict[str, Any]], None], fresh: bool = True) -> Callable[[bytes], bytes]:
    """Change the record KEY; ``fresh``: with a checksum of what it then holds."""

    def spoil(content: bytes) -> bytes:
        parts = lines(content)
        number = at(content)
        record = orjson.loads(parts[number].rstrip(b",\n"))
        change(record)
        if fresh:
            rest = {name: value for name, value in record.items() if name not in ("checksum", "created_at")}
            record["checksum"] = checksum(rest)
        parts[number] = orjson.dumps(record, option=orjson.OPT_SORT_KEYS) + b",\n"
        return sealed(parts)

    return spoil


def with_metadata(**changes: Any) -> Callable[[bytes], bytes]:
    def spoil(content: bytes) -> bytes:
        parts = lines(content)
        metadata = orjson.loads(parts[0][len(b'{"metadata":') : -2]) | changes
        parts[0] = b'{"metadata":' + orjson.dumps(metadata, option=orjson.OPT_SORT_KEYS) + b",\n"
        return sealed(parts)

    return spoil


def name_twice(content: bytes) -> bytes:
    parts = lines(content)
    number = at(content)
    parts[number] = parts[number].replace(b'"shift":"GENERAL"', b'"shift":"GENERAL","shift":"GENERAL"')
    return sealed(parts)


def record_twice(content: bytes) -> bytes:
    parts = lines(content)
    return sealed([*parts[: at(content) + 1], *parts[at(content) :]])


def swapped(content: bytes) -> bytes:
    parts, number = lines(content), at(content)
    parts[number], parts[number + 1] = parts[number + 1], parts[number]
    return sealed(parts)


def flipped(content: bytes) -> bytes:
    spoiled = bytearray(content)
    spoiled[content.index(b"Employee 0 a", content.index(b'"EMP00000"') - 60) + 2] ^= 1
    return bytes(spoiled)


def damaged_zstd(content: bytes) -> bytes:
    packed = bytearray(zstandard.ZstdCompressor(write_checksum=True).compress(content))
    packed[len(packed) // 2] ^= 0xFF
    return bytes(packed)


def set_to(name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda record: record.update({name: value})


def remove(name: str) -> Callable[[dict[str, Any]], None]:
    return lambda record: record.pop(name) and None


IN_RECORD = {"line": True, "key": KEY}

BAD = {
    "a flipped byte": Bad(flipped, ("checksum", "damaged"), {"line": True}),
    "cut in the middle": Bad(lambda c: c[: len(c) // 2], ("line",), {"line": True}),
    "cut by a byte": Bad(lambda c: c[:-1], ("trailer",), {"line": True}),
    "without its trailer": Bad(lambda c: b"".join(lines(c)[:-1]), ("line",), {"line": True}),
    "something after the end": Bad(lambda c: c + b"x", ("follows",), {"line": True}),
    "empty": Bad(lambda c: b"", (), {}),
    "not a backup": Bad(lambda c: b"ep_no,date\n1,2026-01-01\n", ("not a backup",), {}),
    "laid out anew": Bad(
        lambda c: json.dumps(json.loads(c), indent=1).encode(), ("laid out anew", "original"), {"line": True}
    ),
    "a future version": Bad(with_metadata(version="3.0"), ("version", "3.0"), {"line": True, "field": "version"}),
    "an unknown metadata field": Bad(with_metadata(colour="red"), ("colour",), {"line": True}),
    "a wrong total": Bad(with_metadata(total_attendance_records=7), ("7", "60"), {"field": "total_attendance_records"}),
    "an unknown status": Bad(
        with_record(set_to("status", "X")), ("status", "X"), IN_RECORD | {"field": "status", "value": "X"}
    ),
    "a time that is none": Bad(
        with_record(set_to("in_time", "25:00:00")),
        ("in_time", "25:00:00"),
        IN_RECORD | {"field": "in_time", "value": "25:00:00"},
    ),
    "a number for a text": Bad(with_record(set_to("ep_name", 5)), ("ep_name",), IN_RECORD | {"field": "ep_name"}),
    "a text that is too long": Bad(
        with_record(set_to("shift", "x" * 51)), ("shift", "50"), IN_RECORD | {"field": "shift"}
    ),
    "a NUL": Bad(with_record(set_to("ep_name", "a\0b")), ("ep_name",), IN_RECORD | {"field": "ep_name"}),
    "a missing field": Bad(with_record(remove("shift")), ("shift", "missing"), IN_RECORD | {"field": "shift"}),
    "an unknown field": Bad(
        with_record(set_to("colour", "red")), ("colour", "not known"), IN_RECORD | {"field": "colour"}
    ),
    "a wrong checksum": Bad(
        with_record(set_to("ep_name", "Somebody"), fresh=False), ("checksum",), IN_RECORD | {"field": "checksum"}
    ),
    "a name given twice": Bad(name_twice, ("given twice",), IN_RECORD),
    "a record that stands twice": Bad(record_twice, ("stands twice",), IN_RECORD),
    "records out of order": Bad(swapped, ("out of order",), IN_RECORD),
    "a damaged gzip": Bad(lambda c: gzip.compress(c)[:-9], ("compressed", "damaged"), {}),
    "a zstd cut short": Bad(lambda c: zstandard.compress(c)[:-5], ("cut short",), {}),
    "a damaged zstd": Bad(damaged_zstd, ("compressed", "damaged"), {}),
}
ON_BOTH = ["a flipped byte", "cut in the middle", "an unknown status", "a damaged gzip"]


@pytest.fixture(scope="module")
def good(
    installations: Installations, tmp_path_factory: pytest.TempPathFactory, django_db_blocker: DjangoDbBlocker
) -> bytes:
    """A good file of sixty records."""
    folder = tmp_path_factory.mktemp("good")
    installation = installations.new("sqlite", folder / "installation")
    with django_db_blocker.unblock():
        filled(installation, 60)
    installation.manage("backup_data", "--output", folder / "good.json", check=True)
    installation.remove()
    return (folder / "good.json").read_bytes()


@dataclass(frozen=True)
class Answer:
    """What the command said of a refused file, and the register's state and audit row after it."""

    ended: Ended
    message: str


@pytest.fixture(scope="module")
def shared_sqlite(
    installations: Installations, tmp_path_factory: pytest.TempPathFactory, django_db_blocker: DjangoDbBlocker
) -> Iterator[ScratchInstallation]:
    """One installation for all refused files: none of them changes it."""
    installation = installations.new("sqlite", tmp_path_factory.mktemp("refused") / "installation")
    with django_db_blocker.unblock():
        filled(installation, 90, version="b")
        yield installation
    installation.remove()


@pytest.fixture(scope="module")
def answers(shared_sqlite: ScratchInstallation, good: bytes) -> dict[str, Answer]:
    """Every bad file, tried once; several at a time."""
    return refuse(shared_sqlite, good, list(BAD))


def refuse(installation: ScratchInstallation, good: bytes, kinds: list[str]) -> dict[str, Answer]:
    """Try to restore these; the register is as it was, and every try is in the audit trail as failed."""

    def attempt(kind: str) -> Ended:
        path = installation.folder / f"{kind}.json"
        path.write_bytes(BAD[kind].spoil(good))
        return run(installation, "restore_data", "--input", path, "--json")

    before = inspection.state_of(installation)
    with ThreadPoolExecutor(3) as pool:
        ends = dict(zip(kinds, pool.map(attempt, kinds), strict=True))
    assert inspection.state_of(installation) == before
    with installation.opened() as alias:
        logs = {Path(log.filename).stem: log for log in BackupLog.objects.using(alias)}
    assert not any(logs[kind].success for kind in kinds)
    return {kind: Answer(ended, logs[kind].error_message) for kind, ended in ends.items()}


def check_refused(answer: Answer, bad: Bad) -> None:
    told = answer.ended
    assert told.code == 1, told.err
    commands.assert_clear(told.err)
    first, *rest = [line for line in told.err.splitlines() if not line.startswith(commands.PROGRESS)]
    assert first.startswith("Error: The file is not a valid backup")
    assert "Nothing was changed" in first
    assert answer.message in first
    assert rest
    for word in bad.says:
        assert word in told.err, (word, told.err)
    if "key" in bad.where:
        heading, line = rest[:2]
        assert heading == "  Attendance records:"
        assert "Company 0 · EMP00000 · 2026-01-02: " in line
        assert told.err.count("Attendance records") == 1
    if bad.where.get("line"):
        assert next(line for line in rest if not line.endswith(":")).lstrip().startswith("line ")
    summary = json.loads(told.out)
    assert summary["ok"] is False
    error = next((e for e in summary["errors"] if bad.where.get("field") in (None, e.get("field"))), None)
    assert error is not None, summary["errors"]
    for name, expected in bad.where.items():
        if name == "line":
            assert isinstance(error["line"], int)
        else:
            assert error[name] == expected, error


def test_refused_in_a_preview(shared_sqlite: ScratchInstallation, good: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    path.write_bytes(flipped(good))
    before = inspection.state_of(shared_sqlite)
    run(shared_sqlite, "restore_data", "--input", path)
    log = inspection.last_log(shared_sqlite)
    told = run(shared_sqlite, "restore_data", "--input", path, "--preview", "--json")
    assert told.code == 1
    assert json.loads(told.out)["operation"] == "preview"
    assert "Nothing was changed" in told.err
    assert inspection.state_of(shared_sqlite) == before
    assert inspection.last_log(shared_sqlite).pk == log.pk, "a preview wrote an audit row"


@pytest.mark.parametrize("kind", BAD)
def test_refused(answers: dict[str, Answer], kind: str) -> None:
    check_refused(answers[kind], BAD[kind])


@pytest.mark.postgres
def test_refused_on_postgres(new_installation: NewInstallation, good: bytes) -> None:
    installation = filled(new_installation("postgres"), 90, version="b")
    for kind, answer in refuse(installation, good, ON_BOTH).items():
        check_refused(answer, BAD[kind])


def test_every_error_is_counted_and_told(shared_sqlite: ScratchInstallation, tmp_path: Path) -> None:
    content = tmp_path / "bad.json"
    run(shared_sqlite, "backup_data", "--output", content)
    spoiled = content.read_bytes().replace(b'"shift":"GENERAL"', b'"shift":"GENERAX"')
    content.write_bytes(spoiled)
    told = run(shared_sqlite, "restore_data", "--input", content, "--json")
    assert told.code == 1
    summary = json.loads(told.out)
    assert summary["error_count"] == 91  # each record, and the digest


def test_a_file_larger_than_allowed(shared_sqlite: ScratchInstallation, good: bytes, tmp_path: Path) -> None:
    """What a small compressed file may unfold to has a limit."""
    bomb = tmp_path / "bomb.json.gz"
    bomb.write_bytes(gzip.compress(b'{"metadata":' + b" " * 3_000_000))
    shared_sqlite.env["MUSTER_MAX_FILE_BYTES"] = "1000000"
    try:
        told = run(shared_sqlite, "restore_data", "--input", bomb)
    finally:
        del shared_sqlite.env["MUSTER_MAX_FILE_BYTES"]
    assert told.code == 1
    assert "1,000,000 bytes" in told.err


def test_a_file_that_changes_while_it_is_restored(installation: ScratchInstallation, good: bytes) -> None:
    """What is used is what was checked."""
    path = installation.folder / "file.json"
    path.write_bytes(good)
    before = inspection.state_of(installation)
    changed = f"p = {str(path)!r}; d = open(p, 'rb').read(); open(p, 'r+b').write(d.replace(b'GENERAL', b'SPECIAL'))"
    ended = commands.end(
        commands.injected(installation, commands.at_phase("check", changed), "restore_data", "--input", path)
    )
    assert ended.code == 1
    assert "is not a valid backup (61 problems). Nothing was changed." in ended.err
    assert inspection.state_of(installation) == before
    assert not inspection.last_log(installation).success
