"""Another person who holds the register."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connections

from core.models import Company, Kind
from core.operations import holding
from core.operations import run as operations
from core.operations.run import Actor
from core.register.database import Register
from tests.builders.registers import LONG_AGO


@contextmanager
def held(alias: str) -> Iterator[None]:
    """A block during which Meena restores in another thread, so that she alone can write to the register."""
    holds, end = threading.Event(), threading.Event()

    def restore() -> None:
        try:
            with (
                operations.running(Kind.RESTORE, Actor("meena"), Register(alias)) as run,
                holding.holding_register(run),
            ):
                run("apply", 12, 100)
                Company.objects.using(alias).update(updated_at=LONG_AGO)
                holds.set()
                end.wait()
        finally:
            holds.set()
            connections.close_all()

    thread = threading.Thread(target=restore)
    thread.start()
    assert holds.wait(120)
    try:
        yield
    finally:
        end.set()
        thread.join()
