"""The engine: records, files and databases; nothing of attendance, HTTP or terminals.

A *record* is one row as content: its natural key and its fields, every value a string or null. A *snapshot* is all
records of one place at one moment, in key order. A *changeset* is a stream of changes in key order. The engine does
three things with them:

* read: a database or a file gives a snapshot (:mod:`.stores`, :mod:`.backupfile`)
* merge: base, ours and theirs give changes and conflicts (:mod:`.merge`, :mod:`.plan`)
* apply: a decided merge, or any changeset, changes a database in one transaction (:mod:`.plan`, :mod:`.stores`)

Content is known by digests: of records, of blocks of them, and of the tree over all blocks (:mod:`.history`).

An application declares its models (:mod:`.model`) and is told of progress (:mod:`.system.progress`). Functions return
outcomes and raise failures (:mod:`.errors`).
"""
