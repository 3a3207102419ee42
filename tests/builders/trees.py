"""The tree over a register and its digests, made of plain data and by the rules as they are written down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from tests.builders.ancestry import header, says
from tests.builders.files import SECTIONS, File, Line, canonical, checksum, file, key_in, sha256
from tests.builders.registers import RegisterData


@dataclass(frozen=True)
class Tree:
    """The digest of the root; by company and month (None: all) the digest and the number of records. A company
    may have none."""

    digest: str
    parts: Mapping[tuple[str, str | None], tuple[str, int]]


def tree(register: RegisterData, most: int = 1024) -> Tree:
    """The tree over a register. ``most``: how many children a node names itself."""
    days: dict[str, Any] = {}
    for (company, date, _number), values in sorted(register.records.items()):
        year_and_month, first = _slice(date)
        month = days.setdefault(company, {}).setdefault(year_and_month, {})
        month.setdefault(first, []).append(checksum(values))
    content: dict[str, Any] = {"attendance_records": days} if days else {}
    if register.companies:
        content["companies"] = [checksum({"name": name}) for name in sorted(register.companies)]
    seals: dict[str, list[str]] = {}
    for seal in sorted(register.seals, key=lambda seal: key_in("seals", seal)):
        seals.setdefault(str(seal["company_name"]), []).append(checksum(seal))
    if seals:
        content["seals"] = seals
    parts: dict[tuple[str, str | None], tuple[str, int]] = {
        (company, None): _known({}, most) for company in register.companies
    }
    for company, months in days.items():
        parts[company, None] = _known(months, most)
        parts |= {(company, month): _known(slices, most) for month, slices in months.items()}
    return Tree(_known(content, most)[0], parts)


def _known(below: Mapping[str, Any] | list[str], most: int) -> tuple[str, int]:
    """The digest of a node or of a block's checksums, and how many records there are."""
    if isinstance(below, list):
        return sha256("".join(below)), len(below)
    children: list[Any] = [[name, *_known(child, most)] for name, child in sorted(below.items())]
    count = sum(child[2] for child in children)
    if len(children) <= most:
        return sha256(canonical(children)), count
    groups = []
    for name in sorted({sha256(child[0])[:2] for child in children}):
        group = [child for child in children if sha256(child[0])[:2] == name]
        groups.append([name, sha256(canonical(group)), sum(child[2] for child in group)])
    return sha256(canonical({"groups": groups})), count


def _slice(date: str) -> tuple[str, str]:
    """The month of a date, and the first day of its slice."""
    day = int(date[8:])
    return date[:7], "01" if day <= 7 else "08" if day <= 14 else "15" if day <= 21 else "22"


def snapshot_file(register: RegisterData, **metadata: Any) -> File:
    """A full file of a snapshot of this content, with its blocks."""
    return with_blocks(file(register, snapshot=header(says(tree=tree(register).digest)), ancestors=[], **metadata))


def with_blocks(of: File) -> File:
    """The file with the list of its blocks."""
    stretches: dict[tuple[str, ...], list[Line]] = {}
    for section in SECTIONS:
        for line in of.records[section]:
            partition: tuple[str, ...] = () if section == "companies" else (line["company_name"],)
            if section == "attendance_records":
                partition += _slice(line["date"])
            stretches.setdefault((section, *partition), []).append(line)
    return replace(of, blocks=[_block(*path, lines=lines) for path, lines in stretches.items()])


def _block(model: str, *partition: str, lines: list[Line]) -> Line:
    raw = ",\n".join(map(canonical, lines))
    return {
        "model": model,
        "partition": list(partition),
        "count": len(lines),
        "bytes": len(raw.encode()),
        "digest": sha256("".join(line["checksum"] for line in lines)),
        "raw_sha256": sha256(raw),
    }
