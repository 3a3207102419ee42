"""Reading the environment: every kind of value, and an error that names the variable."""

import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from muster import environment


@pytest.mark.parametrize(
    ("value", "expected"),
    [("1", True), ("TRUE", True), ("on", True), ("0", False), ("no", False), ("", True), (" ", True)],
)
def test_flag(monkeypatch: pytest.MonkeyPatch, value: str, expected: bool) -> None:
    monkeypatch.setenv("THING", value)
    assert environment.flag("THING", default=True) is expected


@pytest.mark.parametrize("value", ["maybe", "2"])
def test_flag_refuses(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("THING", value)
    with pytest.raises(ImproperlyConfigured, match="THING"):
        environment.flag("THING")


def test_number(monkeypatch: pytest.MonkeyPatch) -> None:
    assert environment.number("THING", 7) == 7
    monkeypatch.setenv("THING", "12")
    assert environment.number("THING", 7) == 12


@pytest.mark.parametrize("value", ["-1", "1.5", "8 GiB", "٣", "9" * 5000, str(2**53 + 1)])
def test_number_refuses(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("THING", value)
    with pytest.raises(ImproperlyConfigured, match="THING"):
        environment.number("THING", 7)


def test_number_has_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THING", "0" * 5000 + "60")
    assert environment.number("THING", 7, largest=60) == 60
    with pytest.raises(ImproperlyConfigured, match="THING is too large; it must be a whole number up to 59"):
        environment.number("THING", 7, largest=59)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("\udcc4BC", "THING is not text in UTF-8."),
        ("Site\nA", "THING holds a line break"),
        ("Site\x1b[31m", "or another control character."),
        ("Site\u2028A", "THING holds a line break"),
    ],
)
def test_text_refuses_without_repeating_what_may_be_a_secret(
    monkeypatch: pytest.MonkeyPatch, value: str, told: str
) -> None:
    monkeypatch.setenv("THING", value)
    readers: list[Callable[[], object]] = [
        lambda: environment.text("THING"),
        lambda: environment.names("THING"),
        lambda: environment.flag("THING"),
        lambda: environment.number("THING", 1),
        lambda: environment.choice("THING", ["INFO"]),
        lambda: environment.zone("THING", "UTC"),
    ]
    for read in readers:
        with pytest.raises(ImproperlyConfigured) as caught:
            read()
        assert told in str(caught.value)
        assert value not in str(caught.value)


def test_text_of_any_script(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THING", " क्ष\u200dत्र – 東京\n")  # joined by a character that is not seen
    assert environment.text("THING", "other") == "क्ष\u200dत्र – 東京"
    monkeypatch.setenv("THING", " \n")
    assert environment.text("THING", "other") == "other"


def test_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert environment.zone("THING", "UTC") == "UTC"
    monkeypatch.setenv("THING", " Asia/Kolkata ")
    assert environment.zone("THING", "UTC") == "Asia/Kolkata"


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        ("IST", "Asia/Kolkata"),
        ("+05:30", "Asia/Kolkata"),
        ("Asia", "Asia/Kolkata"),
        ("Asia/Kolkatta", "Asia/Kolkata"),
        ("asia/dubai", "Asia/Dubai"),
        ("new york", "America/New_York"),
        ("../Asia/Kolkata", "Asia/Kolkata"),
        ("/etc/passwd", "Asia/Kolkata"),
        ("zone.tab", "Asia/Kolkata"),
        ("right/Asia/Kolkata", "Asia/Kolkata"),  # 27 leap seconds off
        ("localtime", "Asia/Kolkata"),
        ("Factory", "Asia/Kolkata"),
    ],
)
def test_zone_refuses_and_suggests(monkeypatch: pytest.MonkeyPatch, value: str, meant: str) -> None:
    monkeypatch.setenv("THING", value)
    with pytest.raises(ImproperlyConfigured) as caught:
        environment.zone("THING", "UTC")
    assert str(caught.value) == f"THING is {value!r}; it must be the name of a time zone, such as {meant}."


def test_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THING", " a.example , b.example,, ")
    assert environment.names("THING") == ["a.example", "b.example"]


def test_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    assert environment.networks("THING") == []
    monkeypatch.setenv("THING", "10.0.0.5, 10.1.0.0/24,fc00::/7, ::1")
    assert [str(one) for one in environment.networks("THING")] == ["10.0.0.5/32", "10.1.0.0/24", "fc00::/7", "::1/128"]


