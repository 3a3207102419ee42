"""What a file for another installation brings for later merges: it is checked like everything else."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any, Final

import pytest

from core.register.declared import SCHEMA
from recordsync.backupfile import Limits, UncheckedFile
from recordsync.errors import CheckNeeded
from tests.builders.files import sealed
from tests.recordsync.backupfile.golden_content import FOLDER
from tests.recordsync.support import checked

FILE: Final = (FOLDER / "backup-2.0-bases.json").read_text("utf-8")
START: Final = FILE.index('"bases":[')
TRAILER: Final = json.loads(FILE)["trailer"]


def changed(change: Callable[[str], str], **trailer: Any) -> bytes:
    """The file with other bases. Its digest is right."""
    body = FILE[:START] + change(FILE[START : FILE.index('"trailer"')])
    known = {name: value for name, value in {**TRAILER, **trailer}.items() if value is not None and name != "sha256"}
    return sealed(body, known)


def of_base(old: str, new: str) -> Callable[[str], str]:
    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new, 1)

    return change


def second_twice(text: str) -> str:
    start = text.index('},\n{"snapshot"') + 3
    return text[:-4] + ",\n" + text[start:]


WRONG: Final[dict[str, tuple[bytes, str]]] = {
    "a checksum": (changed(of_base('"ep_name":"Anna"', '"ep_name":"Anne"')), "the checksum is"),
    "a record of nothing": (changed(of_base('"status":"P"', '"status":"X"')), "status is"),
    "an id": (changed(of_base('"number":2', '"number":3')), "Expected the id that what it says and its parents have"),
    "a header that says no tree": (changed(of_base('"tree":"', '"tree":"x')), "base says.tree: Expected"),
    "a base twice": (changed(second_twice, bases=3), "stands there once"),
    "a count": (changed(lambda text: text, bases=3), "the trailer says bases 3, and the file holds 2"),
    "no count": (changed(lambda text: text, bases=None), "the trailer has no bases"),
    "a row that is deleted as well": (
        changed(of_base('"name":"New"}', '"name":"é"}')), "among the records and among the deleted of a base"),
    "no bases at all": (changed(lambda text: '"bases":[\n],\n', bases=None), "was expected"),
    "no end": (changed(of_base("}}\n],\n", "}}\n]\n")), "was expected"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_what_is_false_is_named(what: str) -> None:
    data, message = WRONG[what]
    errors = [error.message for error in checked(data).errors]
    assert any(message in error for error in errors), errors


def read_once(file: UncheckedFile) -> None:
    with file.open() as reader:
        for model in SCHEMA:
            list(reader.rows(model))


def test_such_a_file_is_checked_before_it_is_read() -> None:
    """Also where its bases have no rows, which a pass over its own rows would not see."""
    for text in (FILE, FILE[:START] + FILE[START:].replace("Anna", "Anne")):
        with pytest.raises(CheckNeeded):
            read_once(UncheckedFile(io.BytesIO(text.encode()), SCHEMA, Limits()))
