"""The steps that are measured: commands of Muster's, those of its peers, and what of their cost is not theirs."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from benchmarks.costs import Cost


class BenchStep(StrEnum):
    """What is measured, as the results name it."""

    FIRST = "first backup, blocks made"
    FULL = "full backup"
    FULL_ZST = "full backup, .zst"
    AFTER_DAY = "full backup after one day was imported"
    AFTER_RECENT = "full backup, 1% changed in the last month"
    AFTER_ANYWHERE = "full backup, 1% changed anywhere"
    SNAPSHOT = "snapshot after one edit"
    VERIFY = "`history verify --register`"
    INCREMENTAL = "incremental backup, 1,000 changed in the last month on either side"
    MERGE_PREVIEW = "… its preview on the other side"
    MERGE = "… its merge there"
    UNDO = "… the undo of the merge"
    DUMPDATA = "Django `dumpdata`"
    SQLITE_DUMP = "`sqlite3 .dump`"
    PG_DUMP = "`pg_dump`"
    PREVIEW = "preview, identical"
    IDENTICAL = "restore, identical"
    CHANGED_RECENT = "restore, 1% changed in the last month"
    CHANGED = "restore, 1% changed"
    EMPTY = "restore into empty"
    EMPTY_ALONE = "restore into empty, readers locked out"
    LOADDATA = "Django `loaddata` into empty"
    COPY = "`\\copy` into empty, indexes made afterwards"
    COPY_INDEXED = "`\\copy` into empty, indexes in place"
    IMPORT_CSV = "import of new rows, CSV"
    IMPORT_XLSX = "import of new rows, XLSX"
    IMPORT_DAY = "import of one day, CSV"
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
    START_HISTORY = "start of `history`"
    START_SNAPSHOT = "start of a script"
    START_UNDO = "start of `undo`"
    ADD = "bulk additions"
    FILL = "bulk additions, indexes made afterwards"
    CHANGE = "bulk changes"
    DELETE = "bulk deletions"
    EDIT = "500 edits, one at a time"
    ADD_UNMARKED = "bulk additions, without marks"
    FILL_UNMARKED = "bulk additions, indexes made afterwards, without marks"
    CHANGE_UNMARKED = "bulk changes, without marks"
    DELETE_UNMARKED = "bulk deletions, without marks"
    EDIT_UNMARKED = "500 edits, one at a time, without marks"


EDITS = 500
"""How many edits are made one at a time."""
UNMARKED: Mapping[BenchStep, BenchStep] = {
    BenchStep.ADD: BenchStep.ADD_UNMARKED,
    BenchStep.FILL: BenchStep.FILL_UNMARKED,
    BenchStep.CHANGE: BenchStep.CHANGE_UNMARKED,
    BenchStep.DELETE: BenchStep.DELETE_UNMARKED,
    BenchStep.EDIT: BenchStep.EDIT_UNMARKED,
}
"""The writes within one process that are measured with marks, and the same without."""


LEFT_OUT: Mapping[BenchStep, tuple[BenchStep, ...]] = {
    BenchStep.FIRST: (BenchStep.START_BACKUP,),
    BenchStep.FULL: (BenchStep.START_BACKUP,),
    BenchStep.FULL_ZST: (BenchStep.START_BACKUP,),
    BenchStep.AFTER_DAY: (BenchStep.START_BACKUP,),
    BenchStep.AFTER_RECENT: (BenchStep.START_BACKUP,),
    BenchStep.AFTER_ANYWHERE: (BenchStep.START_BACKUP,),
    BenchStep.SNAPSHOT: (BenchStep.START_SNAPSHOT,),
    BenchStep.VERIFY: (BenchStep.START_HISTORY,),
    BenchStep.INCREMENTAL: (BenchStep.START_BACKUP,),
    BenchStep.MERGE_PREVIEW: (BenchStep.START_RESTORE,),
    BenchStep.MERGE: (BenchStep.START_RESTORE,),
    BenchStep.UNDO: (BenchStep.START_UNDO,),
    BenchStep.DUMPDATA: (BenchStep.START_DUMPDATA,),
    BenchStep.SQLITE_DUMP: (BenchStep.START_SQLITE3,),
    BenchStep.PG_DUMP: (BenchStep.START_PG_DUMP,),
    BenchStep.PREVIEW: (BenchStep.START_RESTORE,),
    BenchStep.IDENTICAL: (BenchStep.START_RESTORE,),
    BenchStep.CHANGED_RECENT: (BenchStep.START_RESTORE,),
    BenchStep.CHANGED: (BenchStep.START_RESTORE,),
    BenchStep.EMPTY: (BenchStep.START_RESTORE,),
    BenchStep.EMPTY_ALONE: (BenchStep.START_RESTORE,),
    BenchStep.LOADDATA: (BenchStep.START_LOADDATA,),
    BenchStep.COPY: (BenchStep.START_PSQL,),
    BenchStep.COPY_INDEXED: (BenchStep.START_PSQL,),
    BenchStep.IMPORT_CSV: (BenchStep.START_IMPORT, BenchStep.READ_CSV),
    BenchStep.IMPORT_XLSX: (BenchStep.START_IMPORT, BenchStep.READ_XLSX),
    BenchStep.IMPORT_DAY: (BenchStep.START_IMPORT,),
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
    return costs[step].seconds - sum(costs[part].seconds for part in LEFT_OUT.get(step, ()))