@pytest.mark.parametrize(
    "value",
    ["*", "proxy.internal", "10.0.0.7/24", "10.0.0.1 10.0.0.2", "10.0.0.1:80", "0.0.0.0/0", "::/0", "128.0.0.0/1"],
)
def test_networks_refuses(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("THING", f"127.0.0.1, {value}")
    with pytest.raises(ImproperlyConfigured, match="THING"):
        environment.networks("THING")


def test_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    assert environment.choice("THING", ["INFO"]) == ""
    monkeypatch.setenv("THING", "info")
    assert environment.choice("THING", ["INFO"]) == "INFO"
    monkeypatch.setenv("THING", "loud")
    with pytest.raises(ImproperlyConfigured, match="THING"):
        environment.choice("THING", ["INFO"])


def test_sqlite_address() -> None:
    config = environment.database("DATABASE_URL", "sqlite:////srv/muster%20data/main.sqlite3")
    assert config["NAME"] == "/srv/muster data/main.sqlite3"
    assert "journal_mode=WAL" in config["OPTIONS"]["init_command"]
    assert "synchronous=FULL" in config["OPTIONS"]["init_command"]


def test_relative_sqlite_address_is_in_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert environment.database("DATABASE_URL", "sqlite:///copy.sqlite3")["NAME"] == str(tmp_path / "copy.sqlite3")


def test_postgresql_address() -> None:
    config = environment.database(
        "DATABASE_URL", "postgresql://muster:p%40ss@db.internal:5433/register?sslmode=require"
    )
    assert (config["HOST"], config["PORT"], config["NAME"]) == ("db.internal", 5433, "register")
    assert config["PASSWORD"] == "p@ss"
    assert config["OPTIONS"] == {
        "sslmode": "require",
        "connect_timeout": 10,
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        "tcp_user_timeout": 60_000,
    }


def test_postgresql_address_wins_over_what_is_usual() -> None:
    config = environment.database("DATABASE_URL", "postgresql://db.internal/register?connect_timeout=3")
    assert int(config["OPTIONS"]["connect_timeout"]) == 3


@pytest.mark.parametrize(
    "url",
    [
        "nonsense:secret",
        "mysql://root:secret@host/x",
        "postgresql://u:secret@host:port/x",
        "postgresql://u:secret%00@host/x",
        "postgresql://u:secret%C4@host/x",
        "sqlite://:memory:",
        "sqlite:////srv/a%00secret",
        "sqlite:////srv/%C4secret",
        "sqlite://srv/secret",
        "sqlite:///file:/srv/secret?mode=ro",
    ],
)
def test_database_refuses_and_keeps_the_secret(url: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="DATABASE_URL") as caught:
        environment.database("DATABASE_URL", url)
    assert "secret" not in str(caught.value)


def same(one: str, other: str) -> bool:
    """Whether two addresses lead to one database; the order does not matter."""
    found = {
        environment.is_same(environment.database("X", a), environment.database("X", b))
        for a, b in ((one, other), (other, one))
    }
    return found == {True}


def test_databases_of_servers_are_told_apart() -> None:
    assert same("postgresql://a@h:5432/x?sslmode=require", "postgresql://b@h/x")
    assert same("postgresql://a@/x?host=/run/one", "postgresql://a@/x?host=/run/one&port=5432")
    assert not same("postgresql://a@/x?host=/run/one", "postgresql://a@/x?host=/run/two")
    assert not same("postgresql://a@h/x", "postgresql://a@h/y")
    assert not same("postgresql://a@h/x", "sqlite:///x")


@pytest.mark.parametrize("made", [False, True], ids=["not there yet", "there"])
def test_one_file_is_told_however_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: bool) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (tmp_path / "Link").symlink_to(folder)
    file = folder / "muster.sqlite3"
    (folder / "link.sqlite3").symlink_to(file)
    (folder / "link of a link.sqlite3").symlink_to("link.sqlite3")
    others = [folder / "other.sqlite3", folder / "muster-jobs.sqlite3", tmp_path / "muster.sqlite3"]
    if made:
        for path in (file, *others):
            path.touch()
        os.link(file, folder / "hard.sqlite3")
    monkeypatch.chdir(folder)
    address = f"sqlite:///{file}"
    spellings = [
        file, f"{folder}//muster.sqlite3", f"{folder}/./muster.sqlite3", f"{folder}/../data/muster.sqlite3",
        "muster.sqlite3", "../Link/muster.sqlite3", folder / "link.sqlite3", folder / "link%20of%20a%20link.sqlite3",
        folder / "muster%2Esqlite3", f"{file}-wal", "muster.sqlite3-journal",
        *([folder / "hard.sqlite3"] if made else [folder / "MUSTER.sqlite3"]),
    ]  # fmt: skip
    assert [one for one in spellings if not same(address, f"sqlite:///{one}")] == []
    assert [one for one in others if same(address, f"sqlite:///{one}")] == []


def test_secret_key_is_made_once_and_private(tmp_path: Path) -> None:
    """However many processes start at the same time."""
    keys: list[str] = []
    barrier = threading.Barrier(8)

    def start() -> None:
        barrier.wait()
        keys.append(environment.secret_key(tmp_path))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 8
    assert len(set(keys)) == 1
    assert len(keys[0]) >= 50
    assert [path.name for path in tmp_path.iterdir()] == ["secret_key"]
    assert stat.S_IMODE((tmp_path / "secret_key").stat().st_mode) == 0o600
    assert environment.secret_key(tmp_path) == keys[0]
