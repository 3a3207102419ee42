"""Filling an empty register with the demo register (:mod:`core.demo`), and making the demo accounts.

A demo register that nobody has changed since counts as empty, and is replaced.

Rows are written without the ORM where the database has a faster way. Everything is written in one transaction, under
the lock that restores and imports hold: all of it, or nothing.
"""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, cast

from django.conf import settings
from django.contrib.auth.hashers import check_password, make_password
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Field, QuerySet
from django.utils import timezone

from core.demo.generator import DemoPlan, DemoRegister
from core.demo.rows import DemoRow
from core.models import AttendanceRecord, BackupLog, Company, Kind, Phase, Role, Seal, User
from core.operations import holding
from core.operations import run as operations
from core.operations.errors import NOTHING_CHANGED, OperationFailed, as_failure
from core.operations.run import Actor
from core.register.database import DEFAULT, Register
from recordsync.system.progress import EVERY, Progress, no_progress

logger = logging.getLogger(__name__)

DEMO_PASSWORD: Final = "muster-demo"  # noqa: S105 - everybody may know it; only on this machine: see _refuse_exposed
_LOCAL_HOSTS: Final = frozenset({"localhost", ".localhost", "127.0.0.1", "[::1]"})
_USERNAMES: Final = ("root", "admin", "user1")
_USER1_DAYS: Final = 90


@dataclass(frozen=True)
class DemoAccount:
    """One of the demo accounts as it is now.

    ``assigned``: the first and the last day that it sees (None: no limit). ``created``: whether it is new.
    ``password``: the password of new accounts, if it is this account's.
    """

    username: str
    role: str
    company: str | None
    assigned: tuple[dt.date | None, dt.date | None]
    created: bool
    password: str | None


@dataclass(frozen=True)
class DemoResult:
    """What a seeding made. ``seeded``: False where the register was not empty, and was left as it is."""

    plan: DemoPlan
    seeded: bool
    accounts: Sequence[DemoAccount]
    seconds: float

    def summary(self) -> dict[str, Any]:
        """For JSON. No passwords."""
        return {
            "ok": True,
            "operation": Kind.SEED_DEMO.value,
            "seeded": self.seeded,
            "companies": self.plan.companies if self.seeded else 0,
            "records": self.plan.records if self.seeded else 0,
            "seed": self.plan.seed,
            "until": self.plan.until.isoformat(),
            "accounts": [
                {
                    "username": account.username,
                    "role": account.role,
                    "company": account.company,
                    "created": account.created,
                }
                for account in self.accounts
            ],
            "seconds": round(self.seconds, 3),
            "errors": [],
        }


