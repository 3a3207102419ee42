"""Measures a restore in the browser at full size: its time and memory, and how long other people wait meanwhile.

For each engine: the real web server and the real worker on an installation of so many records, all of which a file
says differently. The file is uploaded, checked, looked at, and applied, while somebody else reads; then ten records
are changed and the same file is looked at again, so that paging through a million lines stands beside paging through
ten. Each step's outcome is checked. Writes ``RESULTS-web.md``.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import platform
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import django
import psycopg
from django.db.models import F

from benchmarks.costs import finished
from benchmarks.surroundings import origin, surroundings
from tests.running.installation import PROJECT, ScratchInstallation

RESULTS = Path(__file__).with_name("RESULTS-web.md")
MEMORY = 250
"""Megabytes that each process of the web server, and the worker, may take."""
READ = 300
"""Milliseconds in which 95 of 100 reads must be answered while a restore runs."""
PAUSE = 0.1
"""Seconds between the reads of one person."""
_FEW = 10
_BLOCK = 1 << 20
_VIEWS = 15

PAGES = {
    "first page": {},
    "conflicts": {"kind": "conflict"},
    "one company": {"company": "{company}"},
    "one employee": {"ep_no": "{ep_no}"},
    "some days": {"date_from": "{day}", "date_to": "{day}"},
    "a field": {"field": "shift"},
    "undecided": {"undecided": "on"},
    "conflicts from the middle": {"kind": "conflict", "after": "{middle}"},
}


@dataclass
class Answer:
    status: int
    location: str
    text: str
    milliseconds: float


class Visitor:
    """A person who is signed in: a connection that is kept alive, with a session."""

    def __init__(self, port: int, session: str) -> None:
        self._cookies = f"sessionid={session}; csrftoken={'c' * 32}"
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)

    def get(self, path: str) -> Answer:
        return self._ask("GET", path)

    def post(self, path: str, data: Mapping[str, str]) -> Answer:
        return self._ask("POST", path, urlencode(data).encode(), {"Content-Type": "application/x-www-form-urlencoded"})

    def upload(self, path: str, file: Path, data: Mapping[str, str]) -> Answer:
        """The answer to a form with a file, which is sent as a browser does and read from disk in blocks."""
        mark = uuid.uuid4().hex
        parts = [f'--{mark}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{data[name]}\r\n' for name in data]
        parts.append(f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="{file.name}"\r\n\r\n')
        head, tail = "".join(parts).encode(), f"\r\n--{mark}--\r\n".encode()

        def body() -> Iterator[bytes]:
            yield head
            with file.open("rb") as stream:
                while block := stream.read(_BLOCK):
                    yield block
            yield tail

        length = len(head) + file.stat().st_size + len(tail)
        kind = {"Content-Type": f"multipart/form-data; boundary={mark}", "Content-Length": str(length)}
        return self._ask("POST", path, body(), kind)

    def _ask(self, method: str, path: str, body: bytes | Iterator[bytes] | None = None, more: object = None) -> Answer:
        headers = {"Cookie": self._cookies, "X-CSRFToken": "c" * 32, **(more if isinstance(more, dict) else {})}
        started = time.perf_counter()
        try:
            self._connection.request(method, path, body, headers)
            answer = self._connection.getresponse()
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):  # kept alive too long
            self._connection.close()
            self._connection.request(method, path, body, headers)
            answer = self._connection.getresponse()
        text = answer.read().decode(errors="replace")
        took = (time.perf_counter() - started) * 1000
        if answer.status >= 400:
            raise SystemExit(f"{method} {path}: {answer.status}\n{text[:2000]}")
        return Answer(answer.status, answer.getheader("Location") or "", text, took)


class Site:
    """An installation whose web server and worker run."""

    def __init__(self, installation: ScratchInstallation) -> None:
        self.installation = installation
        installation.manage("collectstatic", "--noinput", check=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        made = (
            "from django.contrib.auth import BACKEND_SESSION_KEY as B, HASH_SESSION_KEY as H, SESSION_KEY as S;"
            "from django.contrib.sessions.backends.db import SessionStore; from core.models import User;"
            "u = User.objects.create_superuser('measuring', password='for measuring only'); s = SessionStore();"
            "s[S] = str(u.pk); s[B] = 'django.contrib.auth.backends.ModelBackend'; s[H] = u.get_session_auth_hash();"
            "s.create(); print(s.session_key)"
        )
        self.session = installation.manage("shell", "--no-imports", "-c", made, check=True).stdout.strip()
        program = [sys.executable, "-m", "gunicorn", "muster.wsgi"]  # as gunicorn.conf.py says
        quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._web = subprocess.Popen(program, env=installation.env | {"PORT": str(self.port)}, cwd=PROJECT, **quiet)
        self._worker = installation.popen("db_worker", "--no-reload", **quiet)
        try:
            self._wait()
        except BaseException:
            self.stop()
            raise

    def visitor(self) -> Visitor:
        return Visitor(self.port, self.session)

    def _wait(self) -> None:
        for _ in range(300):
            try:
                self.visitor().get("/attendance/")
                return
            except OSError:
                time.sleep(0.1)
        raise SystemExit("The web server did not start.")

    def peaks(self) -> tuple[float, float]:
        """The peak megabytes so far of the largest process of the web server, and of the worker."""
        web = _children(self._web.pid) or [self._web.pid]
        return max(map(_peak, web)), _peak(self._worker.pid)

    def stop(self) -> None:
        for process in (self._web, self._worker):
            process.send_signal(signal.SIGTERM)
        for process in (self._web, self._worker):
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _children(parent: int) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]


def _peak(pid: int) -> float:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) / 1024


@dataclass
class Reads:
    """How long a person waited for pages, in milliseconds, by page."""

    waited: dict[str, list[float]] = field(default_factory=dict)

    @contextmanager
    def going_on(self, site: Site, *pages: str) -> Iterator[None]:
        """Another person, who opens these pages in turn until the end of the block."""
        stop = threading.Event()
        failed: list[BaseException] = []

        def read() -> None:
            visitor = site.visitor()
            try:
                while not stop.is_set():
                    for page in pages:
                        self.waited.setdefault(page, []).append(visitor.get(page).milliseconds)
                        stop.wait(PAUSE)
            except BaseException as error:
                failed.append(error)

        reader = threading.Thread(target=read)
        reader.start()
        try:
            yield
        finally:
            stop.set()
            reader.join()
        if failed:
            raise failed[0]

    @property
    def p95(self) -> float:
        """The 95th percentile of the waits for all pages together."""
        return p95([one for waited in self.waited.values() for one in waited])


def p95(values: list[float]) -> float:
    return sorted(values)[max(0, round(0.95 * len(values)) - 1)] if values else float("nan")


@dataclass
class Measurements:
    """The results of one engine at one size."""

    seconds: dict[str, float] = field(default_factory=dict)
    checking: Reads = field(default_factory=Reads)
    applying: Reads = field(default_factory=Reads)
    idle: Reads = field(default_factory=Reads)
    many: dict[str, float] = field(default_factory=dict)
    few: dict[str, float] = field(default_factory=dict)
    peaks: tuple[float, float] = (0.0, 0.0)


def measure(installation: ScratchInstallation, records: int, folder: Path, postgres: bool) -> Measurements:
    """The results of one engine at one size, measured."""
    found = Measurements()
    file = folder / "backup.json"
    _done(installation, "seed_demo", "--companies", 104, "--records", records, "--quiet")
    _done(installation, "backup_data", "--output", file, "--quiet")
    _change(installation, 1, "N")
    if postgres:
        with psycopg.connect(installation.database_url, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")  # as autovacuum does within a minute
    site = Site(installation)
    try:
        visitor = site.visitor()
        with found.idle.going_on(site, *READ_PAGES):
            time.sleep(5)
        with found.checking.going_on(site, *READ_PAGES):
            preview = _checked(site, visitor, file, found)
        found.many = _paging(visitor, preview, file, records)
        answer = visitor.post(f"/restore/apply/{preview}/", {"version": _version(visitor, preview)})
        operation = answer.location
        with found.applying.going_on(site, *READ_PAGES, operation):
            found.seconds["apply"] = _until_done(visitor, operation, f"{records:,}")
        _change(installation, max(1, records // _FEW), "F")
        found.few = _paging(visitor, _checked(site, visitor, file, None), file, _FEW)
        found.peaks = site.peaks()
    finally:
        site.stop()
    return found


def _done(installation: ScratchInstallation, *command: object) -> None:
    """Run a command to its end, without a time limit."""
    finished(installation.popen(*command, stdout=subprocess.DEVNULL))


READ_PAGES = ("/attendance/", "/attendance/?page=3", "/upload/logs/")


def _change(installation: ScratchInstallation, every: int, shift: str) -> None:
    from core.models import AttendanceRecord

    with installation.opened() as alias:
        AttendanceRecord.objects.using(alias).annotate(part=F("pk") % every).filter(part=0).update(shift=shift)


def _checked(site: Site, visitor: Visitor, file: Path, found: Measurements | None) -> str:
    """The id of the preview of a file, which is uploaded and checked."""
    answer = visitor.upload("/restore/", file, {"strategy": "backup_wins"})
    seconds = _until_done(visitor, answer.location)
    if found is not None:
        found.seconds |= {"upload": answer.milliseconds / 1000, "check and preview": seconds}
    return answer.location.strip("/").split("/")[-1]


def _until_done(visitor: Visitor, operation: str, says: str = "") -> float:
    started = time.perf_counter()
    while True:
        text = visitor.get(operation).text
        if "alert-success" in text:
            if says not in text:
                raise SystemExit(f"{operation} does not say {says}:\n{text}")
            return time.perf_counter() - started
        if "alert-danger" in text:
            raise SystemExit(f"{operation} failed:\n{text}")
        time.sleep(0.25)


def _version(visitor: Visitor, preview: str) -> str:
    found = re.search(r'name="version" value="(\d+)"', visitor.get(f"/restore/preview/{preview}/").text)
    if not found:
        raise SystemExit("The preview cannot be applied.")
    return found[1]


def _paging(visitor: Visitor, preview: str, file: Path, lines: int) -> dict[str, float]:
    """The median milliseconds of each kind of page, and of a decision with the counts that follow it."""
    record = _a_record(file)
    middle = str(lines // 2)
    values = {"company": record["company_name"], "ep_no": record["ep_no"], "day": record["date"], "middle": middle}
    base = f"/restore/preview/{preview}/"
    took: dict[str, float] = {"first view": visitor.get(base).milliseconds}
    for name, query in PAGES.items():
        path = f"{base}?{urlencode({key: value.format(**values) for key, value in query.items()})}"
        took[name] = statistics.median(visitor.get(path).milliseconds for _ in range(_VIEWS))
    took["strategy: by hand"] = _and_back(visitor, base, {"strategy": "manual"})
    took["decide one"] = _and_back(visitor, base, {"decide": f"ours {middle} shift"})
    took["decide a company"] = _and_back(
        visitor, base, {"scope": "chosen", "of_company": record["company_name"], "side": "ours"}
    )
    took["decide all"] = _and_back(visitor, base, {"scope": "filtered", "side": "theirs"})
    took["first page, decided"] = statistics.median(visitor.get(base).milliseconds for _ in range(_VIEWS))
    return took


def _and_back(visitor: Visitor, base: str, data: Mapping[str, str]) -> float:
    return visitor.post(base, data).milliseconds + visitor.get(base).milliseconds


def _a_record(file: Path) -> dict[str, str]:
    with file.open("rb") as stream:
        for line in stream:
            if b'"ep_no":"' in line:
                return dict(json.loads(line.rstrip(b",\n")))
    raise SystemExit("The file has no records.")


def main() -> None:
    """Run the measurements and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--engines", nargs="+", choices=["sqlite", "postgres"], default=["sqlite", "postgres"])
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    measured: dict[str, Measurements] = {}
    with surroundings(options.engines) as (folder, installations, _server):
        for engine in options.engines:
            installation = installations.new(engine, folder / f"{engine}-register")
            with tempfile.TemporaryDirectory(dir=folder) as place:
                measured[engine] = measure(installation, options.records, Path(place), engine == "postgres")
            installation.remove()
            options.output.write_text(_document(measured, options.records), encoding="utf-8")
    sys.stdout.write(options.output.read_text(encoding="utf-8"))


