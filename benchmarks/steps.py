"""The steps that are measured: commands of Muster's, those of its peers, and what of their cost is not theirs."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from benchmarks.costs import Cost


class BenchStep(StrEnum):
    """What is measured, as the results name it."""

    FULL = "full backup"
    DUMPDATA = "Django `dumpdata`"
    SQLITE_DUMP = "`sqlite3 .dump`"
    PG_DUMP = "`pg_dump`"
    PREVIEW = "preview, identical"
    IDENTICAL = "restore, identical"
    CHANGED = "restore, 1% changed"
    EMPTY = "restore into empty"
    EMPTY_ALONE = "restore into empty, readers locked out"
    LOADDATA = "Django `loaddata` into empty"
    COPY = "`\\copy` into empty, indexes made afterwards"
    COPY_INDEXED = "`\\copy` into empty, indexes in place"
    IMPORT_CSV = "import of new rows, CSV"
    IMPORT_XLSX = "import of new rows, XLSX"
    IMPORT_MORE = "import of new rows, CSV, into a full register"
    IMPORT_AGAIN = "import again, CSV"
    READ_CSV = "reading the CSV sheet"
    READ_XLSX = "reading the XLSX sheet"
    START_BACKUP = "start of `backup_data`"
    START_RESTORE = "start of `restore_data`"
    START_IMPORT = "start of `import_attendance`"
    START_DUMPDATA = "start of `dumpdata`"
    START_LOADDATA = "start of `loaddata`"
    START_SQLITE3 = "start of `sqlite3`"
    START_PG_DUMP = "start of `pg_dump`"
    START_PSQL = "start of `psql`"


LEFT_OUT: Mapping[BenchStep, tuple[BenchStep, ...]] = {
    BenchStep.FULL: (BenchStep.START_BACKUP,),
    BenchStep.DUMPDATA: (BenchStep.START_DUMPDATA,),
    BenchStep.SQLITE_DUMP: (BenchStep.START_SQLITE3,),
    BenchStep.PG_DUMP: (BenchStep.START_PG_DUMP,),
    BenchStep.PREVIEW: (BenchStep.START_RESTORE,),
    BenchStep.IDENTICAL: (BenchStep.START_RESTORE,),
    BenchStep.CHANGED: (BenchStep.START_RESTORE,),
    BenchStep.EMPTY: (BenchStep.START_RESTORE,),
    BenchStep.EMPTY_ALONE: (BenchStep.START_RESTORE,),
    BenchStep.LOADDATA: (BenchStep.START_LOADDATA,),
    BenchStep.COPY: (BenchStep.START_PSQL,),
    BenchStep.COPY_INDEXED: (BenchStep.START_PSQL,),
    BenchStep.IMPORT_CSV: (BenchStep.START_IMPORT, BenchStep.READ_CSV),
    BenchStep.IMPORT_XLSX: (BenchStep.START_IMPORT, BenchStep.READ_XLSX),
    BenchStep.IMPORT_MORE: (BenchStep.START_IMPORT, BenchStep.READ_CSV),
    BenchStep.IMPORT_AGAIN: (BenchStep.START_IMPORT, BenchStep.READ_CSV),
}
"""What was measured in the same round and does not count as a step's own work."""

PEERS = (
    BenchStep.DUMPDATA,
    BenchStep.SQLITE_DUMP,
    BenchStep.PG_DUMP,
    BenchStep.LOADDATA,
    BenchStep.COPY,
    BenchStep.COPY_INDEXED,
)
"""The steps that are not Muster's."""


def net(costs: Mapping[BenchStep, Cost], step: BenchStep) -> float:
    """The CPU seconds of a step in a round, the server's included, less what is left out. KeyError: not measured."""
    return costs[step].seconds - sum(costs[part].seconds for part in LEFT_OUT[step])
