"""``python -m benchmarks.snapshot start|take`` starts, and takes a snapshot of the register as a backup does."""

from __future__ import annotations

import sys

import django

SECONDS_TO_WAIT = 10


def main() -> None:
    """Take a snapshot, if asked for. Raises SystemExit if nothing had changed since the one before."""
    django.setup()
    from core.models import Installation
    from core.register.database import DEFAULT
    from recordsync.history.snapshots import Occasion
    from recordsync.model.json_values import InstallationName

    if sys.argv[1] == "take":
        this = Installation.current("default")
        occasion = Occasion(InstallationName(str(this.id), this.name), "bench", "backup")
        before = DEFAULT.history.head()
        DEFAULT.history.take(occasion, SECONDS_TO_WAIT)
        if DEFAULT.history.head() == before:
            raise SystemExit("There was nothing to take.")


if __name__ == "__main__":
    main()
