"""Named locks, between processes, on both engines."""

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from django.db import connections, transaction

from recordsync.errors import LockLost, LockTimeout
from recordsync.system import locks
from recordsync.system.locks import Lock, abandoned, held, is_free
from tests.running.databases import LONG
from tests.running.processes import kill, other_process

HOLDING = """
from recordsync.system.locks import held
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
    def waits() -> None:
        raise AssertionError("it waits")

    with (
        held("register", register_db),
        pytest.raises(LockTimeout, match="'register' is held by someone else"),
        held("register", register_db, while_waiting=waits),
    ):
        pass


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
        assert 0.3 <= time.monotonic() - started < LONG / 2


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
    with transaction.atomic(using=register_db), held("register", register_db):
        assert not is_free("register", register_db)
    assert is_free("register", register_db)


def cut(alias: str) -> None:
    """Whoever holds a lock loses it and lives: its connection is ended, or its file removed."""
    connection = connections[alias]
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks WHERE locktype = 'advisory' "
                "AND mode = 'ExclusiveLock' AND pid <> pg_backend_pid() "
                "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            )
            assert cursor.fetchall()
    else:
        shutil.rmtree(Path(f"{connection.settings_dict['NAME']}.locks"))


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@contextmanager
def unwatched(lock: Lock) -> Iterator[None]:
    """A block in which the lock's keeper does not look whether it is still held, however long the block takes."""
    keep, ended = lock.keep, threading.Event()

    def late() -> bool:
        if threading.current_thread().name.startswith("keeper of"):
            assert ended.wait(LONG)
        return keep()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lock, "keep", late)
        try:
            yield
        finally:
            ended.set()


def test_a_holder_that_lost_its_lock_takes_it_again(register_db: str) -> None:
    with held("register", register_db) as lock:
        with unwatched(lock):
            cut(register_db)
            assert is_free("register", register_db)
        until(lambda: not is_free("register", register_db))
        with pytest.raises(LockTimeout):
            take(register_db)
    assert is_free("register", register_db)
    take(register_db)


def test_who_holds_a_lock_is_not_taken_for_dead_nor_the_dead_for_alive(
    register_db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "_SECONDS_BETWEEN_LOOKS", 0.02)  # it must look before it is taken for dead
    with held("operation-1", register_db), other_process(register_db, HOLDING) as process:
        if register_db == "pg":
            cut(register_db)
        assert abandoned(["operation-1", "register"], register_db) == set()
        kill(process)
        until(lambda: is_free("register", register_db))
        assert abandoned(["operation-1", "register"], register_db) == {"register"}


def test_nobody_comes_between_while_the_transaction_of_a_holder_is_open(register_db: str) -> None:
    if register_db != "pg":
        pytest.skip("SQLite's writers lock the whole file")
    lock = locks._lock("register", register_db)  # and nobody who would take it again
    with transaction.atomic(using=register_db):
        assert lock.acquire()
        lock.bind(connections[register_db])
        lock.release()
        assert not is_free("register", register_db)
        with pytest.raises(LockTimeout):
            take(register_db)
    take(register_db)


def test_whoever_has_a_lock_that_another_lost_is_left_alone(register_db: str) -> None:
    lost = threading.Event()
    with held("register", register_db, on_lost=lost.set) as lock, ExitStack() as other:
        with unwatched(lock):
            cut(register_db)
            other.enter_context(held("register", register_db))
        assert lost.wait(LONG)
        assert not is_free("register", register_db)


def test_a_lock_file_that_was_removed_in_a_transaction_is_noticed(register_db: str) -> None:
    if register_db != "default":
        pytest.skip("PostgreSQL has no lock files")
    with held("register", register_db) as lock:
        cut(register_db)
        lock.bind(connections[register_db])  # taken again before anything was written
        lock.confirm()
        cut(register_db)
        with pytest.raises(LockLost, match="others could have come between"):
            lock.confirm()
        lock.bind(connections[register_db])
        cut(register_db)
        until(lambda: not is_free("register", register_db))
        with pytest.raises(LockLost):
            lock.confirm()
    with held("register", register_db) as lock, unwatched(lock):
        cut(register_db)
        with held("register", register_db), pytest.raises(LockLost):
            lock.bind(connections[register_db])
