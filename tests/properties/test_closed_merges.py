"""Closed months hold against every merge, whoever decides what: told from the tables, from what the same restore does
where no month counts as closed, and seals are records like others, and from the seals that come."""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import re
import tempfile
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, get_args
from unittest.mock import patch

import pytest
from django.conf import settings
from django.utils import timezone
from hypothesis import event
from hypothesis import strategies as st

from core.attendance.companies import rename_company
from core.history.fingerprint import month_digest
from core.models import JOBS, AttendanceRecord, BackupLog, Company, Kind, Operation, Role, Seal, User
from core.operations import queue as jobs
from core.operations.closed import ClosedChoice, ClosedMonth, MonthsAreClosed
from core.operations.errors import OperationFailed
from core.operations.run import Actor
from core.preview import folders as preview_folders
from core.preview import stored as stored_preview
from core.preview.filters import Filter
from core.register.closed import standing_seals
from core.register.database import Register
from core.register.declared import SCHEMA, Selection
from core.restores import jobs as restore_jobs
from core.restores.closed import months_in
from core.restores.merging import DecidedPlan, Done
from core.restores.restore_service import Restorable, RestoreService
from core.restores.undo import How, Undo, undo_of, undoable, ways
from recordsync.merge import Counts, Merged, Side, Strategy
from recordsync.model.schema import Model
from recordsync.models import Head, Snapshot
from recordsync.plan import Account, ChangeList, decided_batches, list_changes
from tests.builders.days import Content, day
from tests.builders.files import parsed
from tests.builders.registers import everything, put, register, rows
from tests.properties.laws import clear, for_some
from tests.properties.test_restore import MEMORY
from tests.running.services import backup_bytes, restore
from tests.running.work_queue import perform

NAMES: Final = ("A", "B", "C")
MONTHS: Final = {"2026-10": "October 2026", "2026-11": "November 2026"}
DAYS: Final = ("2026-10-05", "2026-10-31", "2026-11-01")
ASKER: Final = Actor("Meena")


# --- What people do


class Act(NamedTuple):
    """What somebody does. ``which``: the record or the company, of those that there are; ``day``, ``whom``: of a new
    record; ``text``: its new shift, or the company's new name."""

    kind: Literal["edit", "add", "delete", "rename", "drop", "close", "reopen", "unseal"]
    which: int
    day: str
    whom: str
    text: int


acts: Final = st.builds(
    Act,
    st.sampled_from(
        [*["edit"] * 5, *["add"] * 3, *["delete"] * 3, "drop", *["rename"] * 2, "close", "reopen", "unseal"]
    ),
    st.integers(0, 11),
    st.sampled_from(DAYS),
    st.sampled_from("123"),
    st.integers(0, 3),
)
ALL: Final = tuple((name, month) for name in NAMES[:2] for month in MONTHS)
DROP: Final = Act("drop", 0, DAYS[0], "1", 0)
months: Final = st.sampled_from([ALL, ALL, ALL[1:], ALL[::2], (), ()])


def do(alias: str, act: Act) -> None:
    """Do this, if there is anything to do it to."""
    records = AttendanceRecord.objects.using(alias).order_by("company__name", "date", "ep_no")
    companies = Company.objects.using(alias).order_by("name")
    found: Sequence[Any] = list(records if act.kind in ("edit", "delete") else companies)
    if not found:
        return
    one = found[act.which % len(found)]
    seals = Seal.objects.using(alias).filter(company=one) if isinstance(one, Company) else Seal.objects.none()
    of_month = seals.filter(month=f"{act.day[:7]}-01")
    match act.kind:
        case "edit":
            records.filter(pk=one.pk).update(shift=("GS", "N", "G1", "G2")[act.text], updated_at=timezone.now())
        case "delete":
            one.delete()
        case "add":
            if not records.filter(company=one, date=act.day, ep_no=act.whom).exists():
                records.create(company=one, date=act.day, ep_no=act.whom, shift="G3", status="P")
        case "rename":
            name = (*NAMES, "D")[act.text]
            if not companies.filter(name=name).exists():
                user = User(username="root", role=Role.ROOT)
                rename_company(one.pk, name, user=user, register=Register(alias))
        case "drop":
            seals.delete()
            records.filter(company=one).delete()
            one.delete()
        case "close":
            close(alias, one, act.day[:7], "ravi")
        case "reopen":
            now = timezone.now()
            of_month.filter(reopened_at=None).update(reopened_at=now, reopened_by="ravi", updated_at=now)
        case "unseal":
            of_month.delete()


