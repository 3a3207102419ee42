"""The line of a record by the fast way is the line by the rule."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.register.declared import ATTENDANCE_RECORDS, COMPANIES
from recordsync.model.records import canonical_json, checksum
from recordsync.model.schema import Shape
from recordsync.streams.lines import Lines

TEXTS = st.none() | st.text(st.characters(exclude_categories=["Cs"]))
SOME = ATTENDANCE_RECORDS.shape(["company_name", "ep_no", "date", *ATTENDANCE_RECORDS.units["day"]])


@pytest.mark.parametrize("shape", [COMPANIES.shape(), ATTENDANCE_RECORDS.shape(), SOME], ids=lambda s: len(s.names))
@given(st.data())
def test_a_line_is_canonical_json_with_the_checksum_of_its_content(shape: Shape, data: st.DataObject) -> None:
    values = tuple(data.draw(st.tuples(*(TEXTS for _ in shape.names))))
    moment = data.draw(TEXTS)
    content = dict(zip(shape.names, values, strict=True))
    lines = Lines(shape)
    line = lines.line(values, moment)
    assert line == canonical_json({**content, "checksum": checksum(content), "created_at": moment})
    assert lines.parts(line) == (*values, checksum(content), moment)
