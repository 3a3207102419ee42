"""What every benchmark runs in: a folder of its own, Django, and installations on real databases."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import django

from tests.installation import Installations
from tests.postgres_server import PostgresServer


@contextmanager
def surroundings(engines: Sequence[str]) -> Iterator[tuple[Path, Installations, PostgresServer | None]]:
    """The folder, what makes installations, and the server, which syncs to disk, if ``postgres`` is asked for."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "muster.settings")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="muster-bench-")))
        os.environ["DATA_DIR"] = str(folder / "var")
        django.setup()
        server = PostgresServer(durable=True) if "postgres" in engines else None
        if server:
            stack.callback(server.stop)
        yield folder, Installations(folder, server.url() if server else ""), server
