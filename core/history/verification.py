"""Reading the history again, and what it takes on disk."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

from django.db import Error
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from core.operations.errors import as_failure
from core.operations.results import summary_of
from core.register.database import DEFAULT, Register
from core.register.declared import SCHEMA
from recordsync.errors import RecordSyncError
from recordsync.history import marks
from recordsync.history.collect import Size, size_of
from recordsync.history.verify import Verified, verify_register, verify_store
from recordsync.system.progress import Progress, no_progress

VERIFY: Final = "verify_history"
SIZE: Final = "history_size"
"""What these are called in a summary."""

_NOT_VERIFIED: Final = _("Not all was verified.")


@dataclass(frozen=True)
class Verification:
    """What reading again found. ``register``: None if only the history store was read."""

    store: Verified
    register: Verified | None

    @property
    def errors(self) -> list[str]:
        """What is wrong, a sentence each."""
        return [*self.store.errors, *(self.register.errors if self.register else ())]

    @property
    def warnings(self) -> list[str]:
        """What is odd and nothing wrong: snapshots that went with an earlier history store."""
        if not self.store.lost:
            return []
        text = ngettext(
            "The history store has nothing of %(count)s snapshot, which cannot be shown any more: it was deleted or "
            "replaced since.",
            "The history store has nothing of %(count)s snapshots, which cannot be shown any more: it was deleted or "
            "replaced since.",
            self.store.lost,
        )
        return [text % {"count": f"{self.store.lost:,}"}]

    def summary(self) -> dict[str, Any]:
        """For JSON: the keys that every command's summary has, and what was read."""
        return summary_of(
            VERIFY,
            ok=not self.errors,
            records=self.store.records,
            errors=[{"message": error} for error in self.errors],
            error_count=len(self.errors),
            warnings=self.warnings,
            store=_read(self.store) | {"lost": self.store.lost},
            register=None if self.register is None else _read(self.register),
        )


def verify(
    *, with_register: bool = False, register: Register = DEFAULT, progress: Progress = no_progress
) -> Verification:
    """What is found by reading every block of the history again, and (``with_register``) every record of the register.

    Where the register is not what its head says, though nothing marks it as changed, everything is marked, so that the
    next snapshot reads it. Raises OperationFailed where a database does not answer, or a record is none that a file
    could hold.
    """
    history = register.history
    try:
        of_store = verify_store(history, progress)
        of_register = None
        if with_register:
            with register.read() as store:
                of_register = verify_register(history, store, progress)
            if of_register.errors:
                with register.commit():
                    marks.mark_all(register.alias, SCHEMA)
    except (Error, RecordSyncError) as error:
        raise as_failure(error, _NOT_VERIFIED) from error
    return Verification(of_store, of_register)


def size(register: Register = DEFAULT) -> Size:
    """What the history takes on disk. Raises OperationFailed where a database does not answer."""
    try:
        return size_of(register.history)
    except (Error, RecordSyncError) as error:
        raise as_failure(error) from error


def size_summary(found: Size) -> dict[str, Any]:
    """For JSON: the keys that every command's summary has, and the sizes."""
    return summary_of(SIZE, **asdict(found))


def _read(found: Verified) -> dict[str, int]:
    return {
        "snapshots": found.snapshots,
        "blocks": found.blocks,
        "records": found.records,
        "changed_since": found.dirty,
    }
