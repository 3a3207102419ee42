"""A month is closed while somebody else writes into it, or while the process dies."""

from __future__ import annotations

import datetime as dt
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from django.db import connections

from core.attendance.exceptions import exceptions
from core.attendance.records import RecordService
from core.attendance.seals import close_month, to_close
from core.backups import catalogue
from core.models import AttendanceRecord, Company, Seal, User
from core.operations.closed import MonthsAreClosed
from core.operations.errors import DataMoved
from core.register.closed import standing_seals
from core.register.database import Register
from tests.builders.days import ABC, day
from tests.builders.registers import put, register
from tests.builders.trees import snapshot_file
from tests.faults.test_killed_history import killing, wait_for_the_dead
from tests.running import databases, inspection
from tests.running.commands import SECONDS, end, injected, run
from tests.running.installation import ScratchInstallation

OCTOBER = dt.date(2025, 10, 1)
ACCEPTED = 100
"""More exceptions than such a register has."""


@pytest.mark.parametrize("first", ["save", "close"])
def test_of_somebody_who_saves_and_somebody_who_closes_one_is_refused(
    register_db: str, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one is in the middle of its transaction when the other begins, and waits until that waits for it."""
    put(register_db, register(day(date="2025-10-31")))
    root, here = User.objects.db_manager(register_db).create_superuser("root"), Register(register_db)
    company = Company.objects.using(register_db).get(name=ABC)
    record, seen = AttendanceRecord.objects.using(register_db).get(), to_close(root, company.pk, OCTOBER, here).digest
    inside, go_on = threading.Event(), threading.Event()
    is_first = threading.local()

    def stopping(work: Callable[..., object]) -> Callable[..., object]:
        def stop(*args: object, **options: object) -> object:
            result = work(*args, **options)
            if getattr(is_first, "yes", False):
                inside.set()
                assert go_on.wait(SECONDS)
            return result

        return stop

    # Of both it is what comes after the look at what is there, and before what is written.
    monkeypatch.setattr(catalogue, "stamp", stopping(catalogue.stamp))
    monkeypatch.setattr("core.attendance.seals.exceptions", stopping(exceptions))

    def save() -> None:
        RecordService(root, here).change(record.pk, record.updated_at, {"shift": "N"})

    def close() -> None:
        close_month(root, company.pk, OCTOBER, seen=seen, accepted=ACCEPTED, register=here)

    def done(work: Callable[[], None], begins: bool) -> None:
        is_first.yes = begins
        databases.patient(register_db)
        try:
            work()
        finally:
            connections.close_all()

    ways = {"save": save, "close": close}
    (other,) = ways.keys() - {first}
    with ThreadPoolExecutor(2) as people:
        one: Future[None] = people.submit(done, ways[first], True)
        assert inside.wait(SECONDS), one.exception()
        two: Future[None] = people.submit(done, ways[other], False)
        with pytest.raises(TimeoutError):
            two.result(0.5)  # it waits
        go_on.set()
        assert one.exception(SECONDS) is None
        refused = two.exception(SECONDS)
    assert isinstance(refused, DataMoved if first == "save" else MonthsAreClosed), refused
    record.refresh_from_db()
    assert (record.shift, len(standing_seals(here))) == (("N", 0) if first == "save" else ("GS", 1))


CLOSE = (
    "import datetime; from core.attendance.seals import close_month, to_close;"
    "from core.models import Company, User;"
    f"c = Company.objects.get(); d = datetime.date({OCTOBER.year}, {OCTOBER.month}, 1);"
    f"u = User.objects.get(); close_month(u, c.pk, d, seen=to_close(u, c.pk, d).digest, accepted={ACCEPTED})"
)
KILL = (
    "import os\nfrom core.operations.run import Run\nRun.{method} = lambda *args, **options: os.kill(os.getpid(), 9)\n"
)


def test_a_killed_closing_has_happened_or_not(installation: ScratchInstallation) -> None:
    with installation.opened() as alias:
        put(alias, register(day(date="2025-10-31")))
        User.objects.db_manager(alias).create_superuser("root")
    words = ("shell", "--no-imports", "-c", CLOSE)
    # Before the audit row is written, and when all is done but for what the operation says of itself.
    for method, closed in (("save_log", 0), ("finish", 1)):
        ended = end(injected(installation, KILL.format(method=method), *words))
        assert ended.code != 0, ended.out + ended.err
        with installation.opened() as alias:
            assert Seal.objects.using(alias).standing().count() == closed
    assert run(installation, "backup_data", "--quiet").code == 0  # so that the killed ones are accounted for
    inspection.accounts(installation).assert_settled()
    assert run(installation, *words).code != 0, "it is closed already"
    with installation.opened() as alias:
        assert Seal.objects.using(alias).count() == 1


def test_a_killed_restore_that_reopens_a_month_has_happened_or_not(installation: ScratchInstallation) -> None:
    with installation.opened() as alias:
        put(alias, register(day(date="2025-10-31")))
        User.objects.db_manager(alias).create_superuser("root")
    assert run(installation, "shell", "--no-imports", "-c", CLOSE).code == 0
    file = installation.folder / "theirs.json"
    file.write_bytes(snapshot_file(register(day(date="2025-10-31", shift="THEIRS"))).encode())
    words = ("restore_data", "--input", file, "--strategy", "backup_wins", "--reopen", "--quiet")
    # While its record is written, when the seal is reopened and the snapshot after is taken, and when all is committed.
    for point, happened in (
        ("recordsync.stores.sql:SqlStore._update", False),
        ("core.operations.snapshots:Keeper.after", False),
        ("core.operations.run:Run.finish", True),
    ):
        ended = end(injected(installation, killing(point, 1, is_before=happened), *words))
        assert ended.code == -signal.SIGKILL, ended.out + ended.err
        with installation.opened() as alias:
            wait_for_the_dead(alias)
            standing = Seal.objects.using(alias).standing().count()
            shift = AttendanceRecord.objects.using(alias).get().shift
        assert (standing, shift) == ((0, "THEIRS") if happened else (1, "GS"))
    assert run(installation, "backup_data", "--quiet").code == 0  # so that the killed ones are accounted for
    inspection.accounts(installation).assert_settled()
