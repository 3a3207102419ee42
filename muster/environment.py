"""The environment variables that the settings read. An error names the variable at fault."""

import difflib
import os
import secrets
import tempfile
import zoneinfo
from ipaddress import IPv4Network, IPv6Network, ip_network
from itertools import combinations
from pathlib import Path
from typing import Any, Final, cast

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

from recordsync.errors import is_one_line
from recordsync.system.files import leads_to_database

_WAL_KEPT_BYTES = 16 * 1024**2

SQLITE = "django.db.backends.sqlite3"
POSTGRESQL = "django.db.backends.postgresql"

_WIDEST_NETWORK: Final = 7
"""Bits that all addresses of a network must have in common. The widest network that anybody owns is fc00::/7."""
_NETWORK: Final = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,  # milliseconds
}
"""How soon a PostgreSQL connection notices that it has lost its server. By default this may take hours."""
_SYSTEM_ZONES: Final = Path("/usr/share/zoneinfo")
_NO_ZONES: Final = ("right/", "posix/", "posixrules", "localtime", "Factory")
"""Names in that folder that are no zones. ``right/`` counts leap seconds: every moment would be 27 seconds off."""


def text(name: str, default: str = "") -> str:
    """The value of the variable; an empty one counts as not set.

    Raises ImproperlyConfigured. The messages never repeat the value: it may be a secret.
    """
    value = os.environ.get(name, "").strip()
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ImproperlyConfigured(f"{name} is not text in UTF-8.") from None
    if not is_one_line(value):
        raise ImproperlyConfigured(f"{name} holds a line break or another control character.")
    return value or default


def flag(name: str, default: bool = False) -> bool:
    """Whether the variable is 1, true, yes or on, and not 0, false, no or off. Raises ImproperlyConfigured."""
    value = text(name).lower()
    if not value:
        return default
    if value in {"1", "true", "yes", "on"}:
        return True
    if value in {"0", "false", "no", "off"}:
        return False
    raise ImproperlyConfigured(f"{name} is {value!r}; it must be 1 or 0.")


def number(name: str, default: int, *, smallest: int = 0, largest: int = 2**53) -> int:
    """The variable as a whole number. Raises ImproperlyConfigured unless it is from ``smallest`` to ``largest``."""
    value = text(name, str(default))
    if not (value.isascii() and value.isdigit()):
        raise ImproperlyConfigured(f"{name} is {value!r}; it must be a whole number.")
    digits = value.lstrip("0") or "0"
    if len(digits) > len(str(largest)) or int(digits) > largest:
        raise ImproperlyConfigured(f"{name} is too large; it must be a whole number up to {largest:,}.")
    if int(digits) < smallest:
        raise ImproperlyConfigured(f"{name} is {value}; it must be a whole number from {smallest:,} on.")
    return int(digits)


def names(name: str, default: str = "") -> list[str]:
    """The parts of the variable, which commas separate."""
    return [part.strip() for part in text(name, default).split(",") if part.strip()]


def networks(name: str) -> list[IPv4Network | IPv6Network]:
    """The addresses and networks of the variable, such as ``10.0.0.5, 10.1.0.0/24``. Raises ImproperlyConfigured."""
    networks = []
    for part in names(name):
        try:
            network = ip_network(part)
        except ValueError as error:
            raise ImproperlyConfigured(
                f"{name} has {part!r}; it must be addresses or networks such as 10.0.0.5 or 10.1.0.0/24, separated by "
                "commas."
            ) from error
        if network.prefixlen < _WIDEST_NETWORK:
            raise ImproperlyConfigured(f"{name} has {part!r}, which is half the internet: name your own servers only.")
        networks.append(network)
    return networks


def choice(name: str, choices: list[str]) -> str:
    """The choice that the variable names, in any case; blank if it is not set. Raises ImproperlyConfigured."""
    value = text(name)
    known = {"": "", **{allowed.casefold(): allowed for allowed in choices}}
    if value.casefold() not in known:
        raise ImproperlyConfigured(f"{name} is {value!r}; it must be one of {', '.join(choices)}.")
    return known[value.casefold()]


def zone(name: str, default: str) -> str:
    """The name of the variable's time zone in the IANA database. Raises ImproperlyConfigured.

    Abbreviations and offsets are refused: they have no rules that say when clocks change.
    """
    value = text(name, default)
    try:
        zoneinfo.ZoneInfo(value)
        # Django and the C library look for the zone here.
        known = not _SYSTEM_ZONES.exists() or _SYSTEM_ZONES.joinpath(value).is_file()
        known = known and not value.startswith(_NO_ZONES)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        known = False
    if not known:
        meant = ", ".join(_like(value)) or "Asia/Kolkata"
        raise ImproperlyConfigured(f"{name} is {value!r}; it must be the name of a time zone, such as {meant}.")
    return value


def _like(value: str) -> list[str]:
    """The zones that somebody who wrote ``value`` may have meant."""
    names = sorted(name for name in zoneinfo.available_timezones() if not name.startswith(_NO_ZONES))
    written = value.lower().replace(" ", "_")
    cities = [name for name in names if written in (name.lower(), name.rpartition("/")[2].lower())]
    return cities or difflib.get_close_matches(value, names, n=2, cutoff=0.8)