MONTH_OF: Final[dict[str, set[Any]]] = {}
"""What a month has, by its digest."""


def close(alias: str, company: Company, month: str, who: str) -> None:
    now, first = timezone.now(), f"{month}-01"
    with Register(alias).read() as store:
        digest = month_digest(store, company.name, dt.date.fromisoformat(first))
    MONTH_OF[digest] = {
        (key[1:], *content.items())
        for key, content in contents(alias).days_of({(company.pk, month)}, among=True).items()
    }
    Seal.objects.using(alias).create(
        company=company, month=first, closed_at=now, closed_by=who, closed_as=company.name, digest=digest
    )


Way = Literal[
    "full", "incremental", "company", "month", "since", "no base", "unrelated", "own", "exact", "exactly own", "undo",
    "withdraw",
]  # fmt: skip


@dataclass(frozen=True)
class Case:
    """Two installations that share a base, and what is restored at ours. ``base``: the shift of each record.
    ``shared``: what is closed in the base; ``closed``: what somebody closes at ours at last. ``later``: what is done at
    ours after a restore that is then undone. ``by``: a strategy, or a person, who decides each conflict."""

    base: Mapping[tuple[str, str, str], str]
    shared: Sequence[tuple[str, str]]
    theirs: Sequence[Act]
    ours: Sequence[Act]
    later: Sequence[Act]
    closed: Sequence[tuple[str, str]]
    way: Way
    by: Literal["backup_wins", "database_wins"] | int
    choice: ClosedChoice


cases: Final = st.builds(
    Case,
    st.dictionaries(
        st.tuples(st.sampled_from(NAMES[:2]), st.sampled_from(DAYS), st.sampled_from("12")),
        st.sampled_from(["GS", "N"]),
        min_size=3,
        max_size=8,
    ),
    st.sampled_from([(), ALL[:1], ALL[1:], ALL]),
    st.builds(lambda acts, last: [*acts, *last], st.lists(acts, min_size=4, max_size=7), st.sampled_from([[], [DROP]])),
    st.lists(acts, max_size=3),
    st.lists(acts, max_size=2),
    months,
    st.sampled_from([*get_args(Way), "full", "full", "incremental"]),
    st.sampled_from(["backup_wins", "database_wins"]) | st.integers(0, 3),
    st.sampled_from(ClosedChoice),
)


# --- What is there


Ident = Any
"""What a company is known by, whatever its name is: its id, or its name if it is new."""
Month = tuple[Ident, str]
Seals = Mapping[tuple[str, str], Content]
"""Seals by their month and the moment of closing, which no two have alike."""


class Contents(NamedTuple):
    """A register by its companies' ids, with their names."""

    names: dict[Ident, str]
    days: dict[tuple[Ident, str, str], Content]
    seals: dict[tuple[Ident, str, str], Content]

    @property
    def closed(self) -> set[Month]:
        return {(company, month) for company, month, _at in self.standing}

    @property
    def by_moment(self) -> Seals:
        return {key[1:]: {**seal, "company_name": self.names[key[0]]} for key, seal in self.seals.items()}

    @property
    def standing(self) -> dict[tuple[Ident, str, str], Content]:
        return {key: seal for key, seal in self.seals.items() if seal["reopened_at"] is None}

    def fits(self, key: tuple[Ident, str, str], seal: Content) -> bool:
        """Whether a month has what it had when it was closed."""
        of_month = self.days_of({key[:2]}, among=True)
        return MONTH_OF[str(seal["digest"])] == {(day[1:], *content.items()) for day, content in of_month.items()}

    def days_of(self, months: set[Month], *, among: bool) -> dict[tuple[Ident, str, str], Content]:
        """The days that are of these months, or of all others."""
        return {key: content for key, content in self.days.items() if ((key[0], key[1][:7]) in months) is among}


