"""Texts of a file in error messages: never longer than a person reads, because a file may hold names of megabytes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from recordsync.errors import FileError
from recordsync.model.schema import Model

_DIGITS = 12
_SHOWN = 200
"""Characters of a value that are shown."""
_KEY = 300
_MESSAGE = 2000


def shown(value: Any) -> str:
    """A value for an error message: as JSON, or as the start of a text; never more than a line."""
    text = value.decode("utf-8", "backslashreplace").rstrip("\n") if isinstance(value, bytes) else as_json(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def kept(value: Any) -> Any:
    """A value that an error keeps: itself, or the start of its text if it is long or deep."""
    return value if value is None or isinstance(value, int | float) else cut(value)


def cut(value: Any, length: int = _SHOWN) -> str:
    """The start of a value's text."""
    text = value if isinstance(value, str) else as_json(value)
    return text if len(text) <= length else text[:length] + "…"


def as_json(value: Any) -> str:
    """A value as JSON, or a note in its place."""
    try:
        return json.dumps(value, ensure_ascii=False)
    except RecursionError:
        return "(a value nested too deeply)"


def bounded(error: FileError) -> FileError:
    """The error with long texts cut."""
    return replace(
        error,
        message=cut(error.message, _MESSAGE),
        key=error.key and tuple(cut(part, _KEY) for part in error.key),
        field=error.field and cut(error.field),
    )


def text_key(key: Sequence[Any], model: Model) -> tuple[str, ...]:
    """A key of a file, which may hold anything, as short texts, as people read it."""
    return model.spelt([cut(part, _KEY) if part is not None else "" for part in key])


def quoted(message: str) -> str:
    """The name that a validation message of msgspec quotes last."""
    parts = message.split("`")
    return parts[-2] if len(parts) > 2 else ""


def value_at(content: Any, path: str) -> Any:
    """The value at a dotted path, or None if there is none."""
    for name in path.split("."):
        if not isinstance(content, dict) or name not in content:
            return None
        content = content[name]
    return content


def digest_start(digest: object) -> str:
    """The start of a digest, for a sentence: enough to tell it from another."""
    return f"{str(digest)[:_DIGITS]}…" if len(str(digest)) > _DIGITS else repr(digest)


def wrong_checksum(given: object, right: str) -> str:
    """What is wrong with a record whose checksum is not that of its content."""
    return (
        f"the checksum is {digest_start(given)}, and the record's own is {digest_start(right)}: the record is damaged "
        "or was changed by hand"
    )
