"""Reads the parts of a workbook, the files in its ZIP file, and their XML piece by piece, within limits.

The format is ECMA-376: Part 1, 18 (SpreadsheetML) and Part 2 (packages). ``zipfile`` and ``expat`` take it apart.
"""

from __future__ import annotations

import io
import posixpath
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import IO, BinaryIO, Final, Generic, TypeVar, cast
from xml.parsers import expat

from django.conf import settings
from django.utils.translation import gettext as _

from core.operations.errors import SheetRefused
from core.sheets.workbook_values import read_xlsx

Element = tuple[str, dict[str, str]]
"""An element: its name, and its attributes by name."""
Item = TypeVar("Item")

MAX_SHARED_TEXTS: Final = 128 << 20
"""Bytes of memory for the texts that the cells of a workbook share."""

_MAX_TEXT: Final = 1 << 16
"""Characters of a cell. Excel allows 32,767."""
_MAX_TAG: Final = 1 << 20
"""Bytes of a tag or a comment."""
_MAX_NAMES: Final = 5_000
"""The most names of elements and attributes in a part; the parser keeps them."""
_MAX_DIRECTORY: Final = 1 << 18
"""The most bytes of a ZIP file's directory, which has some 80 for each part. A workbook has some dozens of parts."""
_MIME_TYPE: Final = 100
"""Bytes of the part ``mimetype`` that are read."""
_MAX_DEPTH: Final = 64
_MAX_RATIO: Final = 200
_RATIO_MATTERS_FROM: Final = 10 << 20
_MAX_SMALL_PART: Final = 16 << 20
_BLOCK: Final = 1 << 16
_NOT_PLAIN: Final = 0x61
"""Flags of encrypted or patched entries (APPNOTE.TXT of ZIP, 4.4.4)."""


def damaged() -> SheetRefused:
    """The refusal of a file that cannot be read as a workbook."""
    return SheetRefused(_("The file is damaged, or not a workbook (XLSX)."))


def too_much() -> SheetRefused:
    return SheetRefused(_("The workbook would unpack to far more than a sheet of attendance has."))


def whole_number(text: str) -> int:
    """A number without a sign as XML writes it, which is stricter than Python. Raises ValueError."""
    if not (text.isascii() and text.isdigit()):
        raise ValueError(text)
    return int(text)


# --- The package


class _Directory:
    """A stream that limits ``zipfile``, which would read a whole directory at once, however large it is."""

    def __init__(self, stream: BinaryIO) -> None:
        self.seek, self.tell, self.seekable = stream.seek, stream.tell, stream.seekable
        self._read = stream.read

    def read(self, size: int = -1) -> bytes:
        """The next ``size`` bytes, or all that are left. Raises SheetRefused if it would be too many."""
        if size > _MAX_DIRECTORY:
            raise SheetRefused(_("The file is a ZIP file with more parts than any workbook has."))
        return self._read(_MAX_DIRECTORY if size < 0 else size)


class Package:
    """The parts in a ZIP file. Their unpacked size is counted; the size that the file states is not trusted."""

    def __init__(self, stream: BinaryIO) -> None:
        self._archive = zipfile.ZipFile(cast(IO[bytes], _Directory(stream)))
        self._entries = {_normalised(entry.filename): entry for entry in self._archive.infolist()}
        packed = stream.seek(0, io.SEEK_END)
        if not all(0 <= entry.header_offset < packed for entry in self._entries.values()):
            raise damaged()
        self._left = min(settings.MUSTER_MAX_SHEET_BYTES, max(_RATIO_MATTERS_FROM, _MAX_RATIO * packed))

    def require_workbook(self) -> None:
        """Raise SheetRefused for a file that has the parts of something else, or none of a workbook."""
        if "mimetype" in self:
            kind = next(self.blocks("mimetype"), b"")[:_MIME_TYPE]
            if b"opendocument.spreadsheet" in kind:
                raise SheetRefused(_("This is an OpenDocument sheet (.ods). Save it as .xlsx or as CSV UTF-8."))
        if any(name.endswith(".iwa") or name == "index.zip" for name in self._entries):
            raise SheetRefused(_("This is a document of Apple’s iWork. In Numbers, export it to Excel or CSV."))
        if "_rels/.rels" not in self:
            raise SheetRefused(_("This is a ZIP file, not a workbook (XLSX): unpack it, and send the sheet in it."))
        if "word/document.xml" in self or "ppt/presentation.xml" in self:
            raise SheetRefused(_("This is a document or a presentation, not a workbook: send CSV or XLSX."))

    def __contains__(self, part: str) -> bool:
        return _normalised(part) in self._entries

    def blocks(self, part: str) -> Iterator[bytes]:
        """The unpacked content of a part, in blocks."""
        entry = self._entries[_normalised(part)]
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or entry.flag_bits & _NOT_PLAIN:
            raise SheetRefused(_("The workbook is packed in a way that spreadsheets do not use."))
        with self._archive.open(entry) as file:
            while block := file.read(_BLOCK):
                self._left -= len(block)
                if self._left < 0:
                    raise too_much()
                yield block

    def elements(self, part: str, *names: str) -> Iterator[Element]:
        """The elements with these names in a small part, in order."""
        if self._entries[_normalised(part)].file_size > _MAX_SMALL_PART:
            raise too_much()
        return ElementReader(names).read(self.blocks(part))

    def related(self, part: str = "") -> dict[str, tuple[str, str]]:
        """The kinds and names of the parts that a part, or the package, refers to, by id (Part 2, 9.3)."""
        folder, name = posixpath.split(part)
        return {
            attributes["Id"]: (attributes["Type"].rpartition("/")[2], posixpath.join(folder, attributes["Target"]))
            for _name, attributes in self.elements(f"{folder}/_rels/{name}.rels", "Relationship")
        }