def database(name: str, url: str) -> dict[str, Any]:
    """The Django settings of the database at ``url``, the value of the variable ``name``.

    Raises ImproperlyConfigured. The messages never repeat the URL: it may hold a password.
    """
    try:
        config = cast(dict[str, Any], dj_database_url.parse(url))
        if any("\0" in part or "\ufffd" in part for part in config.values() if isinstance(part, str)):
            raise ValueError("what is written as %… is not text in UTF-8")
        if config["ENGINE"] == SQLITE and (config.get("HOST") or config.get("USER")):
            raise ValueError("a file is on no host")  # sqlite://srv/file: a slash is missing
    except ValueError as error:
        raise ImproperlyConfigured(
            f"{name} is not a database address: sqlite:////path/to/file.sqlite3 or postgresql://user:password@host/name."
        ) from error
    if config["ENGINE"] == SQLITE:
        return config | sqlite_options(name, config["NAME"])
    if config["ENGINE"] == POSTGRESQL:
        # A web thread keeps its connection for a minute, and checks that it is open before each request.
        options = {**_NETWORK, **config.get("OPTIONS", {})}
        return config | {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True, "OPTIONS": options}
    raise ImproperlyConfigured(f"{name} names another engine. Muster runs on SQLite and PostgreSQL.")


def database_beside(name: str, register: dict[str, Any], ending: str) -> dict[str, Any]:
    """The Django settings of a database that is used beside the register's.

    If the variable ``name`` is not set, it is a file beside the register's, with ``ending`` in its name; on PostgreSQL
    it is the register's own database. Raises ImproperlyConfigured.
    """
    if text(name):
        return database(name, text(name))
    if register["ENGINE"] != SQLITE:
        return dict(register)
    file = Path(register["NAME"])
    return register | {"NAME": str(file.with_name(f"{file.stem}-{ending}{file.suffix}"))}


def refuse_one_for_two(databases: dict[str, dict[str, Any]], register: str) -> None:
    """Raises ImproperlyConfigured if two of the databases are one, by the variables that name them.

    On PostgreSQL any of them may share the database of the variable ``register``, but no other.
    """
    for one, other in combinations(databases, 2):
        first, second = databases[one], databases[other]
        shares = first["ENGINE"] == POSTGRESQL and is_same(databases[register], second)
        if is_same(first, second) and not shares:
            if first["ENGINE"] == SQLITE:
                raise ImproperlyConfigured(f"{other} must name another SQLite file than {one}.")
            raise ImproperlyConfigured(f"{other} must name another database than {one}, or that of {register}.")


def sqlite_options(name: str, path: str) -> dict[str, Any]:
    """The Django settings with which Muster opens the SQLite file at ``path``. Raises ImproperlyConfigured.

    WAL lets readers go on while a restore writes. Transactions begin DEFERRED, as Django's do: if all were IMMEDIATE, a
    backup would block every writer. Code that writes after reading takes the lock itself. Every commit is synced to
    disk. After a restore the -wal file shrinks again.
    """
    if path == ":memory:":
        raise ImproperlyConfigured(f"{name} must name a file: several processes share the database.")
    if path.startswith("file:"):
        raise ImproperlyConfigured(
            f"{name} must name the file by its path (sqlite:////path/to/file.sqlite3), not by file:."
        )
    return {
        "NAME": str(Path(path).absolute()),
        "OPTIONS": {
            "timeout": 20,
            "transaction_mode": "DEFERRED",
            "init_command": (
                f"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA journal_size_limit={_WAL_KEPT_BYTES}"
            ),
        },
    }


def is_same(first: dict[str, Any], second: dict[str, Any]) -> bool:
    """Whether two database settings lead to the same database, as far as this is known without a server.

    It compares the files of SQLite: their names may be links, or spelt in different ways.
    """
    if first["ENGINE"] != second["ENGINE"]:
        return False
    if first["ENGINE"] == SQLITE:
        files = Path(first["NAME"]), Path(second["NAME"])
        return leads_to_database(*files) or leads_to_database(*reversed(files))
    return _server(first) == _server(second)


def _server(config: dict[str, Any]) -> tuple[str, str, str]:
    options = config.get("OPTIONS", {})
    return (
        str(config.get("HOST") or options.get("host", "")),
        str(config.get("PORT") or options.get("port", "") or 5432),
        config["NAME"],
    )


def secret_key(folder: Path) -> str:
    """The SECRET_KEY of an installation whose environment has none. It is made once and kept in ``folder``.

    Only the owner can read it. Several processes may start at once: each writes its own key under a temporary name, and
    the first to link it to the final name wins, so a key under that name is whole.
    """
    path = folder / "secret_key"
    if not path.exists():
        descriptor, temporary = tempfile.mkstemp(prefix=".secret_key-", dir=folder)
        try:
            with open(descriptor, "w", encoding="ascii") as file:
                file.write(secrets.token_urlsafe(64))
                file.flush()
                os.fsync(file.fileno())
            os.link(temporary, path)
        except FileExistsError:
            pass
        finally:
            os.unlink(temporary)
    return path.read_text(encoding="ascii")
