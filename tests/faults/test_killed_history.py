"""Killed (``kill -9``) while a snapshot is taken, in a backup and in a restore: the head is the old one or the new one,
its tree is whole, and what the next snapshot says is true (law 20)."""

from __future__ import annotations

import datetime as dt
import signal
import time
from collections.abc import Iterator
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
from tests.running.commands import Ended, Moments, injected, run, signalled
from tests.running.installation import ScratchInstallation
from tests.running.snapshots import HERE

WAIT = 60.0
KEEP = 3
SNAPSHOT = (
    "from core.register.database import DEFAULT; from recordsync.history.snapshots import Occasion; "
    "from tests.running.snapshots import HERE; history = DEFAULT.history; lock = history.alone(60); lock.__enter__(); "
    "history.take(Occasion(HERE, 'root', 'test'), 60)"
)
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
    "django.db.backends.base.base:BaseDatabaseWrapper.commit",
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


def killing(point: str, call: int, *, is_before: bool) -> str:
    """Source for ``injected`` that kills the process at this call of a function."""
    module, name = point.split(":")
    return (
        "import importlib, signal, functools\n"
        f"_owner = importlib.import_module({module!r})\n"
        f"*_path, _name = {name!r}.split('.')\n"
        "for _part in _path: _owner = getattr(_owner, _part)\n"
        "_real, _calls = getattr(_owner, _name), []\n"
        "@functools.wraps(_real)\n"
        "def _dying(*args, **options):\n"
        "    _calls.append(1)\n"
        f"    if len(_calls) == {call} and {is_before}: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    result = _real(*args, **options)\n"
        f"    if len(_calls) == {call}: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return result\n"
        "setattr(_owner, _name, _dying)\n"
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
    assert verify_store(history).errors == []


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


def killed_at_random(
    installation: ScratchInstallation, moments: Moments, command: str, words: tuple[object, ...], seconds: float
) -> Ended:
    if moments.choice([True, False, False]):
        moment = moments.within(seconds, seconds * 0.3)
        ended = signalled(installation, words, moment, signal.SIGKILL)
        print(f"{command}, after {moment:.3f} s: {ended.code}")
        return ended
    point, call, is_before = (
        moments.choice(POINTS[command]),
        moments.choice([1, 1, 2, 3]),
        moments.choice([True, False]),
    )
    ended = commands.end(injected(installation, killing(point, call, is_before=is_before), *words))
    print(f"{command}, {'before' if is_before else 'after'} call {call} of {point}: {ended.code}")
    assert ended.code in (0, -signal.SIGKILL), ended.err
    return ended


def test_a_killed_process_leaves_a_history_that_is_whole(
    installation: ScratchInstallation, files: Files, tmp_path: Path
) -> None:
    moments = Moments(f"killed history on {installation.engine}")
    first = run(installation, "restore_data", "--input", files.a, "--quiet")
    assert first.code == 0, first.err
    full, target = tmp_path / "full.json", files.b
    done = run(installation, "backup_data", "--output", full, "--quiet")
    assert done.code == 0, done.err
    kills = 0
    for number in range(ROUNDS * 4):
        if kills == ROUNDS:
            break
        before = edited(installation, moments, number)
        command = ("snapshot", "backup", "restore")[number % 3]
        words: tuple[object, ...] = {
            "snapshot": ("shell", "--no-imports", "-c", SNAPSHOT),
            "backup": ("backup_data", "--quiet"),
            "restore": ("restore_data", "--input", target, "--quiet"),
        }[command]
        seconds = first.seconds if command == "restore" else done.seconds
        ended = killed_at_random(installation, moments, command, words, seconds)
        kills += ended.code == -signal.SIGKILL
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
            assert_whole(history)
            assert_nothing_is_left_over(history)
            assert_whole(history)
        if command == "restore":
            target = files.other(target)
        again = run(installation, "backup_data", "--output", full, "--quiet")
        assert again.code == 0, again.err
        assert inspection.file_content(full) == content
    assert kills == ROUNDS, "too few processes were killed"
    inspection.accounts(installation).assert_settled()
