"""Measures how long the server takes for the pages of the register.

For each engine and size a demo register is seeded and served in a process of its own, without a network: the whole
application with its middleware and sessions, and with connections that open and close as in production. Every address
of a case is requested in turn.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from statistics import median, quantiles
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlencode

import django

from tests.running.installation import PROJECT, ScratchInstallation

LIST: Final = "/attendance/"
PAGE_TARGET: Final = 0.150
"""The seconds in which 95 of 100 requests must be answered."""
MONTH_TARGET: Final = 0.250
"""The same for the month of a company of :data:`EMPLOYEES`."""
EMPLOYEES: Final = 500
SEARCH_TARGET: Final = 0.500
"""The same for a search that is not for an employee number."""


class Case(NamedTuple):
    """Addresses with one target, requested as the account ``who``. ``is_written``: each time the first after somebody
    wrote a record, so that nothing is remembered."""

    title: str
    target: float
    addresses: Sequence[str]
    who: str = "root"
    is_written: bool = False


class Taken(NamedTuple):
    """The wall seconds and CPU seconds of one request."""

    wall: float
    cpu: float


class Timing(NamedTuple):
    """The result of a case: the number of requests, the median and 95th percentile of their wall and CPU seconds, and
    the address with the worst median."""

    title: str
    target: float
    requests: int
    p50: float
    p95: float
    cpu_p50: float
    cpu_p95: float
    slowest: str
    slowest_p50: float


def cases() -> Iterator[Case]:
    """The cases to measure, with values from the register that Django is set up for. Reads the database."""
    from core.models import AttendanceRecord, Company, Status
    from core.web.filters import OVERSTAY, SORTS

    records = AttendanceRecord.objects.order_by()
    newest = records.order_by("-date").values_list("date", flat=True)[0]
    people = [records.filter(pk__gte=pk).order_by("pk")[0] for pk in _spread(records.order_by("pk"))]
    numbers = [person.ep_no for person in people]
    companies = Company.objects.order_by("pk").values_list("pk", flat=True)  # the first is the largest

    yield Case("dashboard, root", PAGE_TARGET, ["/"])
    yield Case("dashboard, administrator of the largest company", PAGE_TARGET, ["/"], "admin")
    yield Case("dashboard, supervisor", PAGE_TARGET, ["/"], "user1")
    for who in ("root", "admin", "user1"):
        yield Case(f"dashboard, 12 months, {who}", PAGE_TARGET, ["/?over=months"], who)
    months = [(newest - timedelta(days)).isoformat()[:7] for days in (0, 31, 92, 183)]
    counts = f"/exceptions/{months[0]}/counts/"
    yield Case("dashboard, root, after a write", PAGE_TARGET, ["/"], is_written=True)
    yield Case("dashboard, its exceptions, root, after a write", MONTH_TARGET, [counts], is_written=True)
    rolls = [f"/roll/{companies[0]}/{month}/" for month in months]
    yield Case("roll: month of the largest company", MONTH_TARGET, rolls)
    yield Case("roll: month of the largest company, supervisor", MONTH_TARGET, rolls, "user1")
    yield Case("roll: month of some of its employees", MONTH_TARGET, [f"{roll}?q=a&shift=" for roll in rolls])
    records_of = [(one.company_id, one.date, quote(one.ep_no)) for one in people]
    opened = [f"/roll/{pk}/{day:%Y-%m}/{day.day}/{number}/" for pk, day, number in records_of]
    yield Case("roll: day of an employee", PAGE_TARGET, opened)
    yield Case("employee: a year", PAGE_TARGET, [f"/people/{pk}/{number}/" for pk, _day, number in records_of])
    listed = [f"/exceptions/?month={month}" for month in months]
    yield Case("exceptions: month of all companies", MONTH_TARGET, listed)
    yield Case("exceptions: month of all companies, a kind", MONTH_TARGET, [f"{one}&kind=overstay" for one in listed])
    yield Case("exceptions: month of the largest company", MONTH_TARGET, listed, "admin")
    yield Case("exceptions: month of the largest company, supervisor", MONTH_TARGET, listed, "user1")
    yield Case("list, first page", PAGE_TARGET, [LIST])
    yield Case("list, first page, administrator", PAGE_TARGET, [LIST], "admin")
    yield Case("list, first page, supervisor", PAGE_TARGET, [LIST], "user1")
    yield Case("list, last page", PAGE_TARGET, [_list(page=100)])
    days = [newest - timedelta(days) for days in (0, 1, 7, 30, 180, 364)]
    yield Case("filter: from a day", PAGE_TARGET, [_list(date_from=day) for day in days])
    yield Case("filter: to a day", PAGE_TARGET, [_list(date_to=day) for day in days])
    yield Case("filter: one day", PAGE_TARGET, [_list(date_from=day, date_to=day) for day in days])
    chosen = [companies[at * (len(companies) - 1) // 9] for at in range(10)]
    yield Case("filter: company", PAGE_TARGET, [_list(company=pk) for pk in chosen])
    yield Case("filter: status", PAGE_TARGET, [_list(status=status) for status in Status.values])
    yield Case("filter: overstay", PAGE_TARGET, [_list(overstay=choice) for choice in OVERSTAY])
    yield Case("filter: not recorded on a day", PAGE_TARGET, [_list(not_on=day) for day in days])
    yield Case("filter: last record of each employee", PAGE_TARGET, [_list(last="on"), _list(last="on", sort="ep_no")])
    yield Case("filter: missing punch", PAGE_TARGET, [_list(missing="on")])
    own = [f"status={Status.ABSENT}", f"status={Status.LEAVE}", "overstay=4%2B", "overstay=none", "missing=on"]
    yield Case("single filters, administrator", PAGE_TARGET, [f"{LIST}?{one}" for one in own], "admin")
    yield Case("sorted", PAGE_TARGET, [_list(sort=sort) for sort in SORTS])
    yield Case("search: employee number", PAGE_TARGET, [_list(q=number) for number in numbers])
    yield Case("search: employee number in the other case", PAGE_TARGET, [_list(q=one.swapcase()) for one in numbers])
    prefixes = [number[:-part] for number in numbers for part in (1, 2, 3) if number[:-part]]
    yield Case("search: beginning of a number", PAGE_TARGET, [_list(q=prefix) for prefix in prefixes])
    names = [person.ep_name for person in people if person.ep_name]
    yield Case("search: whole name", SEARCH_TARGET, [_list(q=name) for name in names])
    yield Case("search: part of a name", SEARCH_TARGET, [_list(q=name.split()[0][:4].lower()) for name in names])
    yield Case("search: two letters", SEARCH_TARGET, [_list(q=pair) for pair in ("an", "ra", "sh", "qx")])
    words = {word for person in people for word in person.company.name.split()}
    yield Case("search: word of a company's name", SEARCH_TARGET, [_list(q=word) for word in sorted(words)])
    yield Case("search: nothing like it", SEARCH_TARGET, [_list(q=text) for text in ("zzzzzz", "nobody 7", "ß%_'")])
    searches = [*numbers[:3], *names[:3], "an", "zzzzzz"]
    yield Case("search: anything, administrator", SEARCH_TARGET, [_list(q=text) for text in searches], "admin")


def enlarge() -> None:
    """Give the largest company the people of some others, until it has :data:`EMPLOYEES` in the newest month if the
    register has so many. Writes to the database."""
    from django.db.models import Value
    from django.db.models.functions import Concat

    from core.models import AttendanceRecord, Company

    records = AttendanceRecord.objects.order_by()
    newest = records.order_by("-date").values_list("date", flat=True)[0]
    largest, *others = Company.objects.order_by("pk").values_list("pk", flat=True)
    month = records.filter(company=largest, date__gt=newest - timedelta(30))
    for pk in others[:10]:
        if month.values("ep_no").distinct().count() < EMPLOYEES:
            records.filter(company=pk).update(company=largest, ep_no=Concat("ep_no", Value(f"-{pk}")))


def _list(**parameters: object) -> str:
    return f"{LIST}?{urlencode(parameters)}"


def _spread(rows: object, count: int = 12) -> list[int]:
    """``count`` primary keys, spread over the table."""
    from django.db.models import Max, Min, QuerySet

    assert isinstance(rows, QuerySet)
    ends = rows.aggregate(first=Min("pk"), last=Max("pk"))
    return [ends["first"] + (ends["last"] - ends["first"]) * step // count for step in range(count)]


def serve(seconds: float) -> Iterator[Timing]:
    """The timing of every case, for about so many seconds each, and of each address at least 7 times.

    It runs in a process of the installation.
    """
    from django.db.models.functions import Coalesce
    from django.test import Client, RequestFactory

    from core.models import AttendanceRecord, User
    from muster.wsgi import application

    requests = RequestFactory(headers={"host": "localhost"})
    cookies = {}
    for user in User.objects.all():
        client = Client()
        client.force_login(user)
        cookies[user.username] = f"sessionid={client.cookies['sessionid'].value}"

    newest = AttendanceRecord.objects.order_by("-date").values_list("pk", flat=True)[0]

    def ask(case: Case, address: str) -> Taken:
        if case.is_written:
            AttendanceRecord.objects.filter(pk=newest).update(overtime=Coalesce("overtime", 0) + 1)
        environ = requests.get(address, headers={"cookie": cookies[case.who]}).environ
        statuses: list[str] = []

        def start_response(status: str, headers: list[tuple[str, str]], error: Any = None, /) -> Callable[[bytes], Any]:
            statuses.append(status)
            return bytes

        started, cpu = time.perf_counter(), time.process_time()
        response: Any = application(environ, start_response)
        body = b"".join(response)
        response.close()
        taken = Taken(time.perf_counter() - started, time.process_time() - cpu)
        is_whole = body.rstrip().endswith((b"</html>", b"</ul>"))  # a page, or a part of one
        if statuses != ["200 OK"] or not is_whole or b"not valid" in body:
            raise SystemExit(f"{address} as {case.who}: {statuses}")
        return taken

    for case in cases():
        for address in case.addresses:  # once so that what is imported and compiled the first time is not counted
            ask(case, address)
        taken: dict[str, list[Taken]] = {address: [] for address in case.addresses}
        until = time.perf_counter() + seconds
        while time.perf_counter() < until or len(taken[case.addresses[0]]) < 7:
            for address, times in taken.items():
                times.append(ask(case, address))
        every = [one.wall for times in taken.values() for one in times]
        cpu = [one.cpu for times in taken.values() for one in times]
        medians = {address: median(one.wall for one in times) for address, times in taken.items()}
        slowest = max(medians, key=medians.__getitem__)
        yield Timing(
            case.title,
            case.target,
            len(every),
            *(median(every), quantiles(every, n=20)[-1], median(cpu), quantiles(cpu, n=20)[-1]),
            *(slowest, medians[slowest]),
        )


def measured(installation: ScratchInstallation, seconds: float) -> list[Timing]:
    """The timings of :func:`serve`, run in the environment of the installation."""
    installation.manage("collectstatic", "--noinput", check=True)
    environment = installation.env | {"PYTHONPATH": str(PROJECT)}
    command = [sys.executable, "-m", "benchmarks.pages", str(seconds)]
    output = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True).stdout
    return [Timing(*json.loads(line)) for line in output.splitlines()]


def table(timings: Mapping[str, Sequence[Timing]]) -> str:
    """The table of every case on every engine at one size, in milliseconds."""
    titles = "| page | engine | requests | CPU p50 | CPU p95 | p50 | p95 | of | slowest |"
    lines = [titles, "|---|---|---:|---:|---:|---:|---:|---:|---|"]
    for rows in zip(*timings.values(), strict=True):
        for engine, one in zip(timings, rows, strict=True):
            met = one.p95 <= one.target
            p95 = f"{one.p95 * 1000:.0f}" if met else f"**{one.p95 * 1000:.0f} missed**"
            slowest = f"`{one.slowest}` {one.slowest_p50 * 1000:.0f}" if "?" in one.slowest else ""
            medians = f"{one.cpu_p50 * 1000:.0f} | {one.cpu_p95 * 1000:.0f} | {one.p50 * 1000:.0f}"
            figures = f"{one.requests} | {medians} | {p95} | {one.target * 1000:.0f}"
            lines.append(f"| {one.title} | {engine} | {figures} | {slowest} |")
    return "\n".join(lines)


def main() -> None:
    """Write the timings, a line of JSON each, in the process that serves the pages for so many seconds each."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "muster.settings")
    django.setup()
    enlarge()
    for timing in serve(float(sys.argv[1])):
        sys.stdout.write(json.dumps(timing) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