def contents(alias: str, before: Contents | None = None) -> Contents:
    """What is there. ``before``: what was: companies that are new since are known by their names."""
    found = rows(alias)
    known = {
        name: row.pk if before is None or row.pk in before.names else name for name, row in found.companies.items()
    }

    def bare(content: Content) -> Content:
        return {name: value for name, value in content.items() if name != "company_name"}

    return Contents(
        {known[name]: name for name in known},
        {(known[key[0]], *key[1:]): bare(content) for key, content in found.contents.items()},
        {(known[key[0]], key[1][:7], key[2]): bare(content) for key, content in found.seals.items()},
    )


# --- The restore


Told = Mapping[str, Counts]


class Restoring:
    """The restore of a case. ``source``: opens what is restored; ``theirs``: the seals that this has; ``undone``: those
    after what is undone; ``how``: of an undo. ``closed``: what was told of closed months when it was done."""

    def __init__(
        self,
        alias: str,
        case: Case,
        source: Callable[[], Restorable],
        theirs: Seals,
        undone: Seals,
        how: How | None = None,
        **asked: Any,
    ) -> None:
        self.alias, self.case, self.source, self.how, self.asked = alias, case, source, how, asked
        self.theirs, self.undone = theirs, undone
        self.closed: Sequence[ClosedMonth] = ()
        self.here = Register(alias)
        self.service = RestoreService(register=self.here)

    def their(self, key: tuple[Ident, str, str], before: Contents) -> Content | None:
        """What theirs has of a seal of ours. A file that enters no history does not follow other names of companies."""
        seal = self.theirs.get(key[1:])
        is_followed = self.case.way not in ("company", "month", "since")
        return seal if seal and (is_followed or seal["company_name"] == before.names[key[0]]) else None

    @property
    def is_exact(self) -> bool:
        return self.asked.get("mode") == "exact"

    @property
    def takes_back(self) -> bool:
        return self.is_exact or self.how is How.WITHDRAW

    def side(self, model: Model, key: Sequence[str], unit: str) -> Side:
        """For which side the person decides."""
        salt = repr((self.case.by, model.name, tuple(key), unit))
        return Side.THEIRS if hashlib.sha256(salt.encode()).digest()[0] % 2 else Side.OURS

    def unsealed(self, before: Contents) -> tuple[Contents, Told]:
        """What the restore would make of the register where no month counts as closed and seals can be deleted, and its
        counts. It is looked at just before it is committed, and then rolled back."""
        seen: list[tuple[Contents, Told]] = []

        def look(_run: object, done: Done) -> None:
            seen.append((contents(self.alias, before), done.counts))
            raise Looked

        with (
            patch("core.restores.merging.sealing", return_value=None),
            patch("core.restores.merging.merge_drivers", return_value={}),
            patch("core.restores.restore_service.complete_log", look),
            suppress(Looked, OperationFailed),
        ):
            if isinstance(self.case.by, str):
                self.service.restore_backup(self.source(), self.case.by, yes=True, **self.asked)
            else:
                self._each_decided()
        (found,) = seen
        return found

    def _each_decided(self) -> None:
        def decide(model: Model, merged: Merged, unit: str) -> Side:
            return self.side(model, merged.key, unit)

        with (
            self.service.preview_changes(self.source(), "manual", **self.asked) as preview,
            tempfile.TemporaryFile() as listed,
        ):
            account = Account(preview.plan)
            list_changes(listed, SCHEMA, decided_batches(preview.plan, decide, account))
            decided = DecidedPlan(account.verified(), ChangeList(listed, SCHEMA))
            self.service.restore_backup(
                self.source(), "manual", yes=True, preview=preview, prepare=lambda run: decided, **self.asked
            )

    def done(self, choice: ClosedChoice | None, touched: Mapping[tuple[str, str], int]) -> Told:
        """The counts of the restore. Its preview must say the same, and that it touches these months. Raises
        MonthsAreClosed, as its preview says."""
        if not isinstance(self.case.by, str):
            return self._on_the_pages(choice, touched)
        asked: dict[str, Any] = {"closed": choice, **self.asked}
        before = everything(self.alias)
        with self.service.preview_changes(self.source(), self.case.by, **asked) as preview:
            assert everything(self.alias) == before
            assert {(one.company, one.month): one.days for one in preview.closed.months} == touched
            told = preview.models
        if choice is None and touched:
            left = told["attendance_records"]
            assert left.undecided + left.absent_undecided == sum(touched.values())
            with pytest.raises(MonthsAreClosed) as refused:
                self.service.restore_backup(self.source(), self.case.by, yes=True, **asked)
            assert str(refused.value) == preview.stop.replace(" Only a", " Nothing was changed. Only a")
            raise refused.value
        result = self.service.restore_backup(self.source(), self.case.by, yes=True, **asked)
        self.closed = result.closed.months
        expected = [month._replace(is_closed=None) for month in self.closed]
        assert (result.models, expected) == (told, preview.closed.months)
        return result.models

    def _on_the_pages(self, choice: ClosedChoice | None, touched: Mapping[tuple[str, str], int]) -> Told:
        with pytest.MonkeyPatch.context() as monkey, tempfile.TemporaryDirectory(dir=MEMORY) as folder:
            monkey.setattr(settings, "DATA_DIR", folder)
            source = self.source()
            parameters: dict[str, Any] = {"strategy": "manual", "backup": None, **self.asked}
            if isinstance(source, io.BytesIO):
                pk = restore_jobs.receive([source.getvalue()], 1 << 30)
            else:
                preview_folders.new_folder(pk := uuid.uuid4())
                if isinstance(source, Undo):
                    parameters["undo"] = source.parameters
                elif isinstance(source, Snapshot):
                    parameters["snapshot"] = source.pk
            check = jobs.submit(Kind.CHECK, ASKER, register=self.here, pk=pk, parameters=parameters)
            perform(pk)
            check.refresh_from_db()
            assert check.state == Operation.State.SUCCEEDED, check.message
            with stored_preview.opened(pk) as preview:
                if choice is not None:
                    restore_jobs.choose_closed(preview, choice)
                for strategy in Strategy:  # the last is a person's
                    preview.choose(strategy)
                    self._same(preview)
                self._decide_each(preview)
                told = preview.counts()
                assert {month: change.days for month, change in preview.sealed_months().items()} == touched
                operation = restore_jobs.submit_apply(ASKER, preview, self.here, is_confirmed=True)
            perform(operation.pk)
        operation = Operation.objects.using(JOBS).get(pk=operation.pk)
        assert operation.state == Operation.State.SUCCEEDED, operation.message
        result = operation.result["closed_months"]
        assert {(one["company"], one["month"]): one["days"] for one in result} == touched
        self.closed = [ClosedMonth(**one) for one in result]
        return told

    def _same(self, preview: stored_preview.StoredPreview) -> None:
        """The tables of a preview count what its plan does."""
        decide = preview.decisions()
        assert preview.counts() == preview.plan.counts(decide)
        assert list(restore_jobs.closed_of(preview, self.here).months) == months_in(
            preview.plan, decide, standing_seals(self.here)
        )

    def _decide_each(self, preview: stored_preview.StoredPreview) -> None:
        after, more = None, True
        while more:
            page = preview.page(Filter(), after)
            for line in page.lines:
                for unit in line.units:
                    side = self.side(line.model, line.key, unit.name)
                    preview.decide(side, line.id, unit.name, seen=preview.version)
                    self._same(preview)
            after, more = page.after, page.after is not None


