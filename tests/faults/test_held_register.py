"""Many people at the real web server while a real restore holds the register: whoever reads does not notice."""

from __future__ import annotations

import threading
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path

from core.models import AttendanceRecord
from tests.builders.big_registers import filled
from tests.faults.conftest import Files
from tests.running.commands import UNTIL_TOLD, at_phase, end, injected, tell_to_go_on, wait_for_phase
from tests.running.installation import ScratchInstallation
from tests.running.server import Answer, serving

PEOPLE = 12
WAIT = 60
"""The largest: nobody who reads waits so long, however busy the machine is."""
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


def is_refused(answer: Answer) -> bool:
    return answer.status == 503 and b"has been running a restore since" in answer.body


def test_readers_do_not_wait_behind_writers_who_wait(
    installation: ScratchInstallation, files: Files, static_files: Path
) -> None:
    """More people save, again and again, than the web server has threads. Some wait all the time, and have not been
    answered yet when the others are."""
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

        def save(number: int) -> Answer:
            path, data = "/admin/core/company/add/", {"name": f"Company {number}"}
            if number % 4:
                path, data = f"/attendance/{record.pk}/edit/", form
            return server.form(path, data, cookies=cookies, timeout=3 * WAIT)

        def save_again(number: int) -> None:
            while not over.wait(1):
                answer = save(number)
                assert over.is_set() or is_refused(answer), answer.status

        with ThreadPoolExecutor(2 * PEOPLE) as people:
            saves = [people.submit(save, number) for number in range(PEOPLE)]
            told, _waiting = wait(saves, WAIT / 2, FIRST_COMPLETED)
            again = [people.submit(save_again, number) for number in range(PEOPLE)]
            reads = [server.ask("GET", "/attendance/", headers={"Cookie": cookies}) for _ in range(12)]
            signed_in = server.sign_in("root", "a good one")
            waiting = [one for one in saves if not one.done()]
            over.set()
            tell_to_go_on(installation)
            assert end(restore).code == 0
            after = server.form("/admin/core/company/add/", {"name": "Afterwards"}, cookies=cookies)
            for one in again:
                one.result()
    assert told
    assert len(waiting) >= 2, "nobody waited all the time: this proved nothing"
    assert all(is_refused(one.result()) for one in saves if one not in waiting)
    assert {answer.status for answer in reads} == {200}
    assert signed_in.status == 302
    assert after.status == 302
