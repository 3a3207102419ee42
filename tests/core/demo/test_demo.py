"""The demo register: always the same, exactly as large as asked, legal, and like a real one."""

import datetime as dt
import hashlib
import json
import os
import signal
import subprocess
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby, pairwise
from operator import attrgetter
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone
from pytest_django import Settings

from core.demo import service as demo_service
from core.demo.generator import DemoPlan, DemoRegister, row_moment
from core.demo.rows import DemoRow
from core.demo.service import DEMO_PASSWORD, DemoService
from core.demo.shapes import YEAR
from core.models import MINUTE_FIELDS, TIME_FIELDS, AttendanceRecord, Company, Role, Seal, User
from core.operations.errors import OperationFailed, RegisterBusy
from core.register.database import Register
from core.register.declared import ATTENDANCE_RECORDS, COMPANIES, SCHEMA
from recordsync.stores import OrmStore
from recordsync.streams import sort
from tests.running import databases
from tests.running.installation import PROJECT, ScratchInstallation

UNTIL = dt.date(2026, 10, 31)
NOW = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)


def plan(companies: int = 3, records: int = 500, seed: int = 1) -> DemoPlan:
    return DemoPlan(companies, records, seed, UNTIL)


def rows_of(companies: int, records: int, seed: int = 1, now: dt.datetime = NOW) -> list[DemoRow]:
    return list(DemoRegister(plan(companies, records, seed), now).rows())


@pytest.fixture(scope="module", params=[1, 2, 3])
def rows(request: pytest.FixtureRequest) -> list[DemoRow]:
    """A register of 20,000 records of many companies, from several seeds."""
    return rows_of(104, 20_000, request.param)


@pytest.fixture(autouse=True)
def only_this_machine(settings: Settings) -> None:
    """As after installing; the test runner lets another host in."""
    settings.ALLOWED_HOSTS = ["localhost"]


# --- The generator


def test_the_same_plan_gives_the_same_register_in_every_process() -> None:
    program = (
        "import datetime as dt, hashlib; from core.demo.generator import *\n"
        "plan = DemoPlan(9, 3000, 5, dt.date(2026, 10, 31))\n"
        "register = DemoRegister(plan, dt.datetime(2026, 11, 1, tzinfo=dt.UTC))\n"
        "print(hashlib.sha256(repr((register.companies, list(register.rows()))).encode()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=PROJECT,
            env={"PATH": os.environ["PATH"], "PYTHONHASHSEED": hash_seed, "TZ": zone},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for hash_seed, zone in (("0", "UTC"), ("1", "Asia/Kolkata"), ("12345", "America/Lima"))
    }
    register = DemoRegister(plan(9, 3000, 5), NOW)
    here = hashlib.sha256(repr((register.companies, list(register.rows()))).encode()).hexdigest()
    assert digests == {here}


