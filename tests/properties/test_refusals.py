"""Properties 14, 19 and 20: a file that is wrong in one place is refused, naming it, and nothing of it is applied."""

from __future__ import annotations

import gzip
import io

import pytest
import zstandard
from hypothesis import event, given
from hypothesis import strategies as st

from core.models import BackupLog
from core.operations.errors import FileRefused
from core.register.database import Register
from core.restores.restore_service import RestoreService
from recordsync.errors import FileError
from recordsync.system.files import decompressed
from tests.builders.files import File, file
from tests.builders.registers import RegisterData, everything, put
from tests.builders.trees import snapshot_file
from tests.properties.laws import for_all
from tests.strategies.damage import Damaged, damaged, with_broken_structure, with_one_wrong_field, with_wrong_metadata
from tests.strategies.registers import Merge, merges  # fmt: skip
from tests.strategies.registers import registers as any_register

_files = any_register(min_records=1, stamped=True).map(file)
_with_blocks = any_register(min_records=1, stamped=True).map(snapshot_file)


def _checked(data: bytes) -> list[FileError]:
    """The errors of a file that is not valid."""
    result = RestoreService().validate_backup(io.BytesIO(data))
    assert not result.valid
    assert result.error_count >= len(result.errors) > 0
    return result.errors


@given(st.one_of(_files, _with_blocks))
def test_property_14_a_whole_file_is_valid(file: File) -> None:
    """For all registers, the file that the format's description gives is accepted: what follows is about damage."""
    result = RestoreService().validate_backup(file.stream())
    assert result.errors == []
    assert result.valid
    assert result.counts == {section: len(lines) for section, lines in file.records.items()}


@given(st.data())
def test_property_14_wrong_metadata_are_refused(data: st.DataObject) -> None:
    """For all members of the metadata, missing, unknown or wrong: refused, naming the line and the member."""
    damage = data.draw(with_wrong_metadata(data.draw(_files)))
    errors = _checked(damage.data)
    assert any(error.line == 1 and str(damage.field) in f"{error.field} {error}" for error in errors), errors
    event(damage.what)


@given(st.data())
def test_property_14_a_broken_structure_is_refused(data: st.DataObject) -> None:
    """For all ways to break a file's order, spelling, counts, digest or end in one place: refused, naming the
    place."""
    damage = data.draw(with_broken_structure(data.draw(st.one_of(_files, _with_blocks))))
    _assert_named(_checked(damage.data), damage)
    event(damage.what)


def _assert_named(errors: list[FileError], damage: Damaged) -> None:
    """Some error names the line, field, key and value that are wrong."""
    fitting = [
        error
        for error in errors
        if (damage.line is None or error.line == damage.line)
        and (damage.field is None or error.field == damage.field)
        and (damage.key is None or _cut(error.key) == _cut(damage.key))
        and (damage.value is None or (error.value == damage.value and type(error.value) is type(damage.value)))
    ]
    assert fitting, (damage, errors)


def _cut(key: tuple[str, ...] | None) -> list[str]:
    """A key without the ends of parts that an error shortens."""
    return [part[:200] for part in key or ()]


@given(st.data())
def test_property_19_each_field_missing_or_wrong_is_refused_naming_it(data: st.DataObject) -> None:
    """For all fields of all records: missing, of another type, or with a value that is not legal: refused, naming
    line, key, field and value; and nothing else is complained of where only content is wrong."""
    file = data.draw(_files)
    damage = data.draw(with_one_wrong_field(file))
    errors = _checked(damage.data)
    _assert_named(errors, damage)
    if damage.field not in ("company_name", "ep_no", "date", "name"):
        assert len(errors) == 1
    for error in errors:
        assert str(error).startswith(f"line {error.line}")
    event(f"{damage.what} {damage.field}")


def _refused(alias: str, data: bytes) -> FileRefused:
    """Try to restore; the register must be exactly as it was."""
    before = everything(alias)
    service = RestoreService(register=Register(alias))
    with pytest.raises(FileRefused) as refused:
        service.restore_backup(io.BytesIO(data))
    with pytest.raises(FileRefused):
        service.preview_changes(io.BytesIO(data))
    assert everything(alias) == before
    log = BackupLog.objects.using(alias).get()
    assert (log.success, log.records_added, log.records_updated) == (False, 0, 0)
    assert log.error_message == str(refused.value)
    assert "Nothing was changed." in log.error_message
    return refused.value


@for_all(merge=merges(), data=st.data())
def test_property_19_nothing_of_a_file_with_a_wrong_field_is_applied(
    alias: str, merge: Merge, data: st.DataObject
) -> None:
    """For all files with one field of one record missing or wrong: the restore is refused, naming it, and the
    register is as it was."""
    put(alias, merge.ours)
    file = merge.file if any(merge.file.records.values()) else data.draw(_files)
    damage = data.draw(with_one_wrong_field(file))
    refusal = _refused(alias, damage.data)
    _assert_named(list(refusal.errors), damage)


@for_all(merge=merges(), data=st.data(), packed=st.sampled_from(["", "", "gzip", "zstd"]))
def test_property_20_nothing_of_a_damaged_file_is_applied(
    alias: str, merge: Merge, data: st.DataObject, packed: str
) -> None:
    """For all files that are good but for one place, whatever it is, in whatever compression: refused, and the
    register is as it was."""
    put(alias, merge.ours)
    file = data.draw(
        st.one_of(*([st.just(merge.file)] if any(merge.file.records.values()) else [_files]), _with_blocks)
    )
    damage = data.draw(damaged(file))
    refusal = _refused(alias, _packed(damage.data, packed))
    assert refusal.errors
    event(damage.what.split()[0])


@for_all(register=any_register(min_records=1), packed=st.sampled_from(["gzip", "zstd"]), data=st.data())
def test_property_20_nothing_of_a_damaged_compressed_file_is_applied(
    alias: str, register: RegisterData, packed: str, data: st.DataObject
) -> None:
    """For all compressed files that are cut off or have a byte changed: refused and the register as it was, unless
    the damage is to something that says nothing of the content (a name in a gzip header, zstd's own checksum behind
    the content): then the content is whole, byte for byte, which its trailer proves."""
    content = file(register).encode()
    whole = _packed(content, packed)
    at = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        damage = whole[:at]
    else:
        damage = whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :]
    result = RestoreService(register=Register(alias)).validate_backup(io.BytesIO(damage))
    if result.valid:
        with decompressed(io.BytesIO(damage), 1 << 20) as stream:
            assert stream.read() == content
        event("the content is whole")
    else:
        _refused(alias, damage)


def _packed(data: bytes, how: str) -> bytes:
    if how == "gzip":
        return gzip.compress(data, mtime=0)
    return zstandard.ZstdCompressor(write_checksum=True).compress(data) if how == "zstd" else data
