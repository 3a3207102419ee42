"""Reading a checked file for use: what is read is what was checked, wherever and whenever the file is swapped."""

import io
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Final

import pytest

from core.register.declared import ATTENDANCE_RECORDS, COMPANIES, SCHEMA
from recordsync.backupfile import check_backup
from recordsync.errors import InvalidFile, SourceChanged
from recordsync.merge import Side
from recordsync.plan import make_plan
from recordsync.system.files import compressed
from tests.builders.records import company, deletion, record, sections, written
from tests.conftest import DEEP
from tests.recordsync.backupfile.golden_content import DELETIONS, DELETIONS_METADATA, FULL
from tests.recordsync.backupfile.test_damage import changed_at
from tests.recordsync.support import MemoryStore, always, checked, lines_of, opened, row

SMALL: Final = sections(
    [company("A"), company("B")],
    [record("A", "1"), record("A", "2"), record("B", "1")],
    [deletion(COMPANIES, company("C"))],
    [deletion(ATTENDANCE_RECORDS, record("C", "1"))],
)
FULL_FILE: Final = written(SMALL)
INCREMENTAL: Final = written(SMALL, backup_type="incremental", since_date="2026-11-01T00:00:00.000000Z")
STORED: Final = sections(
    [company("A"), company("C"), company("D")],
    [record("A", "1", status="A"), record("C", "1"), record("D", "1")],
)


class Swapped(io.BytesIO):
    """A source that gives other bytes from its ``from_read``-th read on, until its ``to_read``-th."""

    def __init__(self, before: bytes, after: bytes, from_read: int = 0, to_read: int = 1 << 30) -> None:
        super().__init__(before)
        self.after = io.BytesIO(after)
        self.reads = 0
        self.window = range(from_read, to_read)
        self.armed = False

    def read(self, size: int | None = -1, /) -> bytes:
        if not self.armed:
            return super().read(size)
        self.reads += 1
        if self.reads - 1 not in self.window:
            return super().read(size)
        at = self.tell()
        self.after.seek(at)
        data = self.after.read(size)
        self.seek(at + len(data))
        return data


def test_a_file_is_read_section_by_section() -> None:
    file = opened(FULL_FILE)
    with file.open() as reader:
        assert list(reader.records(COMPANIES)) == list(SMALL.records(COMPANIES))
        assert list(reader.records(ATTENDANCE_RECORDS)) == list(SMALL.records(ATTENDANCE_RECORDS))
    assert list(file.deletions(COMPANIES)) == list(SMALL.deletions(COMPANIES))
    assert list(file.deletions(ATTENDANCE_RECORDS)) == list(SMALL.deletions(ATTENDANCE_RECORDS))


def test_sections_may_be_passed_over_and_read_in_part() -> None:
    with opened(FULL_FILE).open() as reader:
        assert [record.key for record in reader.records(ATTENDANCE_RECORDS)][-1] == ("B", "2026-11-20", "1")
    with opened(FULL_FILE).open() as reader:
        first = reader.records(COMPANIES)
        next(first)
        assert len(list(reader.records(ATTENDANCE_RECORDS))) == 3
    with opened(written(sections([], []))).open() as reader:
        assert not list(reader.records(COMPANIES))
        assert not list(reader.records(ATTENDANCE_RECORDS))


@pytest.mark.parametrize("compression", [None, "gzip", "zstd"])
def test_two_readings_go_on_at_once(compression: Any) -> None:
    out = io.BytesIO()
    with compressed(out, compression) as stream:
        stream.write(FULL_FILE)
    file = opened(out)
    pairs = zip(file.records(ATTENDANCE_RECORDS), file.records(ATTENDANCE_RECORDS), strict=True)
    assert [one for one, other in pairs if one == other] == list(SMALL.records(ATTENDANCE_RECORDS))


def test_a_file_that_is_not_valid_is_not_to_be_had() -> None:
    with pytest.raises(InvalidFile, match="the record is damaged or was changed by hand"):
        opened(FULL_FILE.replace(b'"status":"P"', b'"status":"A"', 1))


def plans(source: Swapped) -> None:
    """Use the file as a restore does: plan, and make the changes."""
    file = opened(source)
    source.armed = True
    plan = make_plan(MemoryStore(STORED), file, None, io.BytesIO())
    list(plan.steps(always(Side.THEIRS)))


def test_planning_from_the_file_that_was_checked_is_no_error() -> None:
    for file in (FULL_FILE, INCREMENTAL):
        plans(Swapped(file, file))


def other_files(file: bytes) -> Iterator[tuple[str, bytes]]:
    """Other files that are as well formed as it: what a swap could put there."""
    lines = lines_of(file)
    for at, line in enumerate(lines):
        if line.startswith(b'{"checksum"'):
            for what, new in (
                ("a value", row(line, lambda found: found.update(name="Z") or found.update(ep_no="9"))),
                ("nulls", row(line, lambda found: found.update(dict.fromkeys(found)))),
                ("numbers", row(line, lambda found: found.update(dict.fromkeys(found, 5)))),
                ("lists", row(line, lambda found: found.update({name: ["A"] for name in found}), checksums=False)),
                ("no fields", b"{}" + line[line.rindex(b"}") + 1 :]),
                ("no object", b"{" + line[line.rindex(b"}") + 1 :]),
                ("NUL", row(line, lambda found: found.update(dict.fromkeys(found, "\0")), checksums=False)),
                ("twice", line.rstrip(b",\n") + b",\n" + line),
                ("nothing", b""),
            ):
                yield f"{what} in line {at + 1}", b"".join([*lines[:at], new, *lines[at + 1 :]])
        yield f"cut after {at}", b"".join(lines[:at])
        yield f"swapped lines {at}", b"".join([*lines[:at], *lines[at + 1 : at + 2], line, *lines[at + 2 :]])
    yield "another metadata", file.replace(b'"created_by":"root"', b'"created_by":"toor"')
    yield "nothing", b""
    yield "a valid file of other content", written(STORED)
    yield "not a backup file", b"x" * len(file)


