"""Many people at the real web server while a real restore holds the register: whoever reads does not notice."""

from __future__ import annotations

import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from core.models import AttendanceRecord
from tests.builders.big_registers import filled
from tests.faults.conftest import Files
from tests.running.commands import UNTIL_TOLD, at_phase, end, injected, tell_to_go_on, wait_for_phase
from tests.running.installation import ScratchInstallation
from tests.running.server import Answer, serving

PEOPLE = 12
WAIT = 3
SECONDS = 3.5
"""How long somebody reads: longer than anybody waits who writes."""
SIGNED_IN = """
from django.contrib.auth import BACKEND_SESSION_KEY as B, HASH_SESSION_KEY as H, SESSION_KEY as S
from django.contrib.sessions.backends.db import SessionStore
from core.models import User
root = User.objects.create_superuser("root", password="a good one")
session = SessionStore()
session[S], session[B] = str(root.pk), "django.contrib.auth.backends.ModelBackend"
session[H] = root.get_session_auth_hash()
session.create()
print(session.session_key)
"""


def timed(ask: object, *args: object, **options: object) -> tuple[float, Answer]:
    """How long it takes to be answered, and the answer."""
    started = time.monotonic()
    answer = ask(*args, **options)  # type: ignore[operator]
    return time.monotonic() - started, answer


def test_readers_do_not_wait_behind_writers_who_wait(
    installation: ScratchInstallation, files: Files, static_files: Path
) -> None:
    """More people save, again and again, than the web server has threads."""
    installation.env["SAVE_WAIT_SECONDS"] = str(WAIT)
    filled(installation, 300)
    cookies = f"sessionid={installation.manage('shell', '--no-imports', '-c', SIGNED_IN, check=True).stdout.strip()}"
    with installation.opened() as alias:
        record = AttendanceRecord.objects.using(alias).first()
        assert record
    form = {"seen": record.updated_at.isoformat(timespec="microseconds"), "status": "A", "ep_name": "typed"}
    with serving(installation, static_files) as server:
        restore = injected(installation, at_phase("commit", UNTIL_TOLD), "restore_data", "--input", files.b, "--quiet")
        wait_for_phase(installation, "commit")
        over = threading.Event()

        def save(number: int) -> list[tuple[float, Answer]]:
            path, data = "/admin/core/company/add/", {"name": f"Company {number}"}
            if number % 4:
                path, data = f"/attendance/{record.pk}/edit/", form
            answers = []
            while not over.wait(1):
                answers.append(timed(server.form, path, data, cookies=cookies))
            return answers

        with ThreadPoolExecutor(PEOPLE) as people:
            saves = [people.submit(save, number) for number in range(PEOPLE)]
            reads: list[tuple[float, Answer]] = []
            started = time.monotonic()
            while time.monotonic() - started < SECONDS or len(reads) < 12:
                reads.append(timed(server.ask, "GET", "/attendance/", headers={"Cookie": cookies}))
                time.sleep(0.05)
            signed_in = server.sign_in("root", "a good one")
            over.set()
            saved = [answer for one in saves for answer in one.result(30)]
        tell_to_go_on(installation)
        assert end(restore).code == 0
        after = server.form("/admin/core/company/add/", {"name": "Afterwards"}, cookies=cookies)
    assert {answer.status for _seconds, answer in reads} == {200}
    seconds = [seconds for seconds, _answer in reads]
    assert statistics.quantiles(seconds, n=20)[-1] < WAIT, seconds  # on a machine of its own a twentieth of that
    assert signed_in.status == 302
    assert {answer.status for _seconds, answer in saved} == {503}
    assert all(b"has been running a restore since" in answer.body for _seconds, answer in saved)
    assert WAIT < max(seconds for seconds, _answer in saved) < WAIT + 3, "who waited, waited for as long as is said"
    assert after.status == 302