class Looked(Exception):
    """The restore was looked at, and is not to be committed."""


# --- The two installations


@contextmanager
def restoring(alias: str, case: Case) -> Iterator[Restoring | None]:
    """The restore of a case, with everything that was before it in the databases; None: there is nothing to undo.

    The two installations were in the same databases one after the other.
    """
    put(alias, register(*(day(key[0], key[2], key[1], shift=shift) for key, shift in case.base.items())))
    for name, month in case.shared:
        for company in Company.objects.using(alias).filter(name=name):
            close(alias, company, month, "asha")
    shared = backup_bytes(alias)[0]
    began = timezone.now()
    for act in case.theirs:
        do(alias, act)
    asked: dict[str, Any] = {}
    match case.way:
        case "incremental":
            file = backup_bytes(alias, "incremental")[0]
        case "since":
            file = backup_bytes(alias, "incremental", began)[0]
        case "company":
            companies = Company.objects.using(alias).order_by("name").values_list("name", flat=True)
            file = backup_bytes(alias, selection=Selection(list(companies[:1])))[0]
        case "month":
            file = backup_bytes(alias, selection=Selection(date_from="2026-11-01"))[0]
        case _:
            file = backup_bytes(alias)[0]
            asked = {"no base": {"base": "none"}, "exact": {"mode": "exact"}}.get(case.way, {})
    theirs = contents(alias).by_moment if case.way == "incremental" else seals_in(file)
    undone: Seals = {}
    clear(alias)
    if case.way == "unrelated":
        put(alias, register(*(day(key[0], key[2], key[1], shift=shift) for key, shift in case.base.items())))
    else:
        restore(alias, shared)
    first = Head.objects.using(alias).first()
    for act in case.ours:
        do(alias, act)
    if case.way in ("undo", "withdraw"):
        theirs = contents(alias).by_moment
        restore(alias, file, "backup_wins", yes=True, closed=ClosedChoice.REOPEN)
        undone = contents(alias).by_moment
        for act in case.later:
            do(alias, act)
    for name, month in case.closed:
        for company in Company.objects.using(alias).filter(name=name):
            close(alias, company, month, "asha")

    def source() -> Restorable:
        return io.BytesIO(file)

    if case.way in ("own", "exactly own"):
        assert first is not None
        snapshot = first.snapshot
        asked = {"mode": "exact"} if case.way == "exactly own" else {}
        yield Restoring(alias, case, lambda: snapshot, seals_in(shared), undone, **asked)
    elif case.way in ("undo", "withdraw"):
        here = Register(alias)
        try:
            move = undoable(here)
        except OperationFailed:
            yield None
            return
        way = How.EVERYWHERE if case.way == "undo" or How.WITHDRAW not in ways(move, here) else How.WITHDRAW
        yield Restoring(alias, case, lambda: undo_of(move, here, way), theirs, undone, way)
    else:
        yield Restoring(alias, case, source, theirs, undone, **asked)


