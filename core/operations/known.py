"""Whether what somebody names is in the register."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.translation import gettext as _

from core.models import Company
from core.operations.errors import LazyText, OperationFailed
from core.register.database import Register
from recordsync.errors import printable_path


def require_companies(names: Sequence[str], register: Register, *, undone: LazyText) -> None:
    """Raises OperationFailed for the first name that no company has. Reads the database.

    ``undone``: a sentence that says what was not done.
    """
    storable = [name for name in names if printable_path(name) == name]  # an argument may not be UTF-8
    known = set(register.rows(Company).filter(name__in=storable).values_list("name", flat=True))
    unknown = next((name for name in names if name not in known), None)
    if unknown is not None:
        shown = repr(unknown) if unknown in storable else f"'{printable_path(unknown)}'"
        raise OperationFailed(_("There is no company %(name)s in the register.") % {"name": shown}, undone=undone)
