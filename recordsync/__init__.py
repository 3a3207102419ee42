"""The engine: records, files and databases; nothing of attendance, HTTP or terminals.

Its words are few. A *record* is one row as content: natural key and fields, every value a string or
null. A *snapshot* is all records of one place at one moment, in key order; a *changeset* is a stream
of changes. A few operations on them are everything there is:

* read: a database or a file gives a snapshot (:mod:`.stores`, :mod:`.backupfile`)
* merge: base, ours, theirs give what to change and what is in conflict (:mod:`.merge`, :mod:`.plan`)
* apply: a decided merge, or any changeset, changes a database in one transaction (:mod:`.plan`, :mod:`.stores`)

An application declares its models (:mod:`.model`) and injects progress (:mod:`.system.progress`); outcomes
are returned, failures are raised (:mod:`.errors`).
"""
