"""The line of a record by the fast way is the line by the rule."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.register.declared import ATTENDANCE_RECORDS, COMPANIES
from recordsync.model.records import canonical_json, checksum
from recordsync.model.schema import Shape
from recordsync.streams.lines import Lines, SplicedLines
from tests.recordsync.models import later_fields

TEXTS = st.none() | st.text(st.characters(exclude_categories=["Cs"]))
LATER = later_fields(ATTENDANCE_RECORDS, "in_time_3", "overtime", "overtime_to_mandays")
SOME = ATTENDANCE_RECORDS.shape(["company_name", "ep_no", "date", *ATTENDANCE_RECORDS.units["day"]])


@pytest.mark.parametrize("shape", [COMPANIES.shape(), ATTENDANCE_RECORDS.shape(), SOME, LATER.shape()])
@given(st.data())
def test_a_line_is_canonical_json_with_the_checksum_of_its_content(shape: Shape, data: st.DataObject) -> None:
    values = tuple(data.draw(st.tuples(*(TEXTS for _ in shape.names))))
    moment = data.draw(TEXTS)
    content = dict(zip(shape.names, values, strict=True))
    lines = Lines(shape)
    line = lines.line(values, moment)
    said = {name: value for name, value in content.items() if value is not None or name not in shape.model.later}
    digest = checksum(said)
    assert digest == checksum(content, shape.model.later)
    assert line == canonical_json({**said, "checksum": digest, "created_at": moment})
    assert lines.parts(line) == (*values, digest, moment)


@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(0, 3))
def test_lines_of_records_that_have_one_reference_and_nothing_else(name: str, count: int) -> None:
    """Then the database gives no more than the moments."""
    moment, content = "2026-11-20T18:40:00.000000Z", {"name": name}
    expected = canonical_json({**content, "checksum": checksum(content), "created_at": moment})
    assert SplicedLines(["name"], "name").of(name)([moment] * count) == [expected] * count
