"""A program: `python -m outcrop.inference.extraction FORMAT LIMIT` reads a document on stdin and prints its text.

It exists to be killed. Status 0: the text. Status 2: a sentence about what is wrong. Anything else: it ran into a limit
or a fault of the reading library.
"""

from __future__ import annotations

import contextlib
import io
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping
from html.parser import HTMLParser

MEMORY_BYTES = 1024 * 1024 * 1024
CPU_SECONDS = 25
MOST_PAGES = 100
UNPACKED_BYTES = 200 * 1024 * 1024
MOST_FILES = 10_000


class Refused(Exception):
    """A sentence for the caller."""


def main() -> None:
    kind, limit = sys.argv[1], int(sys.argv[2])
    _limit_this_process()
    try:
        _write(READERS[kind](sys.stdin.buffer.read()), limit)
    except Refused as problem:
        _end(str(problem), 2)
    except (Exception, RecursionError):  # whatever a library makes of a hostile file
        _end("it is not a valid file of that format", 2)


def _write(pieces: Iterator[str], limit: int) -> None:
    text = io.StringIO()
    for piece in pieces:
        text.write(piece)
        if text.tell() > limit:
            raise Refused("its text is too long")
    sys.stdout.buffer.write(text.getvalue().encode("utf-8", "replace"))


def _end(sentence: str, status: int) -> None:
    sys.stdout.buffer.write(sentence.encode())
    sys.stdout.buffer.flush()
    sys.exit(status)


def _limit_this_process() -> None:
    """Where the system has such limits; elsewhere the parent's clock alone holds."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


def pdf(data: bytes) -> Iterator[str]:
    from pypdf import PdfReader

    reader = PdfReader(io.BytesIO(data))
    if reader.is_encrypted and not reader.decrypt(""):
        raise Refused("it is protected by a password")
    if len(reader.pages) > MOST_PAGES:
        raise Refused(f"it has {len(reader.pages)} pages, and the maximum is {MOST_PAGES}")
    for page in reader.pages:
        yield page.extract_text() + "\n\n"


def docx(data: bytes) -> Iterator[str]:
    import docx
    from docx.table import Table

    _check_archive(data)
    for block in docx.Document(io.BytesIO(data)).iter_inner_content():
        if isinstance(block, Table):
            for row in block.rows:
                yield " | ".join(cell.text for cell in row.cells) + "\n"
        else:
            yield block.text + "\n"


def xlsx(data: bytes) -> Iterator[str]:
    """Values as last computed by the program that saved the file, not formulas."""
    from openpyxl import load_workbook

    _check_archive(data)
    for sheet in load_workbook(io.BytesIO(data), read_only=True, data_only=True).worksheets:
        yield f"Sheet: {sheet.title}\n"
        # A file may claim a million empty rows and columns.
        sheet.reset_dimensions()
        for row in sheet.iter_rows(values_only=True):
            cells = ["" if value is None else str(value) for value in row]
            if any(cells):
                yield " | ".join(cells).rstrip(" |") + "\n"


def html(data: bytes) -> Iterator[str]:
    reader = _VisibleText()
    reader.feed(data.decode("utf-8-sig", "replace"))
    reader.close()
    lines = (" ".join(line.split()) for line in "".join(reader.pieces).splitlines())
    yield "\n".join(line for line in lines if line)


class _VisibleText(HTMLParser):
    HIDDEN = frozenset({"script", "style", "template", "noscript"})
    LINES = frozenset(
        {"p", "div", "br", "li", "tr", "h1", "h2", "h3", "h4", "h5", "h6", "section", "article", "table",
         "pre", "title"}
    )  # fmt: skip

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden += tag in self.HIDDEN
        self._space(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.HIDDEN and self._hidden:
            self._hidden -= 1
        self._space(tag)

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.pieces.append(data)

    def _space(self, tag: str) -> None:
        if tag in self.LINES:
            self.pieces.append("\n")
        elif tag in ("td", "th"):
            self.pieces.append(" ")


READERS: Mapping[str, Callable[[bytes], Iterator[str]]] = {"pdf": pdf, "docx": docx, "xlsx": xlsx, "html": html}


def _check_archive(data: bytes) -> None:
    """docx and xlsx are zip archives, and a small one can unpack to anything."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = archive.infolist()
        if len(entries) > MOST_FILES or sum(entry.file_size for entry in entries) > UNPACKED_BYTES:
            raise Refused("it unpacks to too much")


if __name__ == "__main__":
    main()
