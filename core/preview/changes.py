"""The lists of what restores changed, which are kept for later."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from django.conf import settings

from core.models import Phase
from core.preview.stored import StoredPreview
from core.register.declared import SCHEMA
from recordsync.merge import Counts
from recordsync.plan import Account, Batch, ChangeList, decided_batches, list_changes
from recordsync.system.files import whole_file
from recordsync.system.progress import EVERY, Progress

CHANGES_KEPT: Final = dt.timedelta(days=90)
"""How long the list of what a restore changed is kept."""


def changes_file(operation: uuid.UUID) -> Path:
    """The path of the list of what a restore changed."""
    return Path(settings.DATA_DIR) / "changes" / f"{operation}.jsonl.gz"


def changes_before(moment: dt.datetime) -> set[uuid.UUID]:
    """The ids of the restores whose lists were written before this moment."""
    files = (Path(settings.DATA_DIR) / "changes").glob("*.jsonl.gz")
    return {uuid.UUID(path.name.partition(".")[0]) for path in files if path.stat().st_mtime < moment.timestamp()}


def write_changes(preview: StoredPreview, path: Path, progress: Progress) -> dict[str, Counts]:
    """The counts of what becomes of the preview's lines as they are decided now, per model. Writes the list of changes.

    The list appears whole, or not at all. Raises OSError, and RecordSyncError where something is not decided.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    account = Account(preview.plan)

    def batches() -> Iterator[Batch]:
        done = next_report = 0
        for batch in decided_batches(preview.plan, preview.decisions(), account):
            if done >= next_report:
                progress(Phase.LIST, min(done, preview.plan.size), preview.plan.size)
                next_report = done + EVERY
            done += len(batch[1])
            yield batch

    with whole_file(path) as out:
        list_changes(out, SCHEMA, batches())
    return account.verified()


@contextmanager
def read_changes(operation: uuid.UUID) -> Iterator[ChangeList]:
    """The list of what a restore changes or has changed. Raises OSError, :class:`recordsync.errors.ListDamaged`."""
    with changes_file(operation).open("rb") as stream:
        yield ChangeList(stream, SCHEMA)
