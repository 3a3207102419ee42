"""Killed (``kill -9``) while a snapshot is taken, in a backup and in a restore: the head is the old one or the new one,
its tree is whole, and what the next snapshot says is true (law 20)."""

from __future__ import annotations

import datetime as dt
import json
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest
from pathlib import Path

import orjson
from django.db import connections
from django.db.models import F
from django.utils import timezone

from core.models import AttendanceRecord
from core.register.database import Register
from core.register.declared import SCHEMA
from recordsync.history import leaves
from recordsync.history.collect import GRACE, collect
from recordsync.history.snapshots import History, Occasion
from recordsync.history.store import StoredTree, pieces
from recordsync.history.trees import children_of, reach, tree_of
from recordsync.history.verify import verify_store
from recordsync.models import Block, Head, Node, Snapshot
from tests.faults.conftest import ROUNDS, Files
from tests.running import commands, inspection
from tests.running.commands import Moments, injected, run
from tests.running.installation import ScratchInstallation
from tests.running.snapshots import HERE

WAIT = 60.0
KEEP = 3
KILLS = max(ROUNDS, 7)
"""On each engine: as many as a snapshot has commits, five on SQLite, and one in a restore and in a backup."""
SNAPSHOT = (
    "from core.register.database import DEFAULT; from recordsync.history.snapshots import Occasion; "
    "from tests.running.snapshots import HERE; history = DEFAULT.history; lock = history.alone(60); lock.__enter__(); "
    "history.take(Occasion(HERE, 'root', 'test'), 60)"
)
COMMIT = "django.db.backends.base.base:BaseDatabaseWrapper.commit"
"""Of the register or its history. What a killed process leaves is what was committed, so that these tell most."""
IN_A_SNAPSHOT = [
    "recordsync.history.snapshots:History._make",
    "recordsync.history.snapshots:History._record",
    "recordsync.history.snapshots:History._keep_header",
    "recordsync.history.store:BlockWriter.flush",
    "recordsync.history.store:BlockWriter.put_node",
    "recordsync.history.leaves:replace",
    "recordsync.history.marks:clear",
    "recordsync.history.marks:raise_generation",
    "django.db.models.query:QuerySet.update_or_create",
    "django.db.models.query:QuerySet.create",
    COMMIT,
]
POINTS = {
    "snapshot": IN_A_SNAPSHOT,
    "backup": [
        *IN_A_SNAPSHOT,
        "recordsync.history.store:HistoryStore.frames",
        "recordsync.history.snapshots:History.note_left",
        "recordsync.history.collect:_sweep",
    ],
    "restore": [*IN_A_SNAPSHOT, "recordsync.stores.sql:SqlStore._update", "core.operations.snapshots:Keeper.after"],
}
"""Functions that each command calls: it is killed just before or just after one of them."""

# Source for ``injected``. Nobody loses a lock and lives: whoever comes after a dead process need not wait for it.
QUICK = "from recordsync.system import locks as _locks\n_locks._SECONDS_TO_TAKE_AGAIN = 0.0\n"

# Source for ``injected``: ``_watch`` has a function call ``_at`` with its number, before and after each call. A command
# that has ended calls ``_end``.
WATCHING = f"""{QUICK}
import functools, importlib, json, signal, threading, time
import django.core.management as _management
def _die(): os.kill(os.getpid(), signal.SIGKILL)
def _watch(point, at):
    module, _, name = point.partition(":")
    *path, name = name.split(".")
    owner = functools.reduce(getattr, path, importlib.import_module(module))
    real, calls = getattr(owner, name), []
    @functools.wraps(real)
    def watched(*args, **options):
        if getattr(next(iter(args), None), "alias", None) == "jobs":
            return real(*args, **options)
        calls.append(None)
        call = len(calls)
        at(call, True)
        result = real(*args, **options)
        at(call, False)
        return result
    setattr(owner, name, watched)
_execute = _management.execute_from_command_line
def _executed(argv):
    _execute(argv)
    _end()
_management.execute_from_command_line = _executed
"""


