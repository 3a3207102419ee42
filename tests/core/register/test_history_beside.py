"""The history store is written over a connection of its own, while a transaction of the register is open."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
from django.db import Error, OperationalError, connections
from django.test import RequestFactory
from pytest_django import Settings
from pytest_django.plugin import DjangoDbBlocker

from core.models import Company
from core.operations.errors import as_failure, explain, is_locked
from core.register.database import Register
from core.web.views.failures import page
from muster import environment
from recordsync.errors import HistoryUnusable
from recordsync.history.databases import history_of
from recordsync.history.store import HistoryStore, StoredBlock
from tests.builders.files import sha256
from tests.running.databases import LONG, patient

LINE: Final = b'{"checksum":"%s"}' % sha256("").encode()
BLOCK: Final = sha256(sha256(""))
"""The digest of the block that has this line."""


class UndoneError(Exception):
    """Has a transaction rolled back."""


@pytest.fixture
def store(register_db: str) -> HistoryStore:
    return HistoryStore(history_of(register_db))


def put(store: HistoryStore, wait: float = 5) -> None:
    with store.writing(wait) as writer:
        assert writer.put([LINE]).digest == BLOCK
        writer.put_node(sha256("[]"), b"[]")


TRANSACTIONS: Final[dict[str, Callable[[Register], AbstractContextManager[Any]]]] = {
    "read": lambda register: register.read(),
    "write": lambda register: register.write(5),
    "change": lambda register: register.change([Company], 5),
    "change alone": lambda register: register.change([Company], 5, alone=True),
    "commit": lambda register: register.commit(5),
    "lock": lambda register: register.lock(5),
}


@pytest.mark.parametrize("name", TRANSACTIONS)
def test_blocks_stay_whatever_becomes_of_the_register(register_db: str, store: HistoryStore, name: str) -> None:
    register = Register(register_db)
    with suppress(UndoneError), TRANSACTIONS[name](register):
        put(store)
        assert not connections[store.alias].in_atomic_block
        if name not in ("read", "lock"):
            register.rows(Company).create(name="ABC Corp")
        raise UndoneError
    assert list(store.described([BLOCK])) == [BLOCK]
    assert not register.rows(Company).exists()


def test_blocks_that_are_undone_leave_the_register_alone(register_db: str, store: HistoryStore) -> None:
    register = Register(register_db)
    with register.write(5):
        register.rows(Company).create(name="before")
        with suppress(UndoneError), store.writing(5) as writer:
            writer.put([LINE])
            raise UndoneError
        register.rows(Company).create(name="after")
    assert register.rows(Company).count() == 2
    assert store.described([BLOCK]) == {}


def test_others_read_and_write_the_register_while_blocks_are_written(register_db: str, store: HistoryStore) -> None:
    register = Register(register_db)

    def save() -> None:
        try:
            patient(register_db)
            with register.write(LONG):
                register.rows(Company).create(name="ABC Corp")
        finally:
            connections.close_all()

    with store.writing(5) as writer:
        writer.put([LINE])
        writer.flush()
        other = threading.Thread(target=save)
        other.start()
        other.join(LONG)
        assert not other.is_alive()
        assert register.rows(Company).count() == 1
    assert list(store.described([BLOCK])) == [BLOCK]


def test_two_who_write_the_same_blocks_wait_for_each_other(store: HistoryStore) -> None:
    """On SQLite for the file, on PostgreSQL for the row. Nobody waits for longer than is said."""
    caught: list[Exception] = []

    def put_too() -> None:
        try:
            put(store, wait=0.2)
        except (Error, HistoryUnusable) as error:
            caught.append(error)
        finally:
            connections.close_all()

    with store.writing(5) as writer:
        writer.put([LINE])
        writer.flush()
        other = threading.Thread(target=put_too)
        other.start()
        other.join(LONG)
        assert not other.is_alive()
    assert [is_locked(error) for error in caught] == [True]
    put(store)


def test_an_error_of_the_register_stays_one(register_db: str, store: HistoryStore) -> None:
    """Blocks are made of the register's lines, which are read within the block that writes them."""
    with pytest.raises(OperationalError, match="the register"), store.writing(5):
        raise OperationalError("the register")