def _document(measured: Mapping[str, Measurements], records: int) -> str:
    engines = list(measured)
    lines = [
        "# A restore in the browser",
        "",
        f"{origin()} {os.cpu_count()} processors; "
        f"Python {platform.python_version()}, Django {django.get_version()}; gunicorn with 2 workers of 4 threads and "
        f"one worker. A register of {records:,} records, each of which the file says differently; everything synced "
        "to disk as by default.",
        "",
        f"| target | {' | '.join(engines)} |",
        "| --- |" + " --- |" * len(engines),
    ]

    def row(name: str, *cells: str) -> None:
        lines.append(f"| {' | '.join((name, *cells))} |")

    def judged(figure: float, limit: float, unit: str) -> str:
        return f"{figure:.0f} {unit} met" if figure <= limit else f"**{figure:.0f} {unit} missed**"

    found = list(measured.values())
    row(f"web process: {MEMORY} MB or less", *(judged(one.peaks[0], MEMORY, "MB") for one in found))
    row(f"worker: {MEMORY} MB or less", *(judged(one.peaks[1], MEMORY, "MB") for one in found))
    limit = f"p95 {READ} ms or less"
    row(f"reads during upload and check: {limit}", *(judged(one.checking.p95, READ, "ms") for one in found))
    row(f"reads during apply: {limit}", *(judged(one.applying.p95, READ, "ms") for one in found))
    row("the same pages when nothing runs", *(f"{one.idle.p95:.0f} ms" for one in found))
    lines += ["", f"| seconds | {' | '.join(engines)} |", "| --- |" + " ---: |" * len(engines)]
    for step in found[0].seconds:
        row(step, *(f"{one.seconds[step]:.1f}" for one in found))
    lines += [
        "",
        f"Pages of the preview, in milliseconds at the median of {_VIEWS} views, with {records:,} lines and with "
        f"{_FEW}; the first view, and decisions with the page after them, once.",
        "",
        "| page | " + " | ".join(f"{engine}: {n:,}" for engine in engines for n in (records, _FEW)) + " |",
        "| --- |" + " ---: |" * 2 * len(engines),
    ]
    for name in found[0].many:
        row(name, *(f"{took[name]:.0f}" for one in found for took in (one.many, one.few)))
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