def seals_in(file: bytes) -> Seals:
    """The seals that a file lists."""
    return {(line["month"][:7], line["closed_at"]): line for line in parsed(file)["seals"]}


Reopening = tuple[str, str]


def reopening(seal: Content | None) -> Reopening | None:
    """When and by whom a seal was reopened."""
    return None if seal is None or seal["reopened_at"] is None else (seal["reopened_at"], str(seal["reopened_by"]))


def with_reopening(seal: Content, when: Reopening | None) -> Content:
    return seal if when is None else {**seal, "reopened_at": when[0], "reopened_by": when[1]}


def grown(one: Restoring, before: Contents, twin: Contents, after: Contents) -> dict[tuple[Ident, str, str], Content]:
    """The seals that are here if everything that comes may change them: those of the twin, and what is not lost. Of
    companies that are here after the restore."""
    seals = {key: seal for key, seal in twin.seals.items() if key[0] in after.names}
    if one.is_exact:
        return seals
    if one.how is How.WITHDRAW:
        stood = {moment for moment, seal in one.undone.items() if not reopening(seal)}
        return {key: seal for key, seal in before.seals.items() if key[1:] in stood and reopening(seal)} | seals
    for key, seal in before.seals.items():
        if key[0] in after.names:
            times = [when for when in (reopening(seal), reopening(one.their(key, before))) if when is not None]
            seals[key] = with_reopening(seal, min(times, default=None))
    come_back = {key: seal for key, seal in after.seals.items() if key not in seals and key[1:] in one.theirs}
    for key, seal in come_back.items():
        assert reopening(seal) == reopening(one.theirs[key[1:]]) is not None, "those that close nothing come back"
        assert key[0] in before.names
    event(f"a reopened seal comes back: {bool(come_back)}")
    if not any(act.kind == "rename" for act in (*one.case.theirs, *one.case.ours, *one.case.later)):
        here = {key[1:] for key in (*seals, *come_back)}
        for moment, seal in one.theirs.items():
            assert moment in here or not reopening(seal) or seal["company_name"] not in before.names.values()
    return seals | come_back