def counting(points: list[str], path: Path) -> str:
    """Source for ``injected`` that writes down how often each function is called, and the seconds from the first call
    to the last."""
    return (
        f"{WATCHING}\n"
        f"_counts, _moments = dict.fromkeys({points!r}, 0), []\n"
        "def _counter(point):\n"
        "    def _at(call, is_before):\n"
        "        _counts[point] = call\n"
        "        _moments.append(time.monotonic())\n"
        "    return _at\n"
        "for _point in _counts: _watch(_point, _counter(_point))\n"
        "def _end():\n"
        f"    with open({str(path)!r}, 'w') as file: json.dump([_counts, _moments[-1] - _moments[0]], file)\n"
    )


def killing(point: str, call: int, *, is_before: bool) -> str:
    """Source for ``injected`` that kills the process at this call of a function, or at its end, so that it is killed in
    any case."""
    return (
        f"{WATCHING}\n"
        "_end = _die\n"
        f"def _at(call, is_before):\n"
        f"    if (call, is_before) == ({call}, {is_before}): _die()\n"
        f"_watch({point!r}, _at)\n"
    )


def killing_after(point: str, seconds: float) -> str:
    """Source for ``injected`` that kills the process so long after the first call of a function, or at its end."""
    return (
        f"{WATCHING}\n"
        "_end = _die\n"
        "def _later():\n"
        f"    time.sleep({seconds})\n"
        "    _die()\n"
        "def _at(call, is_before):\n"
        "    if call == 1 and is_before: threading.Thread(target=_later, daemon=True).start()\n"
        f"_watch({point!r}, _at)\n"
    )


def wait_for_the_dead(alias: str) -> None:
    """Wait until PostgreSQL has ended the transactions of processes that were killed."""
    deadline = time.monotonic() + commands.SECONDS
    with connections[alias].cursor() as cursor:
        while connections[alias].vendor == "postgresql":
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                "AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )
            if not cursor.fetchone()[0]:
                return
            assert time.monotonic() < deadline, "a killed process still has a connection"
            time.sleep(0.02)


def names_in(body: bytes) -> Iterator[str]:
    """The digests that a node names."""
    content = orjson.loads(body)
    for _name, digest, _count in content if isinstance(content, list) else content["groups"]:
        yield digest


def assert_whole(history: History) -> None:
    """Assert that nothing that the history names is missing or damaged, and that the leaves are those of the head."""
    blocks = set(Block.objects.using(history.store.alias).values_list("digest", flat=True))
    rows = Node.objects.using(history.store.alias).values_list("digest", "body")
    bodies = {digest: bytes(body) for digest, body in rows}
    for digest, body in bodies.items():
        missing = [child for child in names_in(body) if child not in bodies and child not in blocks]
        assert not missing, f"{digest} names {missing}"
    head = history.head()
    assert head is not None
    tree = StoredTree(history.store, head.tree, SCHEMA)
    for model in SCHEMA:
        placed = list(tree.blocks(model))
        of_model = [block for _partition, block in placed]
        for block, frame in zip(of_model, history.store.frames(of_model), strict=True):
            assert len(b"".join(pieces(block, frame)).split(b",\n")) == block.count
        at_head = {(leaf.partition(model), leaf.block.digest) for leaf in leaves.leaves(history.using, model)}
        assert at_head == {(partition, block.digest) for partition, block in placed}
    found = verify_store(history)
    assert (found.errors, found.lost) == ([], 0)


def assert_nothing_is_left_over(history: History) -> None:
    """Assert that two collections, a day apart, leave exactly what the snapshots that are kept have."""
    with history.alone(WAIT):
        collect(history, KEEP, WAIT)
        for table in (Block, Node):
            rows = table._default_manager.using(history.store.alias).exclude(unreachable_since=None)
            rows.update(unreachable_since=F("unreachable_since") - GRACE - dt.timedelta(seconds=1))
        collect(history, KEEP, WAIT)
    blocks: set[str] = set()
    nodes: set[str] = set()
    levels = {model.name: model.levels for model in SCHEMA}
    for root in Snapshot.objects.using(history.using).filter(is_kept=True).values_list("tree", flat=True):
        nodes.add(root)
        for name, digest, _count in children_of(history.store.nodes, root):
            reach(history.store.nodes, digest, levels[name], blocks, nodes)
    assert set(Block.objects.using(history.store.alias).values_list("digest", flat=True)) == blocks
    assert set(Node.objects.using(history.store.alias).values_list("digest", flat=True)) == nodes


def root_of(register: Register) -> str:
    """The root of the tree that reading all of the register again gives."""
    with register.read() as store:
        *_below, root = tree_of(store, {})
    return root.digest


