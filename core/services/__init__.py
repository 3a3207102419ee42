"""The three services by the names that scripts know them by; commands use them by these.

They live where their subject does: :mod:`core.backups` and :mod:`core.restores`.
"""
