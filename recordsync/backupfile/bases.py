"""The bases of a file for another installation: ancestors of its snapshot, of which it brings the content as well.

A base that is not at hand stops a merge. So such a file has, for ancestors that others may have too, the changes that
lead back to them: to the first from the file's own snapshot, to another one from that before it. Only who has what the
file continues can prove that they lead there.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from recordsync.backupfile.ancestry import check_header
from recordsync.backupfile.metadata import Metadata
from recordsync.backupfile.parsers import Note
from recordsync.errors import FileError
from recordsync.history.headers import Header
from recordsync.model.schema import Schema


def check_bases(metadata: Metadata, bases: Sequence[Header], schema: Schema, note: Note) -> None:
    """Note what is wrong with the snapshots of a file's bases. Whether one that the file does not list is an ancestor,
    is known by who has what the file continues."""
    if not bases:
        return
    if metadata.snapshot is None or metadata.backup_type == "full":
        note(FileError("only a file that continues a snapshot has bases", 1, field="bases"))
        return
    passed = {metadata.snapshot.id, metadata.parent}
    for base in bases:
        try:
            check_header(base, schema, "$.bases")
        except msgspec.ValidationError as error:
            note(FileError(f"base {base.id[:10]}: {error}", 1, field="bases", value=base.id))
        if base.id in passed:
            text = "a base is an ancestor of the file's snapshot, other than what it continues, and stands there once"
            note(FileError(text, 1, field="bases", value=base.id))
        passed.add(base.id)
