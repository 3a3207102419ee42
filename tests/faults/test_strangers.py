"""What strangers can do to the real web server."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.installation import ScratchInstallation
from tests.server import serving

PASSWORD = "a good one"

COUNTING = """
import os
from django.contrib.auth import hashers
real = hashers.verify_password
def counted(*args, **options):
    with open(os.environ["COMPARED"], "a") as file:
        file.write("one\\n")
    return real(*args, **options)
hashers.verify_password = counted
hashers.PBKDF2PasswordHasher.iterations = 200_000
"""


def _people(installation: ScratchInstallation, *names: str) -> None:
    made = (
        "from core.models import User\n"
        f"for name in {names!r}: User.objects.create_user(name, password={PASSWORD!r}, role='root')"
    )
    installation.manage("shell", "--no-imports", "-c", made, check=True)


def test_passwords_that_are_guessed_at_once_are_compared_as_often_as_one_after_the_other(
    installation: ScratchInstallation, static_files: Path, tmp_path: Path
) -> None:
    """Two processes of four threads, 24 guesses of one name, and others who sign in meanwhile."""
    others = [f"other-{n}" for n in range(6)]
    compared = tmp_path / "compared"
    (tmp_path / "sitecustomize.py").write_text(COUNTING)
    installation.env |= {"PYTHONPATH": str(tmp_path), "COMPARED": str(compared)}
    _people(installation, "root", *others)
    with serving(installation, static_files) as server, ThreadPoolExecutor(30) as people:
        guesses = [people.submit(server.sign_in, "root", f"guess {n}") for n in range(24)]
        right = [people.submit(server.sign_in, name, PASSWORD) for name in others]
        assert Counter(one.result().status for one in right) == {302: 6}
        statuses = Counter(guess.result().status for guess in guesses)
        assert set(statuses) <= {200, 429}
        assert statuses[429] >= 19
        assert compared.read_text().count("one") == 5 + 6
        assert server.sign_in("root", PASSWORD).status == 429
    assert "Traceback" not in (installation.folder / "web.err").read_text()
