"""What is told while somebody else holds the register."""

from __future__ import annotations

import datetime as dt
import re

import pytest
from django.utils import timezone
from pytest_django import Settings

from core import moments
from core.models import JOBS, BackupLog, Operation
from core.operations import holding, recovery
from core.operations.errors import RegisterBusy
from core.operations.traits import WRITERS
from core.register.database import Register
from recordsync.system import locks
from tests.builders.files import file
from tests.builders.operations import dead_operation
from tests.builders.registers import SMALL, rows
from tests.running.services import backup, restore


def test_a_busy_register_says_who(register_db: str, settings: Settings) -> None:
    settings.LOCK_WAIT_SECONDS = 0
    started = dt.datetime(2026, 11, 20, 18, 40, 5, tzinfo=dt.UTC)
    running = dead_operation(register_db, phase="apply", done=12_000, started_at=started)
    with locks.held(f"operation-{running.pk}", JOBS), Register(register_db).lock(0):
        with pytest.raises(RegisterBusy) as busy:
            restore(register_db, file(SMALL))
        assert str(busy.value) == (
            f"meena has been running a restore since {moments.moment(started)} (apply, 12,000 done). "
            "Nothing was changed. Try again when it has finished."
        )
        with pytest.raises(RegisterBusy, match=r"meena .* No backup was written\."):
            backup(register_db)
    assert rows(register_db).records == {}
    recovery.settle_accounts()  # now that the register is free
    told = BackupLog.objects.using(register_db).filter(success=False).values_list("operation", flat=True)
    assert sorted(told) == ["backup_full", "restore", "restore"]


@pytest.mark.parametrize("kind", WRITERS)
def test_whatever_writes_the_register_has_a_name_in_a_sentence(kind: str) -> None:
    operation = Operation(kind=kind, actor_name="meena", started_at=timezone.now())
    name = r"(a [b-df-hj-np-tv-z]|an [aeiou]|the [a-z])[a-z ]+"
    told = holding.who_runs(operation)
    assert re.match(f"meena has been running {name} since ", told), told
    operation.state = Operation.State.WAITING
    told = holding.who_runs(operation)
    assert re.match(rf"meena asked for {name} at \d", told), told
    operation.filename = "a.json"
    assert " of a.json at " in holding.who_runs(operation)


def test_a_busy_register_without_a_name(register_db: str, settings: Settings) -> None:
    settings.LOCK_WAIT_SECONDS = 0
    with (
        Register(register_db).lock(0),
        pytest.raises(RegisterBusy, match="in use by another restore or import"),
    ):
        restore(register_db, file(SMALL))
