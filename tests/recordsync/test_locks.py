"""Named locks, between processes, on both engines."""

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack

import pytest
from django.db import connections

from recordsync.errors import LockTimeout
from recordsync.locks import held, is_free
from tests.recordsync.processes import kill, other_process

HOLDING = """
from recordsync.locks import held
with held("register", alias):
"""


def take(alias: str, name: str = "register", wait: float = 0) -> None:
    with held(name, alias, wait=wait):
        pass


def test_a_lock_is_free_before_and_after(register_db: str) -> None:
    assert is_free("register", register_db)
    with held("register", register_db):
        assert not is_free("register", register_db)
    assert is_free("register", register_db)


def test_a_held_lock_is_refused_at_once(register_db: str) -> None:
    started = time.monotonic()
    with held("register", register_db), pytest.raises(LockTimeout, match="'register' is held by someone else"):
        take(register_db)
    assert time.monotonic() - started < 5


def test_locks_of_other_names_are_independent(register_db: str) -> None:
    with held("register", register_db), held("operation-1", register_db):
        assert is_free("operation-2", register_db)
        assert not is_free("operation-1", register_db)


def test_an_error_in_the_block_releases_it(register_db: str) -> None:
    with pytest.raises(ZeroDivisionError), held("register", register_db):
        raise ZeroDivisionError
    assert is_free("register", register_db)


def test_another_process_holds_it_until_it_is_killed(register_db: str) -> None:
    with other_process(register_db, HOLDING) as process:
        assert not is_free("register", register_db)
        with pytest.raises(LockTimeout):
            take(register_db)
        kill(process)
        take(register_db, wait=30)  # PostgreSQL's server notices in its own time
    assert is_free("register", register_db)


def test_who_waits_gets_it_when_it_is_released(register_db: str) -> None:
    with other_process(register_db, HOLDING) as process:
        waited: list[float] = []

        def let_go() -> None:
            if not waited:
                assert process.stdin is not None
                process.stdin.write("\n")
                process.stdin.flush()
            waited.append(time.monotonic())

        with held("register", register_db, wait=30, while_waiting=let_go):
            assert waited
            assert not is_free("register", register_db)


def test_who_waits_can_give_up(register_db: str) -> None:
    def give_up() -> None:
        raise InterruptedError

    with other_process(register_db, HOLDING), pytest.raises(InterruptedError):
        take_waiting(register_db, give_up)
    assert is_free("register", register_db)


def take_waiting(alias: str, while_waiting: Callable[[], None]) -> None:
    with held("register", alias, wait=30, while_waiting=while_waiting):
        raise AssertionError("it is held")


def test_waiting_ends(register_db: str) -> None:
    with held("register", register_db):
        started = time.monotonic()
        with pytest.raises(LockTimeout):
            take(register_db, wait=0.3)
        assert 0.3 <= time.monotonic() - started < 5


def test_it_is_held_by_one_at_a_time(register_db: str) -> None:
    """Several threads in turn: on SQLite each release removes the lock's file under the others."""
    inside: list[int] = []
    most: list[int] = []

    def work(number: int) -> None:
        try:
            for _ in range(5):
                with held("register", register_db, wait=60):
                    inside.append(number)
                    most.append(len(inside))
                    time.sleep(0.002)
                    inside.remove(number)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 20


def test_a_lock_on_a_file_that_its_holder_removed_is_not_taken_for_the_lock(
    register_db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opened before the holder let go, locked after: the name is another file's by then."""
    import fcntl

    if register_db != "default":
        pytest.skip("PostgreSQL has no lock files")
    flock = fcntl.flock
    with ExitStack() as stack:
        holder = stack.enter_context(ExitStack())
        holder.enter_context(held("register", register_db))
        calls: list[int] = []

        def late(descriptor: int, operation: int) -> None:
            calls.append(descriptor)
            if len(calls) == 1:
                holder.close()
            flock(descriptor, operation)

        monkeypatch.setattr(fcntl, "flock", late)
        with held("register", register_db, wait=5):
            monkeypatch.undo()
            assert len(calls) == 2
            assert not is_free("register", register_db)


def test_a_transaction_of_the_holder_does_not_matter(register_db: str) -> None:
    from django.db import transaction

    with transaction.atomic(using=register_db), held("register", register_db):
        assert not is_free("register", register_db)
    assert is_free("register", register_db)
