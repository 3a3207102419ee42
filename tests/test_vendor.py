"""Vendored files are as published: each is listed in their README with its hash, and none besides."""

import hashlib
import re

from tests.running.installation import PROJECT

VENDOR = PROJECT / "core/static/vendor"
ROW = re.compile(r"^\| \S+ \| \S+ \| \S+ \| `(\S+)` \| `([0-9a-f]{64})` \|$", re.MULTILINE)


def test_every_vendored_file_has_the_hash_of_its_row() -> None:
    listed = dict(ROW.findall((VENDOR / "README.md").read_text(encoding="utf-8")))
    found = {
        path.relative_to(VENDOR).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in VENDOR.rglob("*")
        if path.is_file() and path != VENDOR / "README.md"
    }
    assert found
    assert found == listed
