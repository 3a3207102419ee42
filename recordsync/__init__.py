"""The engine: records, files and databases; nothing of attendance, HTTP or terminals.

Its words are few. A *record* is one row as content: natural key and fields, every value a string or
null. A *snapshot* is a stream of records in key order, a *changeset* a stream of changes. Five
operations on them are everything there is:

* read: a database or a file gives a snapshot (:mod:`.store`, :mod:`.backupfile`)
* diff: two snapshots give a changeset (:mod:`.changes`)
* merge: base, ours, theirs give what to change and what is in conflict (:mod:`.merge`)
* apply: a decided merge changes a database, in one transaction (:mod:`.plan`, :mod:`.store`)
* invert: a changeset gives the one that takes it back (:mod:`.changes`)

An application declares its models (:mod:`.schema`, :mod:`.fields`) and injects progress
(:mod:`.progress`); outcomes are returned, failures are raised (:mod:`.errors`).
"""