@pytest.mark.parametrize("run_length", [100, 20_000], ids=["on disk", "in memory"])
def test_records_are_in_order_of_their_keys(run_length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As those of a register that grew day by day stand in its table, for each company."""
    monkeypatch.setattr(sort, "RUN_LENGTH", run_length)
    register = DemoRegister(plan(9, 3000), NOW)
    made = list(register.rows())
    keys = [(register.companies[row.company], row.date, row.ep_no) for row in made]
    assert keys == sorted(set(keys))
    assert max(Counter(row.company for row in made).values()) > 100
    assert {type(row) for row in made} == {DemoRow}


def test_another_seed_gives_another_register() -> None:
    assert rows_of(3, 100, 1) != rows_of(3, 100, 2)


@pytest.mark.parametrize(
    ("companies", "records"), [(0, 0), (5, 0), (1, 1), (9, 4), (9, 9), (1, 3 * YEAR), (250, 1000), (104, 2500)]
)
def test_counts_are_exact_and_keys_unique(companies: int, records: int) -> None:
    register = DemoRegister(plan(companies, records), NOW)
    rows = list(register.rows())
    assert len(register.companies) == len(set(register.companies)) == companies
    assert register.companies == sorted(register.companies)
    assert len({(row.company, row.ep_no, row.date) for row in rows}) == len(rows) == records
    if records >= companies:
        assert {row.company for row in rows} == set(range(companies))


def test_many_companies_have_different_names() -> None:
    names = DemoRegister(plan(5000, 0), NOW).companies
    assert len(set(names)) == 5000


@pytest.mark.parametrize(("companies", "records"), [(-1, 0), (1, -1), (0, 1)])
def test_impossible_plans_are_refused(companies: int, records: int) -> None:
    with pytest.raises(ValueError, match=r"^[A-Z].+\.$"):
        plan(companies, records)


def test_a_plan_ends_in_an_age_of_time_clocks() -> None:
    with pytest.raises(ValueError, match="1970"):
        DemoPlan(1, 1, 1, dt.date(1, 1, 1))


def test_the_register_that_benchmarks_measure_stays_as_it_is() -> None:
    """So that figures of several versions can be compared."""
    digest = hashlib.sha256(repr(rows_of(104, 20_000)).encode()).hexdigest()
    assert digest == "2ec66e27959401707ac92ebac58e943ae53b9c53f7d79418f5aa11f7d93f99a0"


# --- Companies with a staff, as `make run` shows them


@pytest.fixture(scope="module")
def staffed() -> list[DemoRow]:
    return rows_of(12, 48_000)


@pytest.mark.parametrize(("companies", "records"), [(12, 48_000), (12, 5_000), (1, 3_000), (40, 60_000)])
def test_companies_have_a_staff_that_stays(companies: int, records: int) -> None:
    for seed in (1, 2):
        rows = rows_of(companies, records, seed)
        assert len(rows) == records
        staff = Counter(company for company, _number in {(row.company, row.ep_no) for row in rows})
        assert all(15 <= staff[company] <= 60 for company in range(companies)), staff
        days = {row.date for row in rows}
        assert max(days) == str(UNTIL)
        assert 14 <= len(days) <= YEAR
        stays = Counter((row.company, row.ep_no) for row in rows)
        assert sum(days_here >= len(days) - 3 for days_here in stays.values()) > len(stays) / 2


def test_a_staff_works_by_the_week_and_for_four_months(staffed: list[DemoRow]) -> None:
    assert 115 <= len({row.date for row in staffed}) <= 135
    counts = Counter(row.status for row in staffed)
    assert 0.65 <= counts["P"] / len(staffed) <= 0.78
    assert 0.04 <= counts["A"] / len(staffed) <= 0.06
    sundays = Counter(row.company for row in staffed if dt.date.fromisoformat(row.date).weekday() == 6)
    off = Counter(
        row.company for row in staffed if dt.date.fromisoformat(row.date).weekday() == 6 and row.status == "WO"
    )
    closed = [company for company in sundays if off[company] > sundays[company] / 2]
    assert len(closed) == 10  # the others work on all days


def test_few_days_are_out_of_the_ordinary(staffed: list[DemoRow]) -> None:
    """Of each kind of mistake a few a month, so that a list of them has something and can be worked through."""
    at_work = [row for row in staffed if row.status in {"P", "PD", "-0.5"}]
    names: dict[tuple[int, str], set[str]] = {}
    numbers: dict[tuple[int, str], set[str]] = {}
    for row in staffed:
        names.setdefault((row.company, row.ep_no), set()).add(row.ep_name)
        numbers.setdefault((row.company, row.ep_name), set()).add(row.ep_no)
    dates = sorted({row.date for row in staffed})
    entered = {(row.company, row.date) for row in staffed}
    runs = sum(
        status == "A" and len(list(run)) >= 3
        for days in employees(staffed)
        for status, run in groupby(days, key=lambda row: row.status)
    )
    found = {
        "missing punch": sum(times(row).count(None) % 2 == 1 for row in staffed),
        "over 4 h": sum((row.overstay or 0) > 240 for row in staffed),
        "present without a time": sum(times(row) == [None] * 6 for row in at_work),
        "absent with a time": sum(row.status == "A" and row.in_time is not None for row in staffed),
        "overlapping": sum(
            bool(row.in_time_2 and row.in_time and row.out_time and row.in_time < row.in_time_2 < row.out_time)
            for row in staffed
        ),
        "out before in by day": sum(
            is_night(row) and (row.out_time or "") > "06:" and (row.in_time or "") < "20:" for row in staffed
        ),
        "one number, two names": sum(len(spellings) > 1 for spellings in names.values()),
        "one name, two numbers": sum(len(people) > 1 for people in numbers.values()),
        "absent in a row": runs,
        "a day that a company did not enter": len(dates) * 12 - len(entered),
    }
    assert all(1 <= count < len(staffed) / 100 for count in found.values()), found
    assert {row.company for row in staffed if row.date == str(UNTIL)} == set(range(12)) - {5}


def test_a_staff_is_entered_in_legal_values(staffed: list[DemoRow]) -> None:
    test_every_value_is_legal(staffed)
    assert all(row.ep_name for row in staffed)


@pytest.mark.untraced
def test_every_value_is_legal(rows: list[DemoRow]) -> None:
    shape = ATTENDANCE_RECORDS.shape()
    for row in rows:
        values: dict[str, Any] = row._asdict() | {"company_name": "x"}
        for name in MINUTE_FIELDS:
            values[name] = ATTENDANCE_RECORDS.all_fields[name].type.to_text(values[name])
        assert not list(shape.errors([values[name] for name in shape.names]))


def test_statuses_have_the_shares_of_a_contractors_register(rows: list[DemoRow]) -> None:
    counts = Counter(row.status for row in rows)
    share = {status: count / len(rows) for status, count in counts.items()}
    assert 0.67 <= share["P"] <= 0.75
    assert 0.11 <= share["WO"] <= 0.13
    assert 0.045 <= share["A"] <= 0.055
    assert 0.03 <= share["PH"] <= 0.06
    assert 0.02 <= share["-0.5"] <= 0.05
    assert 0.02 <= share["L"] + share["-1"] <= 0.05
    assert min(share["L"], share["-1"]) >= 0.015
    assert 0.005 <= share["PD"] <= 0.02
    assert sum(share.values()) == pytest.approx(1)


def test_one_number_is_used_in_two_companies() -> None:
    for rows in (rows_of(2, 2), rows_of(12, 500)):
        companies = {row.company for row in rows if row.ep_no == "EMP001"}
        assert {0, 1} <= companies


def test_names_are_in_several_scripts(rows: list[DemoRow]) -> None:
    names = {row.ep_name for row in rows}
    scripts = {unicodedata.name(letter).split()[0] for name in names for letter in name if letter.isalpha()}
    assert scripts == {"LATIN", "DEVANAGARI", "TAMIL", "ARABIC", "CJK", "CYRILLIC"}
    assert any("LATIN" in unicodedata.name(letter) and ord(letter) > 127 for name in names for letter in name)
    for odd in ("", "<b>", "'", "🌻"):
        assert any(odd in name if odd else name == odd for name in names)


def test_days_have_what_real_ones_have(rows: list[DemoRow]) -> None:
    at_work = [row for row in rows if row.in_time or row.out_time]
    assert share(at_work, is_night) == pytest.approx(0.12, abs=0.08)
    assert share(at_work, lambda row: times(row).count(None) % 2 == 1) == pytest.approx(0.015, abs=0.006)
    assert share(at_work, lambda row: row.in_time_2 is not None) == pytest.approx(0.25, abs=0.15)
    assert 0 < share(at_work, lambda row: row.in_time_3 is not None) < 0.05
    assert 0.05 < share(at_work, lambda row: row.overtime is not None) < 0.3
    assert 0.005 < share(at_work, lambda row: row.overtime_to_mandays is not None) < 0.1
    assert share(at_work, lambda row: (row.in_time or "00:00:00")[-2:] != "00") > 0.9
    assert 0.01 < share(rows, lambda row: row.shift == "") < 0.5
    assert {row.shift for row in rows} >= {"General", "Morning", "Evening", "Night", "A", "B", "C", ""}
    assert all(times(row) == [None] * 6 for row in rows if row.status in {"A", "L", "-1"})
    assert not any(times(row) == [None] * 6 for row in rows if row.status in {"P", "PD", "-0.5"})


def share(rows: Sequence[DemoRow], is_one: Callable[[DemoRow], bool]) -> float:
    return sum(map(is_one, rows)) / len(rows)


def times(row: DemoRow) -> list[str | None]:
    return [getattr(row, name) for name in TIME_FIELDS]


def is_night(row: DemoRow) -> bool:
    return bool(row.in_time and row.out_time and row.out_time < row.in_time)


def seconds(clock: str) -> int:
    hours, minutes, rest = map(int, clock.split(":"))
    return hours * 3600 + minutes * 60 + rest


def test_minutes_follow_from_the_times(rows: list[DemoRow]) -> None:
    for row in rows:
        known = [time for time in times(row) if time]
        if not known or len(known) % 2:
            assert (row.overstay, row.overtime, row.overtime_to_mandays) == (None, None, None)
            continue
        pairs = zip(known[::2], known[1::2], strict=True)
        worked = sum((seconds(end) - seconds(begin)) % 86400 for begin, end in pairs) // 60
        required = 0 if row.status in {"PH", "WO"} else 480
        assert (row.overstay or 0) == max(0, worked - required)
        assert 0 <= (row.overtime_to_mandays or 0) <= (row.overtime or 0) <= (row.overstay or 0)
        assert (row.overtime_to_mandays or 0) % 240 == 0
        assert 0 not in (row.overtime, row.overtime_to_mandays)
    assert {row.overstay for row in rows} > {None, 0}


def employees(rows: Sequence[DemoRow]) -> Iterator[list[DemoRow]]:
    of_one = attrgetter("company", "ep_no")
    for _who, days in groupby(sorted(rows, key=of_one), key=of_one):  # each one's days stay in order
        yield list(days)


def test_people_join_leave_and_rest_on_days_of_their_own(rows: list[DemoRow]) -> None:
    first, last = UNTIL - dt.timedelta(days=YEAR - 1), UNTIL
    spans, days_off = [], Counter[int]()
    for days in employees(rows):
        dates = [dt.date.fromisoformat(row.date) for row in days]
        assert all(after - before == dt.timedelta(days=1) for before, after in pairwise(dates))
        assert first <= dates[0] <= dates[-1] <= last
        spans.append((dates[0] == first, dates[-1] == last))
        weekdays = {date.weekday() for date, row in zip(dates, days, strict=True) if row.status == "WO"}
        assert len(weekdays) <= 1
        days_off.update(weekdays)
    assert {(True, True), (True, False), (False, True), (False, False)} == set(spans)
    assert len(days_off) >= 4
    assert days_off[5] + days_off[6] > sum(days_off.values()) / 2


def test_holidays_are_common_to_all(rows: list[DemoRow]) -> None:
    holidays = {row.date for row in rows if row.status == "PH"}
    assert 10 <= len(holidays) <= 20
    assert {row.status for row in rows if row.date in holidays} == {"PH"}


def test_leaves_last_and_sickness_starts_on_mondays(rows: list[DemoRow]) -> None:
    lengths: dict[str, list[int]] = {"L": [], "-1": [], "A": []}
    starts = Counter[int]()
    for days in employees(rows):
        working = [row for row in days if row.status not in {"WO", "PH"}]
        for status, run in groupby(working, key=lambda row: row.status):
            if status in lengths:
                spell = list(run)
                lengths[status].append(len(spell))
                if status == "-1":
                    starts[dt.date.fromisoformat(spell[0].date).weekday()] += 1
    assert sum(lengths["L"]) / len(lengths["L"]) > 2.5
    assert max(lengths["A"]) >= 5
    assert 1 in lengths["A"]
    assert starts.most_common(1)[0][0] == 0


def test_company_sizes_are_skewed_and_the_first_is_the_largest() -> None:
    sizes = Counter(row.company for row in rows_of(104, 20_000))
    ordered = sizes.most_common()
    assert sizes[0] == ordered[0][1]
    assert sum(size for _company, size in ordered[:20]) > 0.4 * 20_000


def test_days_are_entered_in_their_own_evening(rows: list[DemoRow]) -> None:
    assert all(row.created_at.startswith(f"{row.date} 23:") for row in rows)
    corrected = [row for row in rows if row.updated_at != row.created_at]
    assert 0.01 < len(corrected) / len(rows) < 0.03
    assert all(row.created_at < row.updated_at <= row_moment(NOW) for row in corrected)


def test_nothing_is_entered_in_the_future() -> None:
    noon = dt.datetime.combine(UNTIL, dt.time(12), dt.UTC)
    early, late = rows_of(3, 2000, now=noon), rows_of(3, 2000)
    assert all(row.created_at <= row.updated_at <= row_moment(noon) for row in early)
    assert [row[:-2] for row in early] == [row[:-2] for row in late]
    before_all = noon - dt.timedelta(days=3 * YEAR)
    assert DemoRegister(plan(), before_all).founded == row_moment(before_all)


# --- The service, on both engines


def content(alias: str) -> list[Any]:
    store = OrmStore(SCHEMA, alias)
    return [*store.records(COMPANIES), *store.records(ATTENDANCE_RECORDS)]


def stored(alias: str) -> list[Any]:
    """Everything but the ids, as the database itself has it."""
    columns = [field.column for field in AttendanceRecord._meta.fields if field.column not in {"id", "company_id"}]
    with connections[alias].cursor() as cursor:
        cursor.execute(
            f"SELECT name, {', '.join(f'r.{column}' for column in columns)} FROM core_attendancerecord r "
            "JOIN core_company c ON c.id = r.company_id ORDER BY name, ep_no, date"
        )
        return cursor.fetchall()


def test_the_register_is_stored_whole_and_legal(register_db: str) -> None:
    progress: list[tuple[str, int, int | None]] = []
    result = DemoService(Register(register_db)).seed(
        plan(7, 2500), progress_callback=lambda *step: progress.append(step)
    )
    assert result.seeded
    shapes = {len(model.names): model.shape() for model in SCHEMA}
    records = content(register_db)
    assert len(records) == 7 + 2500
    assert all(shapes[len(record.values)].are_valid([record.values]) for record in records)
    progress = [step for step in progress if step[0] != "snapshot"]
    assert progress == [("apply", 0, 2500), ("apply", 1000, 2500), ("apply", 2000, 2500), ("commit", 2500, 2500)]
    for model in (Company, AttendanceRecord):
        newest = model._base_manager.using(register_db).latest("updated_at").updated_at
        assert newest <= dt.datetime.now(dt.UTC)


def test_the_fast_writers_leave_what_the_orm_leaves(register_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    DemoService(Register(register_db)).seed(plan(5, 1500))
    fast = stored(register_db)
    databases.empty(register_db)
    monkeypatch.setattr(demo_service, "_WRITERS", {})
    DemoService(Register(register_db)).seed(plan(5, 1500))
    assert stored(register_db) == fast


@pytest.mark.postgres
def test_both_engines_hold_the_same_register(
    new_installation: Callable[[str], ScratchInstallation],
) -> None:
    registers_of_both = []
    for engine in ("sqlite", "postgres"):
        installation = new_installation(engine)
        seed(installation, "--companies", 6, "--records", 900, check=True)
        with installation.opened() as alias:
            registers_of_both.append(content(alias))
    assert registers_of_both[0] == registers_of_both[1]


def test_accounts_are_made(register_db: str) -> None:
    result = DemoService(Register(register_db)).seed(plan())
    root, admin, user1 = User.objects.using(register_db).order_by("pk")
    first = Company.objects.using(register_db).first()
    assert [account.username for account in result.accounts] == ["root", "admin", "user1"]
    assert (root.role, root.company, root.is_staff, root.is_superuser) == ("root", None, True, True)
    assert (admin.role, admin.company, admin.is_staff, admin.is_superuser) == ("admin", first, False, False)
    assert (user1.role, user1.company, user1.assigned_date_to) == ("user1", first, UNTIL)
    assert user1.assigned_date_from
    assert user1.assigned_date_from < UNTIL
    assert all(user.check_password(DEMO_PASSWORD) for user in (root, admin, user1))
    for user in (root, admin, user1):
        user.full_clean()


def test_accounts_that_are_there_stay_as_they_are(register_db: str) -> None:
    User.objects.db_manager(register_db).create_superuser("root", password="own")
    result = DemoService(Register(register_db)).seed(plan(), password="chosen")
    assert [(a.username, a.created, a.password) for a in result.accounts] == [
        ("root", False, None),
        ("admin", True, "chosen"),
        ("user1", True, "chosen"),
    ]
    assert User.objects.using(register_db).get(username="root").check_password("own")


def test_no_companies_no_accounts_in_one(register_db: str) -> None:
    result = DemoService(Register(register_db)).seed(plan(0, 0))
    assert [account.username for account in result.accounts] == ["root"]


def test_well_known_passwords_are_for_this_machine_only(register_db: str, settings: Settings) -> None:
    settings.ALLOWED_HOSTS = ["muster.example"]
    with pytest.raises(OperationFailed, match="--password"):
        DemoService(Register(register_db)).seed(plan())
    assert content(register_db) == []
    settings.DEBUG = True
    DemoService(Register(register_db)).seed(plan())
    databases.empty(register_db)
    settings.DEBUG = False
    result = DemoService(Register(register_db)).seed(plan(), password="another one")
    assert [account.password for account in result.accounts] == ["another one"] * 3


def test_a_register_that_is_not_empty_is_left_alone(register_db: str) -> None:
    Company.objects.using(register_db).create(name="ABC Corp")
    before = content(register_db)
    with pytest.raises(OperationFailed, match="not empty"):
        DemoService(Register(register_db)).seed(plan())
    result = DemoService(Register(register_db)).seed(plan(), if_empty=True)
    assert not result.seeded
    assert result.summary()["records"] == 0
    assert content(register_db) == before
    assert not User.objects.using(register_db).exists()


def test_an_untouched_demo_register_is_replaced(register_db: str) -> None:
    """So that a bigger one can follow the small one of ``make run``; its accounts move along."""
    service = DemoService(Register(register_db))
    service.seed(plan(4, 300))
    User.objects.using(register_db).filter(username="admin").update(first_name="Kept")
    service.seed(plan(6, 500, seed=2))
    assert Company.objects.using(register_db).count() == 6
    assert AttendanceRecord.objects.using(register_db).count() == 500
    admin = User.objects.using(register_db).get(username="admin")
    assert (admin.first_name, admin.company) == ("Kept", Company.objects.using(register_db).order_by("name").first())
    fresh = content(register_db)
    databases.empty(register_db, "jobs")
    service.seed(plan(6, 500, seed=2))
    assert content(register_db) == fresh


@pytest.mark.parametrize("touch", ["edited", "added", "removed", "closed", "account"])
def test_a_demo_register_that_somebody_touched_is_left_alone(register_db: str, touch: str) -> None:
    service = DemoService(Register(register_db))
    service.seed(plan())
    records = AttendanceRecord.objects.using(register_db)
    if touch == "edited":
        records.filter(pk=records.values_list("pk", flat=True)[0]).update(shift="X", updated_at=timezone.now())
    elif touch == "added":
        Company.objects.using(register_db).create(name="ABC Corp")
    elif touch == "closed":
        Seal.objects.using(register_db).create(
            company=Company.objects.using(register_db).all()[0],
            month=timezone.localdate(),
            closed_by="root",
            closed_as="Company",
            digest="0" * 64,
        )
    elif touch == "removed":
        records.filter(pk=records.values_list("pk", flat=True)[0]).delete()
    else:
        company = Company.objects.using(register_db).first()
        User.objects.using(register_db).create(username="somebody", role=Role.ADMIN, company=company)
    before = content(register_db)
    with pytest.raises(OperationFailed, match="not empty"):
        service.seed(plan())
    assert content(register_db) == before


def test_somebody_else_may_fill_it_first(register_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the first look and the lock."""
    answers = iter([True, False])
    monkeypatch.setattr(DemoService, "_may_seed", lambda self, if_empty: next(answers))
    result = DemoService(Register(register_db)).seed(plan(), if_empty=True)
    assert not result.seeded
    assert content(register_db) == []


@pytest.mark.parametrize("stop", [KeyboardInterrupt, OperationFailed("It was cancelled."), ValueError("a bug")])
def test_what_is_interrupted_leaves_nothing(register_db: str, stop: Any) -> None:
    def progress(phase: str, done: int, total: int | None, /) -> None:
        if done:
            raise stop

    with pytest.raises((KeyboardInterrupt, OperationFailed)):
        DemoService(Register(register_db)).seed(plan(3, 2500), progress_callback=progress)
    assert content(register_db) == []
    assert not User.objects.using(register_db).exists()


def test_a_lost_record_is_noticed(register_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def lose_one(connection: Any, rows: Iterator[Any]) -> None:
        next(rows)
        demo_service.write_by_orm(connection, rows)

    monkeypatch.setattr(demo_service, "_WRITERS", {connections[register_db].vendor: lose_one})
    with pytest.raises(OperationFailed, match="499 records instead of"):
        DemoService(Register(register_db)).seed(plan())
    assert content(register_db) == []


def test_a_refused_row_is_a_sentence(register_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    twice = rows_of(3, 3)[:1] * 2
    monkeypatch.setattr(DemoRegister, "rows", lambda self: iter(twice))
    with pytest.raises(OperationFailed, match=r"The database refused: .* Nothing was changed\.$"):
        DemoService(Register(register_db)).seed(plan(3, 2))
    assert content(register_db) == []


def test_it_waits_for_restores(register_db: str, settings: Settings) -> None:
    settings.LOCK_WAIT_SECONDS = 0
    with Register(register_db).lock(0), pytest.raises(RegisterBusy, match="Try again later"):
        DemoService(Register(register_db)).seed(plan())
    assert content(register_db) == []


# --- The command


def seed(installation: ScratchInstallation, *args: Any, check: bool = False) -> "subprocess.CompletedProcess[str]":
    return installation.manage("seed_demo", "--until", UNTIL, *args, check=check)


def test_the_command_tells_what_it_made(installation: ScratchInstallation) -> None:
    done = seed(installation, "--companies", 4, "--records", 321, check=True)
    assert "4 companies and 321 attendance records up to 2026-10-31" in done.stdout
    for account in ("root", "admin", "user1"):
        assert f"  {account:<6} password muster-demo" in done.stdout
    with installation.opened() as alias:
        Company.objects.using(alias).create(name="ABC Corp")
    again = seed(installation)
    assert (again.returncode, again.stdout) == (1, "")
    assert again.stderr.startswith("Error: The register is not empty")
    assert again.stderr.count("\n") == 1
    with installation.opened() as alias:
        Company.objects.using(alias).filter(name="ABC Corp").delete()
    left = seed(installation, "--if-empty", check=True)
    assert "Made" not in left.stdout
    assert left.stdout.count("password muster-demo") == 3
    with installation.opened() as alias:
        assert AttendanceRecord.objects.using(alias).count() == 321


def test_the_summary_is_one_json_object(new_installation: Callable[[str], ScratchInstallation]) -> None:
    done = seed(new_installation("sqlite"), "--companies", 2, "--records", 50, "--json", "--quiet", check=True)
    summary = json.loads(done.stdout)
    assert summary.pop("seconds") >= 0
    accounts = summary.pop("accounts")
    assert [account["username"] for account in accounts] == ["root", "admin", "user1"]
    assert "muster-demo" not in done.stdout
    assert summary == {
        "ok": True,
        "operation": "seed_demo",
        "seeded": True,
        "companies": 2,
        "records": 50,
        "seed": 1,
        "until": "2026-10-31",
        "errors": [],
    }
    assert done.stderr == ""


@pytest.mark.parametrize(
    "args",
    [["--records", "-1"], ["--companies", "0"], ["--records", "many"], ["--password", ""], ["--until", "1066-10-14"]],
)
def test_wrong_usage_exits_2(new_installation: Callable[[str], ScratchInstallation], args: list[str]) -> None:
    done = new_installation("sqlite").manage("seed_demo", *args)
    assert (done.returncode, done.stdout) == (2, "")


def test_the_last_day_is_yesterday_unless_given(new_installation: Callable[[str], ScratchInstallation]) -> None:
    installation = new_installation("sqlite")
    before = dt.datetime.now(dt.UTC).date()
    done = installation.manage("seed_demo", "--companies", 1, "--records", 400, "--json", check=True)
    after = dt.datetime.now(dt.UTC).date()
    until = dt.date.fromisoformat(json.loads(done.stdout)["until"])
    assert before <= until + dt.timedelta(days=1) <= after


def test_the_command_refuses_well_known_passwords_on_a_server(installation: ScratchInstallation) -> None:
    installation.env["ALLOWED_HOSTS"] = "muster.example"
    done = seed(installation)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "choose another with --password" in done.stderr
    changed = seed(installation, "--companies", 1, "--records", 5, "--password", "a long one", check=True)
    assert changed.stdout.count("password a long one") == 3
    assert seed(installation, "--if-empty", check=True).stdout.count("its password was changed") == 3


def test_a_terminated_command_leaves_nothing(installation: ScratchInstallation) -> None:
    process = installation.popen("seed_demo", "--records", 1_000_000, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stderr
    assert process.stderr.readline().startswith(b"Writing to the register")
    process.send_signal(signal.SIGTERM)
    _out, err = process.communicate(timeout=180)
    assert process.returncode == 1
    assert err.decode().splitlines()[-1] == "Error: Interrupted. Nothing was changed."
    with installation.opened() as alias:
        assert content(alias) == []
        assert not User.objects.using(alias).exists()
