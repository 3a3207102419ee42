"""Memory does not grow with the file: many times the records, the same peak within a fifth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from core.models import AttendanceRecord
from tests.builders.big_registers import fill, filled
from tests.conftest import DEEP
from tests.running.commands import end, injected
from tests.running.installation import NewInstallation, ScratchInstallation

TELL = "import atexit\natexit.register(lambda: open('status', 'w').write(open('/proc/self/status').read()))\n"
SMALL, LARGE = 10_000, 100_000 if DEEP else 30_000
ENGINES = ["sqlite", pytest.param("postgres", marks=[pytest.mark.postgres, pytest.mark.deep])]


def peak(installation: ScratchInstallation, *args: Any) -> int:
    """The largest resident memory of a command that must succeed, in bytes.

    The process says it itself: what the system tells its parent begins with the parent's own.
    """
    ended = end(injected(installation, TELL, *args, forked=False))
    assert ended.code == 0, ended.err
    status = (installation.folder / "status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


def peaks(installation: ScratchInstallation, records: int, new_installation: NewInstallation) -> dict[str, int]:
    filled(installation, records)
    path = installation.folder / "full.json"
    other = new_installation(installation.engine)
    full = peak(installation, "backup_data", "--output", path, "--quiet")
    with installation.opened() as alias:
        AttendanceRecord.objects.using(alias).update(shift="N")
    end(injected(installation, TELL, "backup_data", "--quiet"))  # its snapshot, which is not what is measured
    header = json.loads(path.open("rb").readline()[len(b'{"metadata":') : -2])
    parent = ("--parent", header["id"])
    changes = installation.folder / "changes.json"
    return {
        "backup": full,
        "incremental backup of everything": peak(
            installation, "backup_data", "--type", "incremental", *parent, "--output", changes, "--quiet"
        ),
        "restore into an empty register": peak(other, "restore_data", "--input", path, "--quiet"),
        "restore of the same": peak(other, "restore_data", "--input", path, "--quiet"),
    }


def peaks_of_1_0(installation: ScratchInstallation, records: int, new_installation: NewInstallation) -> dict[str, int]:
    filled(installation, records)
    path = installation.folder / "old.json"
    other = new_installation(installation.engine)
    return {
        "backup as 1.0": peak(installation, "backup_data", "--format", "1.0", "--output", path, "--quiet"),
        "restore of 1.0 into an empty register": peak(other, "restore_data", "--input", path, "--quiet"),
    }


def peaks_of_one_block(
    installation: ScratchInstallation, records: int, new_installation: NewInstallation
) -> dict[str, int]:
    """All records in one slice: one company in the first days of a month."""
    with installation.opened() as alias:
        fill(alias, records, companies=1, days=7)
    return {"fingerprint": peak(installation, "fingerprint", "--quiet")}


# A 1.0 file is sorted in runs of 20,000 records, and costs more to read.
SIZES = {
    "2.0": (SMALL, LARGE, peaks),
    "1.0": (22_000, 66_000, peaks_of_1_0),
    "one block": (6_000, 60_000, peaks_of_one_block),
}


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "what", ["2.0", *(pytest.param(what, marks=pytest.mark.deep) for what in ("1.0", "one block"))]
)
def test_memory(new_installation: NewInstallation, engine: str, what: str) -> None:
    few, many, measured = SIZES[what]
    small = measured(new_installation(engine), few, new_installation)
    large = measured(new_installation(engine), many, new_installation)
    for name, of_small in small.items():
        ratio = large[name] / of_small
        print(f"{engine}: {name}: {of_small / 1e6:.1f} MB, {large[name] / 1e6:.1f} MB: {ratio:.2f}")
    assert all(large[name] <= 1.2 * small[name] for name in small), (small, large)
