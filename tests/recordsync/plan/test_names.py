"""What becomes of names that several snapshots of a base have."""

from __future__ import annotations

import pytest

from recordsync.history.relation import BaseIds, MergedBases
from recordsync.merge import Outcome
from recordsync.plan.renames import NewName, Shared, merged_names

DISPUTED = NewName("Theirs", None, Outcome.CONFLICT)
X_Y = MergedBases("x", "y", None)
X_Y_OF_B = MergedBases("x", "y", "b")


@pytest.mark.parametrize(
    ("base", "names", "became"),
    [
        ("x", {"x": "Ours"}, NewName("Theirs", "Ours", Outcome.TAKE)),
        ("x", {"x": "Theirs"}, NewName("Theirs", "Theirs", Outcome.KEEP)),
        ("x", {"x": "Old"}, NewName("Theirs", "Old", Outcome.CONFLICT)),
        (X_Y, {"x": "Ours", "y": "Ours"}, NewName("Theirs", "Ours", Outcome.TAKE)),
        (X_Y, {"y": "Ours"}, NewName("Theirs", "Ours", Outcome.TAKE)),
        (X_Y, {"x": "Ours", "y": "Theirs"}, DISPUTED),
        (X_Y_OF_B, {"b": "Ours", "x": "Ours", "y": "Theirs"}, NewName("Theirs", "Theirs", Outcome.KEEP)),
        (X_Y_OF_B, {"b": "Old", "x": "Ours", "y": "Theirs"}, DISPUTED),
        # What the first two differ in is disputed, whatever the third one has.
        (
            MergedBases(X_Y, "z", None),
            {"x": "Old", "y": "Older", "z": "Ours"},
            NewName("Theirs", None, Outcome.CONFLICT),
        ),
        (
            MergedBases("z", X_Y, None),
            {"x": "Ours", "y": "Older", "z": "Ours"},
            NewName("Theirs", None, Outcome.CONFLICT),
        ),
    ],
)
def test_what_bases_differ_in_is_disputed(base: BaseIds, names: dict[str, str], became: NewName) -> None:
    assert merged_names([Shared("Ours", "Theirs", names)], base) == {"Ours": became}