def edited(installation: ScratchInstallation, moments: Moments, number: int) -> str:
    """The register's content after a record was edited, so that there is something to take. Collecting is due."""
    with installation.opened() as alias:
        keys = list(AttendanceRecord.objects.using(alias).order_by("pk").values_list("pk", flat=True))
        AttendanceRecord.objects.using(alias).filter(pk=moments.choice(keys)).update(shift=f"EDIT {number}")
        Head.objects.using(alias).update(collected_at=timezone.now() - dt.timedelta(hours=2))
        return inspection.content(alias)


@dataclass
class Counted:
    """What a command calls when nobody kills it: how often each function, and the seconds from the first call to the
    last."""

    calls: dict[str, int]
    seconds: float


def counted(installation: ScratchInstallation, command: str, words: Sequence[object]) -> Counted:
    """What a command calls, which runs to its end."""
    path = installation.folder / "calls.json"
    ended = commands.end(injected(installation, counting(POINTS[command], path), *words))
    assert ended.code == 0, ended.err
    calls, seconds = json.loads(path.read_text())
    return Counted({point: number for point, number in calls.items() if number}, seconds)


def kills(moments: Moments, known: Mapping[str, Counted]) -> Iterator[tuple[str, str, str]]:
    """Commands, each with where it is killed and the source for ``injected`` that does it, without end: a snapshot
    before each commit, the others too, and then anything at any moment."""
    commits = {command: moments.shuffled(range(1, of.calls[COMMIT] + 1)) for command, of in known.items()}
    alone = commits.pop("snapshot")
    together = [pair for pairs in zip_longest(*commits.values()) for pair in zip(commits, pairs, strict=True)]
    for command, call in [*(("snapshot", call) for call in alone), *together]:
        if call is not None:
            yield command, f"before commit {call}", killing(COMMIT, call, is_before=True)
    while True:
        command = moments.choice([*known])
        calls = known[command].calls
        point = moments.choice([*calls, ""])
        if point:
            call, is_before = moments.choice(range(1, calls[point] + 1)), moments.choice([True, False])
            where = f"{'before' if is_before else 'after'} call {call} of {point}"
            yield command, where, killing(point, call, is_before=is_before)
        else:
            seconds = moments.within(known[command].seconds)
            yield command, f"after {seconds:.3f} s", killing_after(next(iter(calls)), seconds)


def test_a_killed_process_leaves_a_history_that_is_whole(
    installation: ScratchInstallation, files: Files, tmp_path: Path
) -> None:
    moments = Moments(f"killed history on {installation.engine}")
    full, target = tmp_path / "full.json", files.b
    words: dict[str, tuple[object, ...]] = {
        "restore": ("restore_data", "--input", files.a, "--quiet"),
        "snapshot": ("shell", "--no-imports", "-c", SNAPSHOT),
        "backup": ("backup_data", "--quiet"),
    }
    first = run(installation, *words["restore"])
    assert first.code == 0, first.err
    words["restore"] = ("restore_data", "--input", target, "--quiet")
    known: dict[str, Counted] = {}
    for command in words:
        edited(installation, moments, 0)
        known[command] = counted(installation, command, words[command])
    target = files.a
    for number, (command, where, fault) in enumerate(islice(kills(moments, known), KILLS), 1):
        before = edited(installation, moments, number)
        words["restore"] = ("restore_data", "--input", target, "--quiet")
        print(command, where)
        ended = commands.end(injected(installation, fault, *words[command]))
        assert ended.code == -signal.SIGKILL, ended.err
        with installation.opened() as alias:
            wait_for_the_dead(alias)
            register = Register(alias)
            history = register.history
            content = inspection.content(alias)
            assert content in ({before, files.content[target]} if command == "restore" else {before})
            assert_whole(history)
            with history.alone(WAIT):
                taken = history.take(Occasion(HERE, "root", "test"), WAIT)
            assert taken.notes == ()
            assert taken.snapshot.tree == root_of(register)
            assert_nothing_is_left_over(history)
            assert_whole(history)
        if content == files.content[target]:
            target = files.other(target)
    again = commands.end(injected(installation, QUICK, "backup_data", "--output", full, "--quiet"))
    assert again.code == 0, again.err
    assert inspection.file_content(full) == content
    inspection.accounts(installation).assert_settled()
