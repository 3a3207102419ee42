"""What the settings read from the environment, with an error that names the variable at fault."""

import difflib
import os
import secrets
import tempfile
import zoneinfo
from ipaddress import IPv4Network, IPv6Network, ip_network
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
"""Bits that the addresses of a network must have in common: the widest that anybody owns is fc00::/7."""
_NETWORK: Final = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,  # milliseconds
}
"""How soon a PostgreSQL connection notices that the server, or the way to it, is gone: by default it may take hours."""
_SYSTEM_ZONES: Final = Path("/usr/share/zoneinfo")
_NO_ZONES: Final = ("right/", "posix/", "posixrules", "localtime", "Factory")
"""What lies there beside the zones. ``right/`` counts leap seconds: every moment would be 27 seconds off."""


def text(name: str, default: str = "") -> str:
    """The variable's value; an empty one counts as not set.

    The messages never repeat it: it may be a secret.
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
    """A switch: 1, true, yes, on or 0, false, no, off."""
    value = text(name).lower()
    if not value:
        return default
    if value in {"1", "true", "yes", "on"}:
        return True
    if value in {"0", "false", "no", "off"}:
        return False
    raise ImproperlyConfigured(f"{name} is {value!r}; it must be 1 or 0.")


def number(name: str, default: int, largest: int = 2**53) -> int:
    """A whole number from 0 to ``largest``."""
    value = text(name, str(default))
    if not (value.isascii() and value.isdigit()):
        raise ImproperlyConfigured(f"{name} is {value!r}; it must be a whole number.")
    digits = value.lstrip("0") or "0"
    if len(digits) > len(str(largest)) or int(digits) > largest:
        raise ImproperlyConfigured(f"{name} is too large; it must be a whole number up to {largest:,}.")
    return int(digits)


def names(name: str, default: str = "") -> list[str]:
    """A list written with commas."""
    return [part.strip() for part in text(name, default).split(",") if part.strip()]


def networks(name: str) -> list[IPv4Network | IPv6Network]:
    """Addresses and networks written with commas, such as ``10.0.0.5, 10.1.0.0/24``."""
    found = []
    for part in names(name):
        try:
            network = ip_network(part)
        except ValueError as error:
            raise ImproperlyConfigured(
                f"{name} has {part!r}; it must be addresses or networks such as 10.0.0.5 or 10.1.0.0/24, with commas "
                "between."
            ) from error
        if network.prefixlen < _WIDEST_NETWORK:
            raise ImproperlyConfigured(f"{name} has {part!r}, which is half the internet: name your own servers only.")
        found.append(network)
    return found


def choice(name: str, choices: list[str]) -> str:
    """One of ``choices``, written in any case, or "" when not set."""
    value = text(name)
    known = {"": "", **{one.casefold(): one for one in choices}}
    if value.casefold() not in known:
        raise ImproperlyConfigured(f"{name} is {value!r}; it must be one of {', '.join(choices)}.")
    return known[value.casefold()]


def zone(name: str, default: str) -> str:
    """A time zone by its name in the IANA database, whose rules say when clocks change: no abbreviation, no offset."""
    value = text(name, default)
    try:
        zoneinfo.ZoneInfo(value)
        # Django and the C library look for it here.
        known = not _SYSTEM_ZONES.exists() or _SYSTEM_ZONES.joinpath(value).is_file()
        known = known and not value.startswith(_NO_ZONES)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        known = False
    if not known:
        meant = ", ".join(_like(value)) or "Asia/Kolkata"
        raise ImproperlyConfigured(f"{name} is {value!r}; it must be the name of a time zone, such as {meant}.")
    return value


def _like(value: str) -> list[str]:
    """Names of zones that somebody who wrote ``value`` may have meant."""
    names = sorted(name for name in zoneinfo.available_timezones() if not name.startswith(_NO_ZONES))
    written = value.lower().replace(" ", "_")
    cities = [name for name in names if written in (name.lower(), name.rpartition("/")[2].lower())]
    return cities or difflib.get_close_matches(value, names, n=2, cutoff=0.8)


def database(name: str, url: str) -> dict[str, Any]:
    """The Django settings of the database at ``url``, which variable ``name`` gave.

    The messages never repeat the URL: it may hold a password.
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
        # A web thread keeps its connection for a minute and notices when the server closed it.
        options = {**_NETWORK, **config.get("OPTIONS", {})}
        return config | {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True, "OPTIONS": options}
    raise ImproperlyConfigured(f"{name} names another engine; Muster runs on SQLite and PostgreSQL.")


def sqlite_options(name: str, path: str) -> dict[str, Any]:
    """How Muster opens an SQLite file.

    WAL, so that readers go on while a restore writes. Transactions begin deferred (Django's way): begun
    IMMEDIATE everywhere, a backup would block every writer; who writes after reading takes the lock itself.
    Every commit is synced to disk. What a restore wrote into the -wal file is given back to the disk afterwards.
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


def is_same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two database settings lead to the same database, as far as it can be told without asking a server.

    Looks at the files of SQLite: they may be named by links, or spelt otherwise.
    """
    if one["ENGINE"] != other["ENGINE"]:
        return False
    if one["ENGINE"] == SQLITE:
        files = Path(one["NAME"]), Path(other["NAME"])
        return leads_to_database(*files) or leads_to_database(*reversed(files))
    return _server(one) == _server(other)


def _server(config: dict[str, Any]) -> tuple[str, str, str]:
    options = config.get("OPTIONS", {})
    return (
        str(config.get("HOST") or options.get("host", "")),
        str(config.get("PORT") or options.get("port", "") or 5432),
        config["NAME"],
    )


def secret_key(folder: Path) -> str:
    """The SECRET_KEY of an installation that was given none: made once, kept in ``folder``, readable by its owner.

    Several processes may start at once: each writes a key of its own under a temporary name, and the first to
    link it to the final name wins. A key that is there is whole.
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
