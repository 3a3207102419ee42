"""The merge table of docs/merging.md, written out once more, on plain dictionaries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tests.builders.days import UNITS, Content
from tests.builders.files import checksum

Side = Literal["ours", "theirs"]
SIDES: Mapping[str, Side] = {"backup_wins": "theirs", "database_wins": "ours"}

UNKNOWN: Any = object()
"""A base that nobody knows, or what nobody has."""


@dataclass(frozen=True)
class Result:
    """What becomes of one key: its content (None: it is not there), and whether somebody had to decide."""

    content: Content | None
    conflict: bool = False


def merged(
    base: Content | None,
    ours: Content | None,
    theirs: Content | None,
    side: Side,
    *,
    fields: Iterable[str],
    deleted: str | None = None,
    complete: bool = False,
) -> Result:
    """One row of the table. ``base``: UNKNOWN, None (known not to have had the key), or what it had.

    ``fields``: those that the file has. ``deleted``: the checksum with which the file lists the key as deleted.
    ``complete``: the file speaks about every key.
    """
    names = tuple(fields)

    def seen(content: Content | None) -> Content | None:
        return None if content is None else {name: content[name] for name in names}

    b = base if base is UNKNOWN else seen(base)
    o, t = seen(ours), seen(theirs)
    winner = ours if side == "ours" else _taken(ours, theirs, names)
    if t is None and deleted is None and (b is UNKNOWN or not complete):
        return Result(ours)  # it does not speak about this key
    if o == t:
        return Result(ours)
    if b is UNKNOWN or b is None:
        if o is None:
            return Result(_taken(None, theirs, names))
        if t is None:
            if b is None:
                return Result(ours)
            return Result(None) if checksum(o) == deleted else Result(winner, conflict=True)
        return _by_units(ours, o, t, UNKNOWN, side)
    if o == b:
        return Result(_taken(ours, theirs, names))
    if t == b:
        return Result(ours)
    if o is None or t is None:
        return Result(winner, conflict=True)
    return _by_units(ours, o, t, b, side)


def _taken(ours: Content | None, theirs: Content | None, names: tuple[str, ...]) -> Content | None:
    """Their record, with ours (or blank, or null) where the file lacks fields."""
    if theirs is None:
        return None
    blank: Content = ours or {name: "" if name in ("ep_name", "shift") else None for name in theirs}
    return {name: theirs[name] if name in names else blank[name] for name in theirs}


def _by_units(ours: Content | None, o: Content, t: Content, b: Any, side: Side) -> Result:
    """Each unit from the side that changed it; from ``side`` where both did."""
    result = dict(ours or {})
    conflict = False
    for members in UNITS.values():
        if members[0] not in t:
            continue
        one, other = [o[name] for name in members], [t[name] for name in members]
        before = UNKNOWN if b is UNKNOWN else [b[name] for name in members]
        if other in (one, before):
            continue
        if one != before:
            conflict = True
            if side == "ours":
                continue
        result.update(zip(members, other, strict=True))
    return Result(result, conflict)
