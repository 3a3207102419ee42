"""The administration site on each engine, asked for what it does not have."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import DEEP
from tests.running import commands
from tests.running.commands import SEED, injected
from tests.running.installation import ScratchInstallation

NUMBER = 0 if DEEP else 30


def test_nothing_that_root_may_ask_for_is_a_fault_of_the_server(
    installation: ScratchInstallation, static_files: Path
) -> None:
    (installation.folder / "static").symlink_to(static_files)
    print(f"MUSTER_TEST_SEED={SEED}")
    program = f"from tests.faults import admin_crawl; admin_crawl.main({SEED}, {NUMBER}); sys.exit()"
    ended = commands.end(injected(installation, program), timeout=3600)
    assert ended.code == 0, ended.err
    print(ended.out)
    assert "FAULT" not in ended.out
    assert "ASKED" in ended.out
    assert "200: " in ended.out
