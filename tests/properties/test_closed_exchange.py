"""Closed months among installations that exchange files in any order: no seal is lost, and when nobody changes anything
any more, all agree and nobody is asked."""

from __future__ import annotations

import datetime as dt
import io
import itertools
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

import pytest
from django.utils import timezone
from hypothesis import event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from pytest_django.plugin import DjangoDbBlocker

from core.attendance.companies import delete_company, rename_company
from core.history.fingerprint import month_digest
from core.models import AttendanceRecord, Company, Role, Seal, User
from core.operations.closed import ClosedChoice, MonthsAreClosed
from core.operations.errors import OperationFailed
from core.operations.results import RestoreResult
from core.register.database import Register
from core.restores.incoming import BaseNotHere
from core.restores.restore_service import Restorable, RestoreService
from core.restores.undo import How, undo_of, undoable, ways
from recordsync.models import Head
from tests.builders.days import day
from tests.builders.registers import put, register
from tests.conftest import DEEP
from tests.running.installation import Installations
from tests.running.services import backup_bytes

PLACES: Final = 3
NAMES: Final = ("A", "B", "C")
DAYS: Final = ("2026-10-05", "2026-11-01", "2026-11-20")
ROOT: Final = User(username="root", role=Role.ROOT)

anywhere: Final = st.integers(0, PLACES - 1)
some: Final = st.integers(0, 30)
companies: Final = st.sampled_from([0, 0, 0, 1])
months: Final = st.sampled_from(["2026-11", "2026-11", "2026-10"])
choices: Final = st.sampled_from(ClosedChoice)
strategies: Final = st.sampled_from(["backup_wins", "database_wins"])


class Sealed(NamedTuple):
    """A seal, by its company, month and moment. ``reopened``: when and by whom it was; None: it stands."""

    company: int
    month: dt.date
    at: dt.datetime
    reopened: tuple[dt.datetime, str] | None

    @property
    def stands(self) -> bool:
        return self.reopened is None


class Place:
    """An installation, by its database."""

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self.register = Register(alias)
        self.service = RestoreService(register=self.register)

    def companies(self) -> list[Company]:
        return list(Company.objects.using(self.alias).order_by("name"))

    def company(self, number: int) -> Company | None:
        found = self.companies()
        return found[number % len(found)] if found else None

    def records(self) -> Any:
        return AttendanceRecord.objects.using(self.alias).order_by("company__name", "date", "ep_no")

    def standing(self, company: Company, month: str) -> Any:
        return Seal.objects.using(self.alias).standing().filter(company=company, month=f"{month}-01")

    def seals(self) -> set[Sealed]:
        rows = Seal.objects.using(self.alias)
        return {
            Sealed(
                row.company_id,
                row.month,
                row.closed_at,
                None if row.reopened_at is None else (row.reopened_at, row.reopened_by),
            )
            for row in rows
        }

    def tree(self) -> str:
        row = Head.objects.using(self.alias).select_related("snapshot").get().snapshot
        return str(row.tree or row.pk)

    def restore(self, source: Restorable, strategy: str, *, takes_back: bool = False, **asked: Any) -> RestoreResult:
        """What a restore did. No seal is lost, unless its company goes, and none of that one's months was closed; nor
        who reopened it first. ``takes_back``: but in exact restores and withdrawals."""
        before = self.seals()
        result = self.service.restore_backup(source, strategy, yes=True, **asked)
        left = {company.pk for company in self.companies()}
        after = {seal[:3]: seal.reopened for seal in self.seals()}
        closed = {seal.company for seal in before if seal.stands}
        lost = {seal for seal in before if seal[:3] not in after}
        assert takes_back or not any(seal.company in left or seal.company in closed for seal in lost)
        for seal in before - lost:
            was, now = seal.reopened, after[seal[:3]]
            assert takes_back or was is None or (now is not None and now <= was)
        event(f"lost {bool(lost)}, closed months {bool(result.closed.months)}")
        return result