def kept_closed(one: Restoring, before: Contents, after: Contents) -> dict[tuple[Ident, str, str], Content]:
    """The seals that stood before, as they are now that somebody has kept their months closed. Where the last one of a
    month was reopened there, that is recorded, and the month is closed again in their name."""
    seals = dict(before.standing)
    who = BackupLog.objects.using(one.alias).latest("pk").actor_name
    for month in before.closed:
        of_month = sorted(key for key in before.standing if key[:2] == month)
        if not one.takes_back:
            for key in of_month:
                seals[key] = with_reopening(seals[key], reopening(one.their(key, before)))
        if all(reopening(seals[key]) for key in of_month):
            made = after.standing.keys() - before.seals.keys()
            ((key, seal),) = [(key, after.seals[key]) for key in made if key[:2] == month and key[1:] not in one.theirs]
            last = seals[of_month[-1]]
            assert seal == {**last, "closed_at": key[2], "closed_by": who, "reopened_at": None, "reopened_by": ""}
            seals[key] = seal
    return seals


def touched_by(
    one: Restoring, before: Contents, twin: Contents
) -> tuple[dict[Month, int], set[tuple[Ident, str, str]]]:
    """The closed months that a restore changes where no month counts as closed, with how many days; and the standing
    seals that it takes away, or that were reopened there."""
    days: Counter[Month] = Counter()
    for key in before.days.keys() | twin.days.keys():
        if (month := (key[0], key[1][:7])) in before.closed:
            days[month] += before.days.get(key) != twin.days.get(key)
    opened = {key for key, seal in before.standing.items() if twin.seals.get(key) != seal}
    if not one.takes_back:
        opened |= {key for key in before.standing if reopening(one.their(key, before))}
    found = {month: number for month, number in days.items() if number}
    return {(company, month): 0 for company, month, _at in opened} | found, opened


@for_some(case=cases)
def test_closed_months_hold_against_every_merge(alias: str, case: Case) -> None:
    """For all pairs of installations, restores, strategies and decisions: nothing of a closed month changes unless a
    person has said so, and then exactly what would change if it were not closed; nobody is asked otherwise."""
    with restoring(alias, case) as one:
        if one is None:
            event("nothing to undo")
            return
        before, everything_before = contents(alias), everything(alias)
        twin, counts = one.unsealed(before)
        assert everything(alias) == everything_before
        touched, opened = touched_by(one, before, twin)
        named = {(before.names[company], month): number for (company, month), number in touched.items()}
        is_exact = one.is_exact
        event(f"{case.way}, {case.choice}, {'touched' if touched else 'not touched'}")
        if touched:  # nobody has said anything yet
            with pytest.raises(MonthsAreClosed) as refused:
                one.done(None, named)
            assert everything(alias) == everything_before
            said = re.sub(r" \(by [^)]+\)", "", str(refused.value))
            for company, month in sorted(touched, key=lambda of: (before.names[of[0]], of[1]))[:5]:
                would = told_of(one, before, (company, month), touched[company, month], opened)
                assert f"{MONTHS[month]} of {before.names[company]} is closed: {would}" in said
        if case.choice is ClosedChoice.KEEP and is_exact:
            with pytest.raises(OperationFailed, match="cannot keep them closed"):
                one.done(case.choice, named)
            assert everything(alias) == everything_before
            return
        choice = case.choice if touched else None
        told = one.done(choice, named)
        after = contents(alias, before)
        is_kept = choice is ClosedChoice.KEEP
        stays = before.closed if is_kept else set()
        assert after.days_of(stays, among=True) == before.days_of(stays, among=True)
        assert after.days_of(stays, among=False) == twin.days_of(stays, among=False)
        seals = grown(one, before, twin, after)
        taken = dict(seals)
        if one.how is How.WITHDRAW:  # a month that has changed since it was reopened stays open
            for key, seal in before.seals.items():
                if reopening(seal) and key in seals and not reopening(seals[key]) and not after.fits(key, seal):
                    seals[key] = seal
        if is_kept:
            taken |= before.standing
            seals |= kept_closed(one, before, after)
        elif choice is ClosedChoice.REOPEN and not is_exact:
            who = BackupLog.objects.using(alias).latest("pk").actor_name
            for key, seal in seals.items():
                is_gone = key in before.standing and key not in twin.seals
                if key[:2] in touched and not reopening(seal) and (is_gone or not after.fits(key, seal)):
                    reopened_at = after.seals[key]["reopened_at"]
                    assert reopened_at is not None
                    seals[key] = {**seal, "reopened_at": reopened_at, "reopened_by": who}
        assert after.seals == seals
        if choice is ClosedChoice.REOPEN:
            here = {name: company for company, name in before.names.items()}
            told_now = {(here[found.company], found.month): found.is_closed for found in one.closed}
            assert told_now == {month: month in after.closed for month in touched}
            event(f"a month is closed all the same: {any(told_now.values())}, {is_exact=}")
        assert twin.names.keys() <= after.names.keys()
        for company in after.names.keys() - twin.names.keys():
            had = {key for key in before.seals if key[0] == company}
            event(f"a company stays with its seals: {bool(had & before.standing.keys())}, {is_kept}")
            assert had, "otherwise it is deleted as without seals"
            if one.takes_back:
                assert is_kept or any(reopening(before.seals[key]) for key in had)
            if not any(of.conflicts for of in counts.values()):
                assert had & before.standing.keys(), "one of its months was closed"
        kept = sum(taken.get(key) == seal for key, seal in before.seals.items())
        kept -= sum(twin.seals.get(key) == seal for key, seal in before.seals.items())
        kept -= len(taken.keys() - before.seals.keys() - twin.seals.keys())  # what comes back does not stay away
        now = after._replace(seals={key: seal for key, seal in after.seals.items() if key in taken})
        accounted_for(before, now, told, counts, sum(touched.values()), len(opened), kept, is_kept=is_kept)
        gone = {key[:2] for key in opened if one.takes_back or not reopening(one.their(key, before))}
        again(one, after, {month: days for month, days in touched.items() if days or month in gone}, is_kept=is_kept)