# --- A history that cannot be used


@pytest.fixture
def lost(settings: Settings, django_db_blocker: DjangoDbBlocker) -> Iterator[Callable[[str], HistoryStore]]:
    """Makes the database at this address the history of a register that is not the usual one."""
    aliases: list[str] = []

    def at(url: str) -> HistoryStore:
        alias = f"lost-{len(aliases)}"
        config = environment.database("HISTORY_DATABASE_URL", url)
        connections.settings[alias] = connections.configure_settings({"default": config})["default"]
        settings.RECORDSYNC_HISTORY = {"default": "history", "branch": alias}
        settings.DATABASE_VARIABLES = settings.DATABASE_VARIABLES | {alias: "HISTORY_DATABASE_URL"}
        aliases.append(alias)
        return HistoryStore(alias)

    with django_db_blocker.unblock():
        yield at
    for alias in aliases:
        connections[alias].close()
        del connections[alias], connections.settings[alias]


def broken(kind: str, folder: Path) -> tuple[str, str]:
    """The address of a history that cannot be used, and what is told of it."""
    file = folder / "history.sqlite3"
    if kind == "not a database":
        file.write_text("a text\n" * 1000)
        return f"sqlite:///{file}", "The file is not an SQLite database: check HISTORY_DATABASE_URL."
    if kind == "a folder":
        file.mkdir()
    if kind == "without tables":
        return f"sqlite:///{file}", "is not set up (no such table"
    if kind == "no server":
        return f"postgresql://muster@/history?host={folder}", "The connection to the database was lost or refused"
    where = file if kind == "a folder" else folder / "nowhere" / "history.sqlite3"
    return f"sqlite:///{where}", "The database file cannot be opened: check HISTORY_DATABASE_URL, the permissions"


KINDS: Final = ["no folder", "a folder", "not a database", "without tables", "no server"]
USES: Final[list[Callable[[HistoryStore], object]]] = [
    lambda store: store.has_node(BLOCK),
    lambda store: store.nodes([BLOCK]),
    lambda store: store.described([BLOCK]),
    lambda store: list(store.frames([StoredBlock(BLOCK, BLOCK, 1, 1)])),
    put,
]


def failure(use: Callable[[], object]) -> HistoryUnusable:
    with pytest.raises(HistoryUnusable) as caught:
        use()
    return caught.value


@pytest.mark.parametrize("kind", KINDS)
def test_a_history_that_cannot_be_used_is_told_apart(
    lost: Callable[[str], HistoryStore], tmp_path: Path, kind: str
) -> None:
    url, told = broken(kind, tmp_path)
    store = lost(url)
    for use in USES:
        sentence = str(as_failure(failure(partial(use, store)), "Nothing was changed."))
        place = "history" if kind == "no server" else str(connections[store.alias].settings_dict["NAME"])
        assert sentence.startswith(f"The history database ({place}"), sentence
        assert "failed; the register is not concerned. " in sentence
        assert told in sentence
        assert sentence.endswith(" Nothing was changed.")


def test_a_page_says_that_it_is_the_history(lost: Callable[[str], HistoryStore], tmp_path: Path) -> None:
    store = lost(broken("no folder", tmp_path)[0])
    answer = page(RequestFactory().get("/history/"), failure(lambda: store.has_node(BLOCK)))
    assert answer
    assert answer.status_code == 503
    assert b"The history database does not answer as it should." in answer.content
    assert str(tmp_path).encode() not in answer.content, "the log names the file"


def test_an_error_of_another_database_is_told_as_before() -> None:
    error = OperationalError("it is lost")
    assert explain(error) == explain(error, "jobs")
    assert "history" not in explain(error)
