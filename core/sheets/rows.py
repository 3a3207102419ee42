"""A row of a sheet, as CSV and workbooks give it, and how wide it may be."""

from __future__ import annotations

from typing import Final

from django.utils.translation import gettext as _

from core.operations.errors import SheetRefused

Row = tuple[int, list[str]]
"""The number of a row as a spreadsheet counts it, and the text of its cells; a cell of a workbook that is no text comes
as a :class:`~core.sheets.workbook_values.Moment`, ``Number`` or ``Truth``."""

MAX_COLUMNS: Final = 500
"""Of a sheet, in any form."""


def too_wide(row: int, columns: int) -> SheetRefused:
    """The refusal of a row with more than :data:`MAX_COLUMNS` columns."""
    return SheetRefused(
        _("Row %(row)s has %(count)s columns; a sheet may have %(most)s.")
        % {"row": row, "count": f"{columns:,}", "most": MAX_COLUMNS}
    )
