"""What a file says of its snapshot and its ancestors: every history is taken as it is, and no false one."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import Any, Final

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.register.declared import SCHEMA
from recordsync.backupfile.ancestry import check_ancestry
from recordsync.history.headers import Merge
from tests.builders.ancestry import digest, header, merge, says, snapshot_id
from tests.builders.files import sha256
from tests.builders.records import company, sections, written
from tests.recordsync.support import checked, lines_of, opened, resealed, set_metadata

FILE: Final = written(sections([company("ABC")]))
PARENT: Final = sha256("parent")
RENAME: Final = {"model": "companies", "before": "ABC", "after": "Abc"}

Node = tuple[dict[str, Any], Sequence[int | str]]
"""What a snapshot says, and its parents: positions, or ids of those that are not listed."""


def incremental(*nodes: Node, parent: str = PARENT, compact: bool = True) -> dict[str, Any]:
    """The metadata of an incremental file that continues ``parent``. The last of the nodes is its snapshot."""
    ancestors = [
        [digest(said) if compact and not stands_in_full(said) else said, list(parents)] for said, parents in nodes[:-1]
    ]
    snapshot = headers_of(nodes)[-1]
    return {"backup_type": "incremental", "parent": parent, "snapshot": snapshot, "ancestors": ancestors}


def headers_of(nodes: Sequence[Node]) -> list[dict[str, Any]]:
    headers: list[dict[str, Any]] = []
    for said, parents in nodes:
        headers.append(header(said, *(headers[one]["id"] if isinstance(one, int) else one for one in parents)))
    return headers


def stands_in_full(said: dict[str, Any]) -> bool:
    return said.get("kind") == "merge" or bool(said.get("renames"))


def file(metadata: dict[str, Any]) -> bytes:
    """A file with these metadata. Its digest is right, whatever they are."""
    first, *others = lines_of(FILE)
    return resealed([set_metadata(first, **metadata), *others])


@st.composite
def histories(draw: st.DrawFn) -> list[Node]:
    """Snapshots since ``PARENT``, in topological order; each is an ancestor of the last."""
    nodes: list[Node] = [(says(1), [PARENT])]
    loose = {0}
    for number in range(1, draw(st.integers(1, 8))):
        first = draw(st.sampled_from([PARENT, *range(number)]))
        second = draw(st.sampled_from([None, PARENT, sha256("elsewhere"), *range(number)]))
        parents = [first] if second in (None, first) else [first, second]
        message, renames = draw(st.text(st.characters(exclude_categories=["Cs"]), max_size=5)), draw(st.booleans())
        message = message.replace("\0", "")
        if len(parents) == 2 and draw(st.booleans()):
            ids = [one["id"] for one in headers_of(nodes)]
            parents.sort(key=lambda parent: ids[parent] if isinstance(parent, int) else parent)
            nodes.append((merge(sha256(str(number))), parents))
        else:
            nodes.append((says(number + 1, message=message, renames=[RENAME] if renames else []), parents))
        loose = loose.difference(parents) | {number}
    while len(loose) > 1:
        pair = sorted(loose)[:2]
        loose = loose.difference(pair) | {len(nodes)}
        nodes.append((says(len(nodes) + 1), list(pair)))
    return nodes


@given(histories(), st.booleans())
def test_every_history_is_read_back_as_it_is(nodes: list[Node], compact: bool) -> None:
    described = incremental(*nodes, compact=compact)
    metadata = opened(file(described)).metadata
    assert metadata.as_dict()["snapshot"] == described["snapshot"]
    assert orjson.dumps(metadata.as_dict()["ancestors"]) == orjson.dumps(described["ancestors"])
    assert metadata.snapshot is not None
    known = check_ancestry(metadata.snapshot, metadata.ancestors or [], PARENT, SCHEMA)
    assert [(one.id, list(one.parents)) for one in known] == [
        (one["id"], one["parents"]) for one in headers_of(nodes)[:-1]
    ]
    kinds = [said["kind"] == "merge" for said, _parents in nodes[:-1]]
    assert [isinstance(one.says, Merge) for one in known] == kinds, "a reader tells a merge from an ordinary one"


@given(histories(), st.data())
def test_a_history_that_is_false_in_one_place_is_refused(nodes: list[Node], data: st.DataObject) -> None:
    described = incremental(*nodes, compact=data.draw(st.booleans()))
    lines = orjson.dumps({name: described[name] for name in ("snapshot", "ancestors")}).decode()
    digests = [at for found in re.finditer("[0-9a-f]{64}", lines) for at in range(*found.span())]
    at = data.draw(st.sampled_from(digests))
    other = data.draw(st.sampled_from([one for one in "0123456789abcdef" if one != lines[at]]))
    false = orjson.loads(lines[:at] + other + lines[at + 1 :])
    report = checked(file(described | false))
    assert [(error.line, str(error.field)[:8]) for error in report.errors] in (
        [[(1, name)] for name in ("snapshot", "ancestor", "parent")]
    )


def says_of(**changed: Any) -> dict[str, Any]:
    return incremental((says() | changed, [PARENT]))


MERGED: Final = sorted([PARENT, sha256("other")])
WRONG: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "a false id": (
        incremental((says(), [PARENT])) | {"snapshot": header(says(), PARENT) | {"id": PARENT}}, "snapshot.id"),
    "no parents": (incremental((says(), [])), "parent"),
    "the parent is not in it": (incremental((says(), [PARENT]), parent=sha256("x")), "parent"),
    "the parent is listed": (incremental((says(), []), (says(2), [0]), parent=snapshot_id(says(), [])), "ancestors"),
    "an ancestor of the parent, which is the snapshot": (
        incremental((says(), [PARENT]), (says(2), [0]), parent=snapshot_id(says(2), [snapshot_id(says(), [PARENT])])),
        "ancestors"),
    "a parent twice": (incremental((says(), [PARENT, PARENT])), "snapshot.parents"),
    "three parents": (incremental((says(), [PARENT, *MERGED])), "snapshot.parents"),
    "an ancestor's parent twice": (incremental((says(), [PARENT, PARENT]), (says(2), [0])), "ancestors"),
    "a merge of one": (incremental((merge(), [PARENT])), "snapshot.parents"),
    "a merge out of order": (incremental((merge(), MERGED[::-1])), "snapshot.parents"),
    "an ancestor twice": (incremental((says(), [PARENT]), (says(), [PARENT]), (says(2), [0, 1])), "ancestors"),
    "an ancestor of nothing": (incremental((says(), [PARENT]), (says(2), [PARENT])), "ancestors"),
    "a position that is not before it": (
        incremental((says(), [PARENT]), (says(2), [0])) | {"ancestors": [[digest(says()), [0]]]}, "ancestors"),
    "a position below zero": (
        incremental((says(), [PARENT]), (says(2), [0])) | {"ancestors": [[digest(says()), [-1]]]}, "ancestors"),
    "an ancestor listed and named by its id": (
        incremental((says(), [PARENT]), (says(2), [header(says(), PARENT)["id"], PARENT]), (says(3), [0, 1])),
        "ancestors"),
    "an ancestor that merges one": (incremental((merge(), [PARENT]), (says(2), [0])), "ancestors"),
    "an ancestor that merges out of order": (incremental((merge(), MERGED[::-1]), (says(2), [0])), "ancestors"),
    "an ancestor that is a merge and says more": (
        incremental((merge() | {"number": 1}, MERGED), (says(2), [0])), "ancestors"),
    "no kind": (incremental(({"tree": PARENT}, MERGED)), "snapshot.says"),
    "no kind of an ancestor in full": (
        incremental((says(), [PARENT]), (says(2), [0]))
        | {"ancestors": [[{name: value for name, value in says().items() if name != "kind"}, [PARENT]]]}, "ancestors"),
    "a merge that says more": (incremental((merge() | {"number": 1}, MERGED)), "snapshot.says"),
    "a number of none": (says_of(number=0), "snapshot.says.number"),
    "a tree that is no digest": (says_of(tree="x"), "snapshot.says.tree"),
    "a day that is none": (says_of(moment="2026-02-30T00:00:00.000000Z"), "snapshot.says"),
    "a long message": (says_of(message="x" * 1001), "snapshot.says.message"),
    "a rename of a day": (says_of(renames=[RENAME | {"model": "attendance_records"}]), "snapshot.says"),
    "a rename of nothing known": (says_of(renames=[RENAME | {"model": "people"}]), "snapshot.says"),
    "a rename to nothing": (says_of(renames=[RENAME | {"after": ""}]), "snapshot.says"),
    "a rename to the same": (says_of(renames=[RENAME | {"after": "ABC"}]), "snapshot.says"),
    "a rename twice": (says_of(renames=[RENAME, RENAME]), "snapshot.says"),
    "two names become one": (says_of(renames=[RENAME, RENAME | {"before": "X"}]), "snapshot.says"),
    "an ancestor's rename to nothing": (
        incremental((says(renames=[RENAME | {"after": ""}]), [PARENT]), (says(2), [0])), "ancestors"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_what_is_false_is_named(what: str) -> None:
    metadata, field = WRONG[what]
    (error,) = checked(file(metadata)).errors
    assert (error.line, str(error.field).partition("[")[0]) == (1, field)


def test_a_full_file_lists_all_ancestors() -> None:
    """None by its id alone; those of an incremental one are known by the register that it is for."""
    nodes: list[Node] = [(says(1), []), (says(2), [0]), (says(3), [0]), (merge(), [])]
    ids = [snapshot_id(says(1), [])]
    ids += [snapshot_id(says(number), [ids[0]]) for number in (2, 3)]
    first, last = sorted([1, 2], key=lambda position: ids[position])
    nodes[3] = (merge(), [first, last])
    described = incremental(*nodes) | {"backup_type": "full", "parent": None}
    named = described | {"ancestors": described["ancestors"][1:]}
    assert [error.field for error in checked(file(named)).errors] == ["ancestors"]
    by_id = described | {"ancestors": [[digest(says(2)), [ids[0]]]]}
    assert [error.field for error in checked(file(by_id)).errors] == ["ancestors"]
    unknown = described | {"ancestors": described["ancestors"][:2]}
    assert [error.field for error in checked(file(unknown)).errors] == ["snapshot.parents"]


@pytest.mark.untraced
def test_the_ids_of_ten_thousand_ancestors_are_found_in_one_pass() -> None:
    """Each has two parents among all before it, so that no ancestry is walked twice."""
    chance = random.Random(1)
    nodes: list[Node] = [(says(1), [PARENT])]
    for number in range(1, 10_000):
        other = chance.randrange(number)
        nodes.append((says(number), [number - 1] if other == number - 1 else [number - 1, other]))
    assert opened(file(incremental(*nodes))).metadata.snapshot is not None
