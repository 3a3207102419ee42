"""Reading the environment: every kind of value, and an error that names the variable."""

import stat
import threading
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


@pytest.mark.parametrize("value", ["-1", "1.5", "8 GiB", "٣"])
def test_number_refuses(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("THING", value)
    with pytest.raises(ImproperlyConfigured, match="THING"):
        environment.number("THING", 7)


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
    assert config["OPTIONS"] == {"sslmode": "require"}


@pytest.mark.parametrize(
    "url", ["nonsense:secret", "mysql://root:secret@host/x", "postgresql://u:secret@host:port/x", "sqlite://:memory:"]
)
def test_database_refuses_and_keeps_the_secret(url: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="DATABASE_URL") as caught:
        environment.database("DATABASE_URL", url)
    assert "secret" not in str(caught.value)


def test_place_tells_databases_apart() -> None:
    def place(url: str) -> object:
        return environment.place(environment.database("X", url))

    assert place("postgresql://a@h:5432/x?sslmode=require") == place("postgresql://b@h:5432/x")
    assert place("postgresql://a@/x?host=/run/one") != place("postgresql://a@/x?host=/run/two")
    assert place("postgresql://a@h/x") != place("postgresql://a@h/y")


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