class Exchange(RuleBasedStateMachine):
    """What people do at three places, which begin with the same records."""

    def __init__(self, new_place: Callable[[ExitStack], Place]) -> None:
        super().__init__()
        self._opened = ExitStack()
        self.places = [new_place(self._opened) for _ in range(PLACES)]
        self.files: list[bytes] = []
        self.keeper = PLACES

    @initialize(keeper=st.integers(0, PLACES))
    def begin(self, keeper: int) -> None:
        """``keeper``: the place where closed months are kept closed at last, or nobody's. If two kept the same month,
        both would be asked for ever."""
        self.keeper = keeper
        first, *others = self.places
        put(first.alias, register(*(day(name, number, date) for name in NAMES[:2] for date in DAYS for number in "12")))
        for other in others:
            other.restore(io.BytesIO(first_file(first)), "manual")

    @rule(at=anywhere, which=some, shift=st.sampled_from(["GS", "N", "G1"]))
    def edit(self, at: int, which: int, shift: str) -> None:
        """By SQL, so that closed months change, too."""
        place = self.places[at]
        if found := list(place.records()):
            place.records().filter(pk=found[which % len(found)].pk).update(shift=shift, updated_at=timezone.now())

    @rule(at=anywhere, which=some)
    def delete(self, at: int, which: int) -> None:
        if found := list(self.places[at].records()):
            found[which % len(found)].delete()

    @rule(at=anywhere, which=companies, month=months, who=st.sampled_from(["asha", "ravi"]))
    def close(self, at: int, which: int, month: str, who: str) -> None:
        place, first = self.places[at], dt.date.fromisoformat(f"{month}-01")
        company = place.company(which)
        if company is None or place.standing(company, month).exists():
            return
        with place.register.read() as store:
            digest = month_digest(store, company.name, first)
        Seal.objects.using(place.alias).create(
            company=company, month=first, closed_at=timezone.now(), closed_by=who, closed_as=company.name, digest=digest
        )

    @rule(at=anywhere, which=companies, month=months)
    def reopen(self, at: int, which: int, month: str) -> None:
        place = self.places[at]
        if company := place.company(which):
            now = timezone.now()
            place.standing(company, month).update(reopened_at=now, reopened_by="meena", updated_at=now)

    @rule(at=anywhere, which=companies, name=st.sampled_from([*NAMES, "D"]))
    def rename(self, at: int, which: int, name: str) -> None:
        place = self.places[at]
        company = place.company(which)
        if company is not None and name not in {one.name for one in place.companies()}:
            rename_company(company.pk, name, user=ROOT, register=place.register)

    @rule(at=anywhere, which=companies)
    def drop(self, at: int, which: int) -> None:
        """Delete a company, if none of its months is closed."""
        place = self.places[at]
        company = place.company(which)
        if company is None or Seal.objects.using(place.alias).standing().filter(company=company).exists():
            return
        place.records().filter(company=company).delete()
        delete_company(company.pk, user=ROOT, register=place.register)

    @rule(at=anywhere, kind=st.sampled_from(["full", "full", "incremental"]))
    def back_up(self, at: int, kind: str) -> None:
        """Or a full one, where nothing was backed up yet."""
        place = self.places[at]
        try:
            self.files.append(backup_bytes(place.alias, kind)[0])
        except OperationFailed:
            self.files.append(backup_bytes(place.alias)[0])

    @rule(at=anywhere, which=some, strategy=strategies, choice=choices)
    def restore(self, at: int, which: int, strategy: str, choice: ClosedChoice) -> None:
        if self.files:
            file = self.files[-1 - which % min(len(self.files), 4)]
            self.try_to(at, io.BytesIO(file), strategy, closed=choice)

    @rule(at=anywhere, way=st.integers(1, PLACES - 1), strategy=strategies, choice=choices)
    def send(self, at: int, way: int, strategy: str, choice: ClosedChoice) -> None:
        """A file of now, to another place."""
        file = backup_bytes(self.places[at].alias)[0]
        self.files.append(file)
        self.try_to((at + way) % PLACES, io.BytesIO(file), strategy, closed=choice)

    @rule(at=anywhere, month=months, how=st.sampled_from(["exact", "everywhere", "nothing"]), choice=choices)
    def close_send_and_take_back(self, at: int, month: str, how: str, choice: ClosedChoice) -> None:
        """A month that is closed at one place, and where it came to is not closed any more, or only here."""
        before = backup_bytes(self.places[at].alias)[0]
        self.close(at, 0, month, "asha")
        self.send(at, 1, "backup_wins", choice)
        if how == "exact":
            asked: dict[str, Any] = {"mode": "exact", "closed": ClosedChoice.REOPEN, "takes_back": True}
            self.try_to((at + 1) % PLACES, io.BytesIO(before), "manual", **asked)
        elif how == "everywhere":
            self.undo((at + 1) % PLACES, -1, "backup_wins", ClosedChoice.REOPEN)

    @rule(at=anywhere, which=some)
    def restore_exactly(self, at: int, which: int) -> None:
        if self.files:
            file = self.files[-1 - which % min(len(self.files), 4)]
            asked: dict[str, Any] = {"mode": "exact", "closed": ClosedChoice.REOPEN, "takes_back": True}
            self.try_to(at, io.BytesIO(file), "manual", **asked)

    @rule(at=anywhere, which=some, strategy=strategies, choice=choices)
    def undo(self, at: int, which: int, strategy: str, choice: ClosedChoice) -> None:
        place = self.places[at]
        try:
            move = undoable(place.register)
        except OperationFailed:
            return
        found = ways(move, place.register)
        how = found[which % len(found)]
        event(f"undo {how}")
        source = undo_of(move, place.register, how)
        self.try_to(at, source, strategy, closed=choice, takes_back=how is How.WITHDRAW)

    def try_to(self, at: int, source: Restorable, strategy: str, **asked: Any) -> None:
        try:
            self.places[at].restore(source, strategy, **asked)
        except MonthsAreClosed as failure:
            raise AssertionError("Somebody has decided") from failure
        except OperationFailed as failure:
            event(f"refused: {type(failure).__name__}")

    def teardown(self) -> None:
        """Nobody changes anything any more, files go round, and somebody decides what is asked."""
        with self._opened:
            if not Head.objects.using(self.places[-1].alias).exists():
                return  # it never began
            for _round in range(2):
                for one, other in itertools.permutations(self.places, 2):
                    self.settle(one, other, is_keeper=other in self.places[self.keeper : self.keeper + 1])
            for one, other in itertools.permutations(self.places, 2):
                result = other.restore(io.BytesIO(backup_bytes(one.alias)[0]), "manual")
                assert not result.conflicts
            assert len({place.tree() for place in self.places}) == 1

    @staticmethod
    def settle(one: Place, other: Place, *, is_keeper: bool) -> None:
        """Send a file. Whoever gets it agrees, unless it is who keeps months closed."""
        file = backup_bytes(one.alias)[0]
        choice = ClosedChoice.KEEP if is_keeper else ClosedChoice.REOPEN
        asked: dict[str, Any] = {"strategy": "backup_wins", "closed": choice}
        try:
            other.restore(io.BytesIO(file), **asked)
        except BaseNotHere:
            other.restore(io.BytesIO(file), base="none", **asked)


def first_file(place: Place) -> bytes:
    return backup_bytes(place.alias)[0]


STEPS: Final = 25


@pytest.mark.parametrize(
    ("engines", "steps"),
    [
        pytest.param(("sqlite",), 5_000 if DEEP else 150, id="sqlite"),
        pytest.param(
            ("sqlite", "postgres"), 2_000 if DEEP else 75, id="both", marks=[pytest.mark.postgres, pytest.mark.deep]
        ),
    ],
)
def test_no_seal_is_lost_and_all_agree_at_last(
    engines: tuple[str, ...],
    steps: int,
    installations: Installations,
    tmp_path: Path,
    django_db_setup: None,
    django_db_blocker: DjangoDbBlocker,
) -> None:
    numbers = itertools.count()

    def new_place(opened: ExitStack) -> Place:
        number = next(numbers)
        scratch = installations.new(engines[number % len(engines)], tmp_path / str(number))
        opened.callback(scratch.remove)
        return Place(opened.enter_context(scratch.opened()))

    with django_db_blocker.unblock():
        run_state_machine_as_test(
            cast(Any, partial(Exchange, new_place)),
            settings=settings(max_examples=steps // STEPS, stateful_step_count=STEPS, derandomize=not DEEP),
        )