class DemoService:
    """Makes the demo register."""

    def __init__(self, register: Register = DEFAULT) -> None:
        self.register = register

    def seed(
        self,
        plan: DemoPlan,
        *,
        if_empty: bool = False,
        password: str | None = None,
        progress_callback: Progress | None = None,
    ) -> DemoResult:
        """What was made: the plan's register, and the accounts ``root``, ``admin`` and ``user1`` if they are missing.

        A register that has companies is refused, unless it is an untouched demo register, which is replaced. With
        ``if_empty``, either is left as it is. A register without companies gets no ``admin`` and ``user1``.
        ``password``: of the new accounts; None: the well-known :data:`DEMO_PASSWORD`, which is refused where people at
        other machines could sign in. Writes to the database. Raises OperationFailed.
        """
        try:
            return self._seed(plan, if_empty, password, progress_callback or no_progress)
        except OperationFailed:
            raise
        except Exception as error:
            logger.exception("The demo register could not be made")
            raise as_failure(error, NOTHING_CHANGED) from error

    def _seed(self, plan: DemoPlan, if_empty: bool, password: str | None, progress: Progress) -> DemoResult:
        started = time.monotonic()
        chosen = password or DEMO_PASSWORD
        made: Sequence[User] = ()
        seeded = self._may_seed(if_empty)
        if seeded:
            made = self._missing_accounts(plan, chosen)  # not in the transaction, because hashing is slow
            if made and not password:
                _refuse_exposed()
            seeded = self._write(plan, made, if_empty, progress)
        seconds = time.monotonic() - started
        if seeded:
            logger.info("Demo register: %d companies, %d records in %.1f s", plan.companies, plan.records, seconds)
        return DemoResult(plan, seeded, self._accounts(chosen, made if seeded else ()), seconds)

    def _may_seed(self, if_empty: bool) -> bool:
        """Whether the register is empty or an untouched demo register; with ``if_empty``, whether it is empty. Raises
        OperationFailed where it is neither and ``if_empty`` is not set."""
        if not self.register.rows(Company).exists():
            return True
        if if_empty:
            return False
        if self._holds_untouched_demo():
            return True
        raise OperationFailed(
            "The register is not empty. A demo register can replace only a demo register that nobody has changed.",
            undone=NOTHING_CHANGED,
        )

    def _holds_untouched_demo(self) -> bool:
        """Whether the register is as a seeding left it: as many rows, none written since, no other account of a
        company."""
        log = (
            self.register.rows(BackupLog).filter(operation=Kind.SEED_DEMO, success=True).order_by("-created_at").first()
        )
        if log is None or self._stored() != (log.companies_count, log.records_count):
            return False
        written_since = any(
            self.register.rows(model).filter(updated_at__gt=log.created_at).exists()
            for model in (Company, AttendanceRecord, Seal)
        )
        others = self.register.rows(User).filter(company__isnull=False).exclude(username__in=_USERNAMES)
        return not written_since and not others.exists()

    def _stored(self) -> tuple[int, int]:
        """How many companies and records the register has."""
        return self.register.rows(Company).count(), self.register.rows(AttendanceRecord).count()

    def _missing_accounts(self, plan: DemoPlan, password: str) -> list[User]:
        """The demo accounts that do not exist yet, unsaved and without their company, which does not exist yet
        either."""
        accounts = [User(username="root", role=Role.ROOT, is_staff=True, is_superuser=True)]
        if plan.companies:
            first_seen = plan.until - dt.timedelta(days=_USER1_DAYS - 1)
            accounts += [
                User(username="admin", role=Role.ADMIN),
                User(username="user1", role=Role.USER1, assigned_date_from=first_seen, assigned_date_to=plan.until),
            ]
        existing = set(self._demo_users().values_list("username", flat=True))
        missing = [account for account in accounts if account.username not in existing]
        if missing:
            hashed = make_password(password)  # once, because it is slow; that they share a password is no secret
            for account in missing:
                account.password = hashed
        return missing

    def _write(self, plan: DemoPlan, accounts: Sequence[User], if_empty: bool, progress: Progress) -> bool:
        """Whether the register was empty. If it was, everything is written."""
        with (
            operations.running(Kind.SEED_DEMO, Actor.of(), self.register, callback=progress) as run,
            holding.holding_register(run),
        ):
            if not self._may_seed(if_empty):  # somebody else was quicker
                return False
            self._fill(plan, accounts, run)
            run.log.companies_count, run.log.records_count = plan.companies, plan.records
            run.log.created_at = timezone.now()  # what is written after this moment was not seeded
            run.complete(plan.records)
        return True

    def _fill(self, plan: DemoPlan, accounts: Sequence[User], progress: Progress) -> None:
        register = DemoRegister(plan, timezone.now())
        founded = dt.datetime.fromisoformat(register.founded)
        self.register.rows(AttendanceRecord).delete()
        companies = self._companies(register.companies, founded)
        for account in accounts:
            account.company = None if account.role == Role.ROOT else companies[0]
            account.save(using=self.register.alias)
        connection = self.register.connection
        rows = ((companies[row.company].pk, *row[1:]) for row in _reported(register.rows(), plan.records, progress))
        _WRITERS.get(connection.vendor, write_by_orm)(connection, rows)
        self._require_all(plan)

    def _companies(self, names: Sequence[str], founded: dt.datetime) -> list[Company]:
        """These companies, which are then the only ones. Others of an earlier demo register are deleted, and their
        accounts move to the first company."""
        rows = self.register.rows(Company)
        existing = set(rows.values_list("name", flat=True))
        rows.bulk_create((Company(name=name) for name in names if name not in existing), batch_size=EVERY)
        rows.update(created_at=founded, updated_at=founded)
        by_name = {company.name: company for company in rows}
        companies = [by_name.pop(name) for name in names]
        others = [company.pk for company in by_name.values()]
        if others:
            users = self.register.rows(User).filter(company__in=others)
            users.update(company=companies[0]) if companies else users.delete()
            rows.filter(pk__in=others).delete()
        return companies

    def _require_all(self, plan: DemoPlan) -> None:
        """Raises OperationFailed unless all that was planned is stored."""
        stored = self._stored()
        if stored != (plan.companies, plan.records):
            raise OperationFailed(
                f"The database holds {stored[0]:,} companies and {stored[1]:,} records instead of {plan.companies:,} "
                f"and {plan.records:,}.",
                undone=NOTHING_CHANGED,
            )

    def _demo_users(self) -> QuerySet[User]:
        return self.register.rows(User).filter(username__in=_USERNAMES).select_related("company")

    def _accounts(self, password: str, made: Sequence[User]) -> list[DemoAccount]:
        """The demo accounts that exist now."""
        new = {user.username for user in made}
        return [
            DemoAccount(
                username=user.username,
                role=user.role,
                company=user.company.name if user.company else None,
                assigned=(user.assigned_date_from, user.assigned_date_to),
                created=user.username in new,
                password=password if user.username in new or check_password(password, user.password) else None,
            )
            for user in sorted(self._demo_users(), key=lambda user: _USERNAMES.index(user.username))
        ]