@pytest.mark.untraced
@pytest.mark.parametrize("file", [FULL_FILE, INCREMENTAL], ids=["full", "incremental"])
def test_a_file_swapped_after_the_check_is_not_used(file: bytes) -> None:
    for what, other in other_files(file):
        if other != file and b'"trailer"' not in what.encode():
            if other.rpartition(b'"trailer"')[0] == file.rpartition(b'"trailer"')[0] != b"":
                continue  # only the trailer differs: what is read is what was checked
            try:
                plans(Swapped(file, other))
            except SourceChanged:
                continue
            pytest.fail(f"used a file that was swapped: {what}")


@pytest.mark.untraced
@pytest.mark.parametrize("file", [FULL_FILE, INCREMENTAL], ids=["full", "incremental"])
def test_a_byte_changed_anywhere_after_the_check_is_noticed(file: bytes) -> None:
    end = file.rindex(b'"trailer"')
    for at in range(0, end, 1 if DEEP else 19):
        for other in changed_at(file, at):
            with pytest.raises(SourceChanged):
                plans(Swapped(file, other))


@pytest.mark.untraced
@pytest.mark.parametrize("file", [FULL_FILE, INCREMENTAL], ids=["full", "incremental"])
def test_a_file_swapped_during_one_of_the_readings_is_noticed(file: bytes) -> None:
    """The other file is there for one read only and then the right one again: every part that was used is hashed."""
    counting = Swapped(file, file)
    plans(counting)
    assert counting.reads > 4
    for what, other in other_files(file):
        if len(other) != len(file) or other == file:
            continue
        for at in range(counting.reads):
            source = Swapped(file, other, at, at + 1)
            try:
                plans(source)
            except SourceChanged:
                continue
            # The swapped read was one whose content nobody used: looking what the file is compressed with.
            assert at_is_recognition(file, at), (what, at)


def at_is_recognition(file: bytes, at: int) -> bool:
    """Whether the read was of the first four bytes only, or of nothing (after the end)."""
    sizes: list[int] = []

    class Noting(Swapped):
        def read(self, size: int | None = -1, /) -> bytes:
            data = super().read(size)
            if self.armed:
                sizes.append(len(data))
            return data

    plans(Noting(file, file))
    return sizes[at] <= 4


def test_a_file_swapped_while_it_is_checked_is_refused() -> None:
    """The deletions are compared with the records in readings of their own: they must be of the same file."""
    other = written(
        sections(
            [company("A"), company("B")],
            [record("A", "1"), record("A", "3"), record("B", "1")],
            list(SMALL.deletions(COMPANIES)),
            list(SMALL.deletions(ATTENDANCE_RECORDS)),
        )
    )
    assert len(other) == len(FULL_FILE)
    counting = Swapped(FULL_FILE, FULL_FILE)
    counting.armed = True
    assert opened(counting)
    seen = set()
    for at in range(1, counting.reads):
        source = Swapped(FULL_FILE, other, at)
        source.armed = True
        report = checked(source)
        digests = {checked(FULL_FILE).digest, checked(other).digest}
        assert not report.valid or report.digest in digests
        seen |= {error.message for error in report.errors}
    assert "the file changed while it was being checked" in seen


def test_an_error_of_the_one_who_reads_stays_itself() -> None:
    for error in (ValueError("mine"), KeyboardInterrupt("mine")):
        with pytest.raises(type(error), match="mine"), opened(FULL_FILE).open():
            raise error


def test_the_source_stays_open_and_where_it_is_does_not_matter() -> None:
    source = io.BytesIO(FULL_FILE)
    source.seek(100)
    file = opened(source)
    assert not source.closed
    assert opened(source).digest == file.digest, "a file can be checked again"


def test_an_incremental_file_is_not_complete() -> None:
    assert opened(FULL_FILE).metadata.is_complete
    assert not opened(INCREMENTAL).metadata.is_complete
    assert not opened(written(FULL, selection={"companies": ["ABC Corp"]})).metadata.is_complete
    assert not opened(written(DELETIONS, **DELETIONS_METADATA)).metadata.is_complete


def test_progress_is_reported_every_thousand_records() -> None:
    days = [record("A", f"{number:04}") for number in range(2500)]
    seen: list[tuple[str, int, int | None]] = []
    stream = io.BytesIO(written(sections([company("A")], days)))
    check_backup(stream, SCHEMA, progress=lambda *what: seen.append(what))
    assert {(phase, total) for phase, _done, total in seen} == {("check", 2501)}
    done = [0, *(done for _phase, done, _total in seen)]
    assert done[-1] == 2501
    assert all(0 <= later - earlier <= 1000 for earlier, later in pairwise(done))
    assert opened(FULL_FILE).counts == {"companies": 2, "attendance_records": 3, "seals": 0}
