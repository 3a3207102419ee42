"""The lists of what restores changed, kept for whoever asks later."""

from __future__ import annotations

import datetime as dt
import gzip
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import orjson
from django.conf import settings

from core.models import Phase
from core.preview.stored import StoredPreview
from recordsync.system.progress import EVERY, Progress

CHANGES_KEPT: Final = dt.timedelta(days=90)
"""How long the list of what a restore changed is kept."""


def changes_file(operation: uuid.UUID) -> Path:
    """Where the list of what a restore changed is kept."""
    return Path(settings.DATA_DIR) / "changes" / f"{operation}.jsonl.gz"


def changes_before(moment: dt.datetime) -> set[uuid.UUID]:
    """The restores whose lists were last written before then."""
    files = (Path(settings.DATA_DIR) / "changes").glob("*.jsonl.gz")
    return {uuid.UUID(path.name.partition(".")[0]) for path in files if path.stat().st_mtime < moment.timestamp()}


def write_changes(preview: StoredPreview, path: Path, progress: Progress) -> None:
    """What applying the preview changes: one JSON object a line, with the record before and after."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    decide = preview.decisions()
    with path.open("wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=3, mtime=0) as out:
        for number, step in enumerate(preview.plan.steps(decide)):
            if number % EVERY == 0:
                progress(Phase.LIST, min(number, preview.plan.size), preview.plan.size)
            change = step.change
            if change is None:
                continue
            shape = step.model.shape()
            line: Mapping[str, Any] = {
                "model": step.model.name,
                "change": change.kind,
                "before": change.before and shape.content(change.before),
                "after": change.after and shape.content(change.after),
            }
            out.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
