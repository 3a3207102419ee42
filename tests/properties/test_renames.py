"""A merge over renamed companies, against a plain model in which every company is known by a number.

The model shares no code with the engine: it merges numbered companies, and only then looks at their names.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from pytest_django import DjangoDbBlocker

from core.attendance.companies import rename_company
from core.models import AttendanceRecord, Company, Installation, Role, User
from core.register.database import Register
from tests.builders.days import FRIDAY, day
from tests.builders.registers import put, register, rows
from tests.conftest import DEEP
from tests.core.restores.test_ancestry import Site
from tests.running import databases
from tests.running.inspection import content

Kind = Literal["rename", "edit", "add", "delete", "drop", "found"]
NAMES = ("A", "B", "C", "D", "E")
PEOPLE = ("1", "2", "3")


@dataclass
class Firm:
    """A company: its name, and the shift of each of its people."""

    name: str
    shifts: dict[str, str] = field(default_factory=dict)


Firms = dict[str, Firm]
"""Companies by what they are known by: a number, or, where one side founded it, its name."""


@dataclass(frozen=True)
class Step:
    """What one side does to a company: ``which`` and ``whom`` are taken modulo what there is."""

    kind: Kind
    which: int
    whom: str
    text: str


steps = st.lists(
    st.builds(
        Step,
        st.sampled_from(("rename", "rename", "edit", "add", "delete", "drop", "found")),
        st.integers(0, 4),
        st.sampled_from((*PEOPLE, "4", "5")),
        st.sampled_from(NAMES),
    ),
    max_size=5,
)


def done(firms: Firms, gone: dict[str, str], step: Step, shift: str) -> tuple[Any, ...] | None:
    """What a step comes to, which is done to the companies; None: nothing. ``gone``: names of companies that were
    dropped: whoever founds one of that name makes it anew."""
    if step.kind == "found":
        if step.text in {firm.name for firm in firms.values()}:
            return None
        firms[gone.get(step.text, f"new {step.text}")] = Firm(step.text, {step.whom: shift})
        return "add", step.text, step.whom, shift
    if not firms:
        return None
    known = sorted(firms)[step.which % len(firms)]
    firm = firms[known]
    match step.kind:
        case "rename" if step.text not in {other.name for other in firms.values()}:
            before, firm.name = firm.name, step.text
            gone.pop(step.text, None)
            if known.startswith("new"):
                firms[f"new {step.text}"] = firms.pop(known)
            return "rename", before, step.text
        case "edit" if step.whom in firm.shifts:
            firm.shifts[step.whom] = shift
            return "edit", firm.name, step.whom, shift
        case "add" if step.whom not in firm.shifts:
            firm.shifts[step.whom] = shift
            return "add", firm.name, step.whom, shift
        case "delete" if step.whom in firm.shifts:
            del firm.shifts[step.whom]
            return "delete", firm.name, step.whom
        case "drop":
            del firms[known]
            if not known.startswith("new"):
                gone[firm.name] = known
            return "drop", firm.name
    return None


def do(alias: str, action: tuple[Any, ...], user: User) -> None:
    """Do the same to a register."""
    kind, name, *rest = action
    companies, records = Company.objects.using(alias), AttendanceRecord.objects.using(alias)
    of_company = records.filter(company__name=name)
    match kind:
        case "rename":
            rename_company(companies.get(name=name).pk, rest[0], user=user, register=Register(alias))
        case "edit":
            assert of_company.filter(ep_no=rest[0]).update(shift=rest[1])
        case "add":
            company, _new = companies.get_or_create(name=name)
            records.create(company=company, ep_no=rest[0], date=FRIDAY, ep_name="M", shift=rest[1], status="P")
        case "delete":
            assert of_company.filter(ep_no=rest[0]).delete()[0]
        case "drop":
            of_company.delete()
            assert companies.filter(name=name).delete()[0]


def merged(base: Firms, ours: Firms, theirs: Firms) -> Firms:
    """The companies after theirs are merged into ours, where theirs win conflicts, before anything is said of names
    that several have."""
    found: Firms = {}
    for known in sorted({*base, *ours, *theirs}):
        below, our, their = (side.get(known) for side in (base, ours, theirs))
        sides = [{} if firm is None else firm.shifts for firm in (below, our, their)]
        shifts = {}
        for whom in {*sides[0], *sides[1], *sides[2]}:
            before, here, there = (side.get(whom) for side in sides)
            shift = here if there == before else there
            if shift is not None:
                shifts[whom] = shift
        stays = our is not None and (their is not None or below is None)
        comes = their is not None and (our is not None or below is None)
        if not (shifts or stays or comes):
            continue
        if our is not None and their is not None and below is not None:
            name = our.name if their.name == below.name else their.name
        else:
            name = (our or their or Firm("")).name
        found[known] = Firm(name, shifts)
    return found


def are_one_to_one(base: Firms, ours: Firms, theirs: Firms, result: Firms) -> bool:
    """Whether every company can be told by its name among all that are merged."""
    seen = {known: (ours.get(known) or theirs.get(known) or base[known]).name for known in {*ours, *theirs}}
    new = {firm.name for known, firm in ours.items() if known not in base}
    return (
        len(set(seen.values())) == len(seen)
        and len({firm.name for firm in result.values()}) == len(result)
        and not any(known in base and firm.name in new for known, firm in theirs.items())
    )


@pytest.mark.parametrize("order", ["sqlite here", "postgres here"])
@settings(max_examples=150 if DEEP else 6)
@given(firms=st.integers(1, 3), here=steps, there=steps)
def test_a_merge_follows_companies_whatever_their_names(
    order: str,
    django_db_setup: None,
    django_db_blocker: DjangoDbBlocker,
    firms: int,
    here: list[Step],
    there: list[Step],
) -> None:
    aliases = list(databases.ALIASES.values())
    if order != "sqlite here":
        aliases.reverse()
    with django_db_blocker.unblock():
        databases.empty(*aliases, "jobs")
        for alias, name in zip(aliases, ("Here", "There"), strict=True):
            Installation.objects.using(alias).create(name=name)
        try:
            check(Site(aliases[0]), Site(aliases[1]), firms, here, there)
        finally:
            databases.empty(*aliases, "jobs")


def check(ours: Site, theirs: Site, count: int, here: Sequence[Step], there: Sequence[Step]) -> None:
    base = {str(number): Firm(name, dict.fromkeys(PEOPLE, "GS")) for number, name in enumerate(NAMES[:count])}
    put(ours.alias, register(*(day(firm.name, ep_no, shift="GS") for firm in base.values() for ep_no in PEOPLE)))
    theirs.restore(ours.file())
    sides: list[Firms] = []
    for site, did, shift in ((ours, here, "H"), (theirs, there, "T")):
        firms, gone = copy.deepcopy(base), dict[str, str]()
        user = User.objects.using(site.alias).create(username="root", role=Role.ROOT)
        for number, step in enumerate(did):
            if (action := done(firms, gone, step, f"{shift}{number}")) is not None:
                do(site.alias, action, user)
        sides.append(firms)
    expected = merged(base, sides[0], sides[1])
    followed = are_one_to_one(base, sides[0], sides[1], expected)
    event(f"one to one: {followed}")
    data = theirs.file()
    preview = ours.preview(data)
    result = ours.restore(data, "backup_wins", yes=True)
    assert result.records.conflicts == preview["conflicts"]
    found = rows(ours.alias)
    if followed:
        assert found.names == tuple(sorted(firm.name for firm in expected.values()))
        shifts = {(key[0], key[2]): row.content["shift"] for key, row in found.records.items()}
        assert shifts == {(f.name, whom): shift for f in expected.values() for whom, shift in f.shifts.items()}
        assert not result.warnings
    else:
        assert not lost(base, sides, [str(row.content["shift"]) for row in found.records.values()])
    theirs.restore(ours.file(), yes=True)
    assert content(ours.alias) == content(theirs.alias)
    assert ours.head == theirs.head
    assert ours.restore(theirs.file()).changes_nothing


def lost(base: Firms, sides: Sequence[Firms], shifts: Sequence[str]) -> list[str]:
    """What one side alone wrote and is nowhere, or twice."""
    written = Counter(shift for firms in sides for firm in firms.values() for shift in firm.shifts.values())
    count = Counter(shifts)
    return [shift for shift in written if shift != "GS" and count[shift] > 1]