def told_of(one: Restoring, before: Contents, month: Month, days: int, opened: set[tuple[Ident, str, str]]) -> str:
    """The end of the sentence about a closed month of which so many days would change."""
    standing = [key for key in before.standing if key[:2] == month]
    is_reopened = all(key in opened and reopening(one.their(key, before)) for key in standing)
    would = f"{days} day{'s' * (days > 1)} of it would change." if days else ""
    if is_reopened:
        return "in what comes it was reopened" + (f", and {would}" if would else ".")
    return would or "a closing of it would no longer stand."


def accounted_for(
    before: Contents, after: Contents, told: Told, twin: Told, days: int, seals: int, kept: int, *, is_kept: bool
) -> None:
    """That what is told is what has happened, and adds up. ``days``, ``seals``: how many sealed ones change, or would;
    ``kept``: how many more seals are as they were than without."""
    for name, sealed in (("companies", 0), ("attendance_records", days), ("seals", seals)):
        if name not in told:
            continue
        of, other = told[name], twin[name]
        assert of.read == other.read == of.added + of.updated + of.deleted + of.skipped + of.kept
        assert (of.undecided, of.absent_undecided, of.sealed) == (0, 0, sealed)
        if name == "companies":
            assert of.added + of.created == len(after.names.keys() - before.names.keys())
            assert of.deleted + of.absent_deleted == len(before.names.keys() - after.names.keys())
            continue
        was, now = (before.days, after.days) if name == "attendance_records" else (before.seals, after.seals)
        assert of.added == len(now.keys() - was.keys())
        assert of.deleted + of.absent_deleted == len(was.keys() - now.keys())
        assert of.skipped == other.skipped
        stay = days * is_kept if name == "attendance_records" else kept
        assert of.kept + of.absent_kept == other.kept + other.absent_kept + stay
        if name == "attendance_records":
            assert of.updated == sum(now[key] != was[key] for key in now.keys() & was.keys())


def again(one: Restoring, after: Contents, touched: Mapping[Month, int], *, is_kept: bool) -> None:
    """The second restore of the same file changes nothing, and nobody is asked. A file that enters no history is not
    remembered: whoever kept a month says so again, unless it was only reopened there. ``touched``: without those."""
    if one.case.way in ("undo", "withdraw"):
        return
    acts = (*one.case.theirs, *one.case.ours, *one.case.later)
    if one.case.way in ("no base", "own") and any(act.kind == "rename" for act in acts):
        # Once it was merged, what comes without a base goes by the names of now, which may be those of other companies.
        event("the second restore goes by other names")
        return
    is_remembered = one.case.way in ("full", "incremental", "unrelated")
    if is_kept and not is_remembered and touched:
        one.done(ClosedChoice.KEEP, {(after.names[company], month): days for (company, month), days in touched.items()})
    else:
        one.done(None, {})
    assert contents(one.alias, after) == after
