"""The types of values in JSON that headers of snapshots and the first lines of a 2.0 file share."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from recordsync.model.fields import TIMESTAMP, UUID_SHAPE, whole_pattern

SHA256_SHAPE: Final = "[0-9a-f]{64}"
_MOMENT: Final = TIMESTAMP.json_schema()["pattern"]
LARGEST: Final = 2**53 - 1
"""The largest whole number of RFC 8785."""

UuidText = Annotated[str, msgspec.Meta(pattern=whole_pattern(UUID_SHAPE), description="A UUID, lower case (RFC 9562).")]
Sha256Text = Annotated[str, msgspec.Meta(pattern=whole_pattern(SHA256_SHAPE), description="SHA-256, lower-case hex.")]
MomentText = Annotated[str, msgspec.Meta(pattern=_MOMENT, description="A moment in UTC with microseconds (RFC 3339).")]
Count = Annotated[int, msgspec.Meta(ge=0, le=LARGEST)]
Positive = Annotated[int, msgspec.Meta(ge=1, le=LARGEST)]
Name = Annotated[str, msgspec.Meta(max_length=150)]


class InstallationName(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An installation."""

    id: UuidText
    name: Annotated[str, msgspec.Meta(max_length=100)]
