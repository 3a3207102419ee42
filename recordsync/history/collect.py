"""What the history store keeps, and the removal of what no snapshot that is kept has.

Removal has two phases, so that a snapshot that is being taken, or a file that is being written, never loses what it
uses: first what is unreachable is marked, and a day later it is deleted if it still is. Whoever needs it again takes
the mark away (:meth:`recordsync.history.store.BlockWriter.flush`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from django.db import connections
from django.db.models import Sum
from django.db.models.functions import Length
from django.utils import timezone

from recordsync.errors import HistoryDamaged
from recordsync.history.snapshots import History
from recordsync.history.store import HistoryStore, answering
from recordsync.history.trees import children_of, reach
from recordsync.models import Block, Head, Node, Snapshot
from recordsync.system.transactions import writing

GRACE: Final = dt.timedelta(days=1)
"""How long something that is unreachable is kept."""
_BETWEEN: Final = dt.timedelta(hours=1)
"""How long it takes until it pays to collect again."""
_TOGETHER: Final = 300


@dataclass(frozen=True)
class Size:
    """What the history store has. ``shown``: how many of all snapshots can be shown. ``raw``: bytes of all blocks
    before they are compressed; ``stored``: after, with those of all nodes; ``on_disk``: what the database takes for
    them, free room included."""

    snapshots: int
    shown: int
    blocks: int
    nodes: int
    records: int
    raw: int
    stored: int
    on_disk: int
    unreachable: int


@dataclass(frozen=True)
class Collected:
    """What was removed: how many blocks and nodes. ``marked``: how many are unreachable and will be removed.
    ``damaged``: how many nodes of trees that are kept are missing or damaged."""

    blocks: int = 0
    nodes: int = 0
    marked: int = 0
    damaged: int = 0


def size_of(history: History) -> Size:
    """What the history store has. Reads its tables without their data, and counts headers. Raises HistoryUnusable, and
    Error where the register's database fails."""
    snapshots = Snapshot.objects.using(history.using)
    count, trees = snapshots.count(), list(snapshots.filter(is_kept=True).values_list("tree", flat=True))
    roots = history.store.known_nodes(set(trees))
    blocks = Block.objects.using(history.store.alias)
    nodes = Node.objects.using(history.store.alias)
    with answering(history.store.alias):
        sums = blocks.aggregate(records=Sum("count"), raw=Sum("size"), stored=Sum(Length("data")))
        text = nodes.aggregate(stored=Sum(Length("body")))["stored"] or 0
        unreachable = [rows.filter(unreachable_since__isnull=False).count() for rows in (blocks, nodes)]
        return Size(
            snapshots=count,
            shown=sum(tree in roots for tree in trees),
            blocks=blocks.count(),
            nodes=nodes.count(),
            records=sums["records"] or 0,
            raw=sums["raw"] or 0,
            stored=(sums["stored"] or 0) + text,
            on_disk=_on_disk(history.store.alias),
            unreachable=sum(unreachable),
        )


def _on_disk(alias: str) -> int:
    """The bytes of the tables of the history store with their indexes; on SQLite those of the file."""
    connection = connections[alias]
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")
        else:
            tables = [table._meta.db_table for table in (Block, Node)]
            cursor.execute(
                "SELECT sum(pg_total_relation_size(name::regclass)) FROM unnest(%s::text[]) AS name", [tables]
            )
        return int(cursor.fetchone()[0])


def is_due(history: History) -> bool:
    """Whether nobody has collected for an hour. Reads one row."""
    head = Head.objects.using(history.using).first()
    return head is not None and head.collected_at <= timezone.now() - _BETWEEN


def collect(history: History, keep: int, wait: float) -> Collected:
    """What was removed. The trees of the last ``keep`` snapshots are kept, of those that left or came in files, and of
    the head; headers are always kept.

    Called under the lock of the history (:meth:`History.alone`), so that nobody takes a snapshot or restores meanwhile.
    What only a missing node leads to is as good as lost. Where the head's own tree is damaged, nothing is removed: it
    is made anew from the register, and may need what is there. ``wait``: the seconds to wait for others who write.
    Raises Error where a database fails.
    """
    read = _TolerantRead(history.store)
    blocks: set[str] = set()
    nodes: set[str] = set()
    levels = {model.name: model.levels for model in history.schema}
    for root, is_head in _roots(history, keep, wait).items():
        nodes.add(root)
        for name, digest, _count in children_of(read, root) if read([root]) else ():
            reach(read, digest, levels[name], blocks, nodes)
        if is_head and read.damaged:
            return Collected(damaged=len(read.damaged))
    now = timezone.now()
    with writing(history.store.alias, [Block, Node], wait, alone=False):
        of_blocks = _sweep(history, Block, blocks, now)
        of_nodes = _sweep(history, Node, nodes, now)
    return Collected(of_blocks[0], of_nodes[0], of_blocks[1] + of_nodes[1], len(read.damaged))


class _TolerantRead:
    """Reads nodes, and passes over those that are missing or damaged, whose digests are then in ``damaged``."""

    def __init__(self, store: HistoryStore) -> None:
        self._store = store
        self.damaged: set[str] = set()

    def __call__(self, digests: Sequence[str]) -> Mapping[str, bytes]:
        try:
            return self._store.nodes(digests)
        except HistoryDamaged:  # one of them
            found: dict[str, bytes] = {}
            for digest in digests:
                try:
                    found |= self._store.nodes([digest])
                except HistoryDamaged:
                    self.damaged.add(digest)
            return found


def _roots(history: History, keep: int, wait: float) -> dict[str, bool]:
    """The digests of the roots that are kept, and whether each is the head's, which comes first. Notes in the headers
    which are kept, and when this was."""
    with writing(history.using, [Head], wait):
        rows = Snapshot.objects.using(history.using)
        head = history.head()
        last = set(rows.order_by("-order").values_list("id", flat=True)[:keep])
        kept = {} if head is None else {head.tree: True}
        gone: list[str] = []
        known = rows.filter(is_kept=True).values_list("id", "tree", "left_at", "received_at")
        for pk, tree, left_at, received_at in known:
            travelled = left_at is not None or received_at is not None
            if pk not in last and not travelled and (head is None or pk != head.pk):
                gone.append(pk)
            elif history.store.has_node(tree):  # a store that is away now may come back with it
                kept.setdefault(tree, False)
        for some in _cut(gone):
            rows.filter(id__in=some).update(is_kept=False)
        Head.objects.using(history.using).update(collected_at=timezone.now())
    return kept


def _sweep(history: History, table: type[Block] | type[Node], reached: set[str], now: dt.datetime) -> tuple[int, int]:
    """How many rows were deleted, and how many are unreachable and stay for a day."""
    rows = table._default_manager.using(history.store.alias)
    mark, unmark, delete = list[str](), list[str](), list[str]()
    waiting = 0
    for digest, since in rows.values_list("digest", "unreachable_since").iterator():
        if digest in reached:
            if since is not None:
                unmark.append(digest)
        elif since is None:
            mark.append(digest)
        elif since <= now - GRACE:
            delete.append(digest)
        else:
            waiting += 1
    for some in _cut(mark):
        rows.filter(digest__in=some).update(unreachable_since=now)
    for some in _cut(unmark):
        rows.filter(digest__in=some).update(unreachable_since=None)
    for some in _cut(delete):
        rows.filter(digest__in=some).delete()
    return len(delete), waiting + len(mark)


def _cut(digests: Iterable[str]) -> Iterator[Sequence[str]]:
    stream = iter(digests)
    while some := list(islice(stream, _TOGETHER)):
        yield some
