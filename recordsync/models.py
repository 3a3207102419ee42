"""The engine's own tables. They hold no records of the application.

Those of the history store (:class:`Block`, :class:`Node`) are written once and known by their content. The others are
in the register's own database, and are written in the transaction that writes the data.
"""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models.functions import Now

from recordsync.system.transactions import COMMITS


class Commit(models.Model):
    """A row that a transaction writes last, and that is there if it was committed.

    If the answer to a COMMIT is lost, the row tells (:mod:`recordsync.system.transactions`). On SQLite no answer is
    ever lost, and the table stays empty.
    """

    id = models.UUIDField(primary_key=True)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = COMMITS

    def __str__(self) -> str:
        return str(self.id)


class Block(models.Model):
    """A block in the history store: the lines of its records, joined by commas and line ends, as a frame of zstd."""

    digest = models.CharField(max_length=64, primary_key=True, help_text="SHA-256 of the records' checksums in order.")
    raw_sha256 = models.CharField(max_length=64, help_text="SHA-256 of the lines as they are joined.")
    size = models.BigIntegerField(help_text="Bytes of the lines as they are joined.")
    count = models.BigIntegerField(help_text="Records.")
    crc32 = models.BigIntegerField(help_text="CRC-32 of digest, raw_sha256, size and count, with a space between them.")
    data = models.BinaryField()
    unreachable_since = models.DateTimeField(null=True, help_text="Since when no snapshot that is kept has it.")

    def __str__(self) -> str:
        return self.digest


class Node(models.Model):
    """A node of a tree in the history store: its text, which its digest is of."""

    digest = models.CharField(max_length=64, primary_key=True)
    body = models.BinaryField()
    unreachable_since = models.DateTimeField(null=True, help_text="Since when no snapshot that is kept has it.")

    def __str__(self) -> str:
        return self.digest


class Snapshot(models.Model):
    """The header of a snapshot: what it says, and its parents. Headers are kept for ever."""

    id = models.CharField(max_length=64, primary_key=True)
    parents = models.JSONField(help_text="Ids, in their order.")
    said = models.CharField(max_length=64, help_text="The digest of what it says.")
    says = models.JSONField(null=True, help_text="Null: only its digest is known, because no file of it came here.")
    is_merge = models.BooleanField(default=False, help_text="Whether it says its tree only.")
    bears_renames = models.BooleanField(default=False, help_text="Whether it says that records have other names.")
    tree = models.CharField(max_length=64, blank=True, help_text="The digest of the tree's root, if it is known.")
    installation = models.UUIDField(null=True, help_text="Which installation took it; null: a merge, or not known.")
    number = models.BigIntegerField(null=True, help_text="Its number at that installation.")
    order = models.BigIntegerField(unique=True, help_text="In which order snapshots came to be known here.")
    recorded_at = models.DateTimeField(db_default=Now())
    is_kept = models.BooleanField(default=True, help_text="Whether its tree is kept in the history store.")
    left_at = models.DateTimeField(null=True, help_text="When it first left in a file.")
    received_at = models.DateTimeField(null=True, help_text="When it first came in a file.")

    class Meta:
        indexes: ClassVar = [models.Index(fields=["installation", "number"], name="snapshot_number")]

    def __str__(self) -> str:
        return self.id


class Head(models.Model):
    """The snapshot that the register is at, but for what is dirty. One row, or none before the first snapshot."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    snapshot = models.ForeignKey(Snapshot, models.PROTECT, related_name="+")
    collected_at = models.DateTimeField(db_default=Now(), help_text="When the history store was last tidied.")

    def __str__(self) -> str:
        return self.snapshot_id


class HeadMove(models.Model):
    """A row for each time that the head moved, which is never changed."""

    before = models.ForeignKey(Snapshot, models.PROTECT, related_name="+", null=True)
    after = models.ForeignKey(Snapshot, models.PROTECT, related_name="+")
    operation = models.UUIDField(null=True, help_text="The operation that moved it.")
    cause = models.CharField(max_length=30)
    actor = models.CharField(max_length=150)
    moment = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.before_id} → {self.after_id}"


class Leaf(models.Model):
    """A block of the head's tree, by where its records are: the primary keys that their references hold, joined by
    commas, and the slice of their date. Both may be blank: see :class:`recordsync.history.places.Place`."""

    pk = models.CompositePrimaryKey("model", "parent", "slice")
    model = models.CharField(max_length=100)
    parent = models.TextField()
    slice = models.CharField(max_length=10)
    names = models.TextField(blank=True, help_text="The names of these parents at the head, in a text that sorts so.")
    digest = models.CharField(max_length=64)
    count = models.BigIntegerField()

    def __str__(self) -> str:
        return f"{self.model} {self.parent} {self.slice}"


class Dirty(models.Model):
    """A mark, which a trigger sets: something was written in this place since the head.

    ``parent`` and ``slice`` may be ``*``: in all places of the model, or of this parent. On SQLite ``slice`` may be any
    day of the slice.
    """

    model = models.CharField(max_length=100)
    parent = models.TextField()
    slice = models.CharField(max_length=10)
    generation = models.BigIntegerField(db_default=0, help_text="On SQLite: of which generation the mark is.")

    def __str__(self) -> str:
        return f"{self.model} {self.parent} {self.slice}"


class Generation(models.Model):
    """On SQLite, the generation of the marks that are set now. One row, or none: generation 0."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    number = models.BigIntegerField()

    def __str__(self) -> str:
        return str(self.number)
