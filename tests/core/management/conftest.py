"""A small register for commands to be tried on."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from core.models import AttendanceRecord, Company
from tests.builders.big_registers import fill
from tests.running.installation import ScratchInstallation


@pytest.fixture
def small(installation: ScratchInstallation) -> ScratchInstallation:
    """Ninety records in eight companies, on each engine in turn."""
    return populate(installation)


@pytest.fixture
def small_sqlite(new_installation: Callable[[str], ScratchInstallation]) -> ScratchInstallation:
    """The same on SQLite alone."""
    return populate(new_installation("sqlite"))


def populate(installation: ScratchInstallation) -> ScratchInstallation:
    with installation.opened() as alias:
        fill(alias, 90)
        abc = Company.objects.using(alias).create(name="ABC Corp")
        for day in range(1, 11):
            AttendanceRecord.objects.using(alias).create(
                company=abc, ep_no="EMP001", ep_name="Zoë Müller-李", date=f"2026-03-{day:02}", status="P"
            )
    return installation
