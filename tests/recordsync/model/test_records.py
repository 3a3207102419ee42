"""Canonical JSON and checksums, held against RFC 8785 written out plainly."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recordsync.model.records import canonical_json, checksum

SHORT = {"\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r", '"': '\\"', "\\": "\\\\"}


def rfc8785_string(text: str) -> str:
    """RFC 8785, 3.2.2.2: seven short escapes, the other characters below U+0020 as \\u00hh, all else as it is."""
    return '"' + "".join(SHORT.get(c) or (f"\\u{ord(c):04x}" if ord(c) < 0x20 else c) for c in text) + '"'


def rfc8785_object(content: dict[str, str | None]) -> bytes:
    """RFC 8785, 3.2.3: names sorted by UTF-16 code units, nothing between the tokens, UTF-8."""
    names = sorted(content, key=lambda name: name.encode("utf-16-be"))
    members = []
    for name in names:
        value = content[name]
        members.append(rfc8785_string(name) + ":" + ("null" if value is None else rfc8785_string(value)))
    return ("{" + ",".join(members) + "}").encode()


NASTY = [
    *(chr(code) for code in range(0x20)),
    "\x7f",
    "\x80",
    "\u2028\u2029",
    "\ufeff",
    "\ufffe\uffff",
    "😀\U0010ffff",
    "e\u0301 é",
    "/</script>",
    "'; DROP TABLE core_company; --",
    '"\\',
]


@pytest.mark.parametrize("text", NASTY, ids=ascii)
def test_a_text_is_written_as_rfc_8785_says(text: str) -> None:
    assert canonical_json({"a": text}) == rfc8785_object({"a": text})


@given(
    st.dictionaries(
        st.text(st.characters(max_codepoint=0x7F), max_size=8),
        st.none() | st.text(st.characters(exclude_categories=["Cs"])),
    )
)
def test_an_object_is_written_as_rfc_8785_says(content: dict[str, str | None]) -> None:
    assert canonical_json(content) == rfc8785_object(content)


@given(st.dictionaries(st.sampled_from("abcd"), st.none() | st.text(st.characters(exclude_categories=["Cs"]))))
def test_the_checksum_is_the_sha256_of_that(content: dict[str, str | None]) -> None:
    assert checksum(content) == hashlib.sha256(rfc8785_object(content)).hexdigest()
    assert checksum(dict(reversed(content.items()))) == checksum(content)


def test_a_worked_checksum() -> None:
    # printf '{"name":"ABC Corp"}' | sha256sum
    assert checksum({"name": "ABC Corp"}) == "34935e8642023a619a84f638c4ae8d33e452513738a1e452f8a7042e44786b6d"


def test_null_and_blank_are_different_content() -> None:
    assert len({checksum({"a": None}), checksum({"a": ""}), checksum({"a": "null"}), checksum({})}) == 4


def test_text_without_utf_8_has_no_canonical_form() -> None:
    with pytest.raises(TypeError):
        canonical_json({"a": "\ud800"})
