"""The order of the lines of a 2.0 file: the one description that writer and scanner share.

A file is the metadata line, then the list of blocks (or ``null``), then for each section its opening text and its rows,
then the trailer line. A file for another installation has bases before the trailer line: each begins with its snapshot,
and has the same sections again. The rows of a section stand one a line between ``[`` and ``]``, with a comma after each
but the last. An empty section is ``[]`` on the line of its opening. So does the list of blocks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from recordsync.model.schema import Model

METADATA_START = b'{"metadata":'
BLOCKS_START = b',\n"blocks":'
NO_BLOCKS = b"null"
SECTIONS_END = b"},\n"
TRAILER_START = b'"trailer":'
END = SECTIONS_END + TRAILER_START
BASES_START = b'"bases":[\n'
BASE_START = b'{"snapshot":'
BASE_END = b"}}"
"""After the last section of a base."""
BASES_END = b"\n]"
AFTER_BASES = b",\n" + TRAILER_START


class Section(NamedTuple):
    """One array of the file: a model's records, or what was deleted of it."""

    model: Model
    deleted: bool
    opening: bytes
    """The text before its rows, from the end of the section before."""

    @property
    def place(self) -> str:
        """Its name in messages."""
        return f"deleted.{self.model.name}" if self.deleted else self.model.name


def sections(models: Iterable[Model]) -> Sequence[Section]:
    """The sections of a file that speaks about these models, in their order."""
    ordered: list[Section] = []
    models = tuple(models)
    for deleted in (False, True):
        for position, model in enumerate(models):
            name = b'"%s":[' % model.name.encode()
            first_deleted = b',\n"deleted":{'
            before = (b"," if position else first_deleted) if deleted else b",\n"
            ordered.append(Section(model, deleted, before + name))
    return ordered


def deletion_names(model: Model) -> tuple[str, ...]:
    """The names in the line of a deletion, in order."""
    return tuple(sorted((*model.key_names, "checksum")))
