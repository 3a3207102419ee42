"""The merge of single records: see :mod:`core.restores.conflict_resolver`."""

from core.restores.conflict_resolver import ConflictResolver

__all__ = ["ConflictResolver"]