def _normalised(name: str) -> str:
    """The name of a part from the root, in lower case."""
    return posixpath.normpath("/" + name.replace("\\", "/")).lower().lstrip("/")


# --- Their XML

_NAMESPACES: Final = (
    "http://schemas.openxmlformats.org/spreadsheetml/2006/main",
    "http://purl.oclc.org/ooxml/spreadsheetml/main",
    "http://schemas.openxmlformats.org/package/2006/relationships",
)


Starts = Callable[[dict[str, str]], None]
"""A function that gets the attributes of an element that starts."""
Ends = Callable[[], None]


class PartReader(Generic[Item]):
    """Reads a part. Subclasses handle elements of some names, and put what they make of them in ``items``."""

    def __init__(self, starts: Mapping[str, Starts], ends: Mapping[str, Ends]) -> None:
        self.items: list[Item] = []
        self._start_of = {f"{namespace} {name}": told for name, told in starts.items() for namespace in _NAMESPACES}
        self._end_of = {f"{namespace} {name}": told for name, told in ends.items() for namespace in _NAMESPACES}
        self._depth = 0
        self._parser = expat.ParserCreate(namespace_separator=" ")
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._starts
        self._parser.EndElementHandler = self._ends
        self._parser.StartDoctypeDeclHandler = self._document_type  # no workbook has one, and its entities could grow
        self._parser.StartNamespaceDeclHandler = self._namespace  # so that the parser keeps their names too

    def read(self, blocks: Iterable[bytes]) -> Iterator[Item]:
        """The items in a part, while it is read."""
        fed = 0
        for block in blocks:
            fed += len(block)
            self._parser.Parse(block)
            # The parser keeps a tag that does not end, and reads it again with every block.
            if fed - self._parser.CurrentByteIndex > _MAX_TAG or len(self._parser.intern) > _MAX_NAMES:
                raise damaged()
            yield from self.items
            self.items.clear()
        self._parser.Parse(b"", True)

    def _starts(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise damaged()
        if told := self._start_of.get(tag):
            told(attributes)

    def _ends(self, tag: str) -> None:
        self._depth -= 1
        if told := self._end_of.get(tag):
            told()

    def _document_type(self, *_declaration: object) -> None:
        raise damaged()

    def _namespace(self, *_declaration: object) -> None:
        """Do nothing. With a handler, the parser counts the name among those that it keeps."""


class ElementReader(PartReader[Element]):
    """Finds elements by their names."""

    def __init__(self, names: Iterable[str]) -> None:
        super().__init__({name: partial(self._add, name) for name in names}, {})

    def _add(self, name: str, attributes: dict[str, str]) -> None:
        self.items.append((name, attributes))


class TextReader(PartReader[Item]):
    """Collects text, which stands in ``t`` and ``v``, without the phonetic runs (``rPh``)."""

    def __init__(self, starts: Mapping[str, Starts], ends: Mapping[str, Ends]) -> None:
        super().__init__(
            {"t": self._text_starts, "v": self._text_starts, "rPh": self._phonetic_starts, **starts},
            {"t": self._text_ends, "v": self._text_ends, "rPh": self._phonetic_ends, **ends},
        )
        self._pieces: list[str] = []
        self._length = 0
        self._is_phonetic = False
        self.has_text = False

    def taken(self) -> str:
        """The text since the last call."""
        text = "".join(self._pieces)
        self._pieces.clear()
        self._length = 0
        self.has_text = False
        return text

    def _text_starts(self, _attributes: dict[str, str]) -> None:
        if not self._is_phonetic:
            self.has_text = True
            self._parser.CharacterDataHandler = self._add

    def _text_ends(self) -> None:
        self._parser.CharacterDataHandler = None

    def _phonetic_starts(self, _attributes: dict[str, str]) -> None:
        self._is_phonetic = True

    def _phonetic_ends(self) -> None:
        self._is_phonetic = False

    def _add(self, text: str) -> None:
        self._pieces.append(text)
        self._length += len(text)
        if self._length > _MAX_TEXT:
            raise SheetRefused(
                _("A cell is longer than %(count)s characters: this is not a table of attendance.")
                % {"count": f"{_MAX_TEXT:,}"}
            )


class SharedTextReader(TextReader[str]):
    """The texts that cells refer to by number (18.4.8)."""

    def __init__(self) -> None:
        super().__init__({}, {"si": self._item_ends})
        self._size = 0

    def _item_ends(self) -> None:
        text = read_xlsx(self.taken())
        self._size += sys.getsizeof(text)
        if self._size > MAX_SHARED_TEXTS:
            raise SheetRefused(
                _("The workbook has more text than is read at once. Save it as CSV UTF-8, which is read row by row.")
            )
        self.items.append(text)