def _refuse_exposed() -> None:
    """Raises OperationFailed where people at other machines could sign in with a well-known password."""
    if not settings.DEBUG and not set(settings.ALLOWED_HOSTS) <= _LOCAL_HOSTS:
        raise OperationFailed(
            "The demo accounts would have a well-known password while ALLOWED_HOSTS lets other machines in: choose "
            "another with --password.",
            undone=NOTHING_CHANGED,
        )


def _reported(rows: Iterable[DemoRow], total: int, progress: Progress) -> Iterator[DemoRow]:
    """The rows, while their progress is reported."""
    for done, row in enumerate(rows):
        if done % EVERY == 0:
            progress(Phase.APPLY, done, total)
        yield row


# --- Writers. A row has the values of _STORED_FIELDS, as core.demo.generator.DemoRow has them.

StoredRow = tuple[Any, ...]
_FIELDS: Final = ("company", *DemoRow._fields[1:])
_STORED_FIELDS: Final = [cast("Field[Any, Any]", AttendanceRecord._meta.get_field(name)) for name in _FIELDS]


def write_by_orm(connection: BaseDatabaseWrapper, rows: Iterator[StoredRow]) -> None:
    """Write rows by the ORM, to any database. The other writers must leave the same rows."""
    attributes = [field.attname for field in _STORED_FIELDS]
    while batch := list(islice(rows, EVERY)):
        AttendanceRecord.objects.using(connection.alias).bulk_create(
            AttendanceRecord(**dict(zip(attributes, row, strict=True))) for row in batch
        )


def write_to_sqlite(connection: BaseDatabaseWrapper, rows: Iterator[StoredRow]) -> None:
    """Write rows to SQLite. It is about three times as fast as the ORM, with the making of the rows."""
    values = ", ".join("?" * len(_STORED_FIELDS))
    statement = f"INSERT INTO {_target(connection)} VALUES ({values})"  # noqa: S608 - names of ours only
    # Moments as Django writes them to SQLite: in UTC, without an offset.
    plain = ((*row[:-2], row[-2].removesuffix("+00:00"), row[-1].removesuffix("+00:00")) for row in rows)
    with connection.wrap_database_errors:
        connection.connection.executemany(statement, plain)


def write_to_postgresql(connection: BaseDatabaseWrapper, rows: Iterator[StoredRow]) -> None:
    """Write rows to PostgreSQL by COPY. It is more than three times as fast as the ORM, with the making of the rows."""
    with (
        connection.wrap_database_errors,
        connection.cursor() as cursor,
        cursor.copy(f"COPY {_target(connection)} FROM STDIN") as copy,
    ):
        for row in rows:
            copy.write_row(row)


def _target(connection: BaseDatabaseWrapper) -> str:
    """The table and its columns, for SQL."""
    table, *columns = (
        connection.ops.quote_name(str(name))
        for name in (AttendanceRecord._meta.db_table, *(field.column for field in _STORED_FIELDS))
    )
    return f"{table} ({', '.join(columns)})"


_WRITERS: Final[dict[str, Callable[[BaseDatabaseWrapper, Iterator[StoredRow]], None]]] = {
    "sqlite": write_to_sqlite,
    "postgresql": write_to_postgresql,
}
