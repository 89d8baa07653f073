"""The worksheet as a file, XLSX or CSV, written and read back."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from outcrop.evaluation.jobs.human.rows import ANSWERS, HOW, Worksheet

if TYPE_CHECKING:
    from openpyxl.worksheet.worksheet import Worksheet as Sheet

COLUMNS = (
    "row", "dataset", "line", "prompt", "reference", "response 1", "response 2", "question", "how to answer", "answer", "worker",
)  # fmt: skip
ANSWER, WORKER = COLUMNS.index("answer"), COLUMNS.index("worker")
TITLE = "worksheet"
# What a cell of Excel holds.
LONGEST_CELL = 32_000
# A file that was filled in: packed, opened, and its rows.
LARGEST_FILE, LARGEST_BYTES, MOST_ROWS = 64 * 1024 * 1024, 256 * 1024 * 1024, 200_000
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class NotAWorksheet(Exception):
    """A sentence about a file that cannot be read."""


def lines(sheet: Worksheet) -> list[list[str]]:
    """One for each row, without an answer; `row` counts from 1."""
    found = []
    for number, row in enumerate(sheet.rows, 1):
        loop = sheet.loops[row.loop]
        shown = [loop.responses[at][1] for at in row.shown]
        about = sheet.descriptions[row.metric]
        found.append([
            str(number), loop.dataset, str(loop.line), loop.prompt, loop.reference, shown[0],
            shown[1] if len(shown) > 1 else "", f"{row.metric}: {about}" if about else row.metric, HOW[row.method], "", "",
        ])  # fmt: skip
    return [[cut(cell) for cell in line] for line in found]


def cut(text: str) -> str:
    """As it can stand in a cell of either format: no control characters, not too long."""
    clean = "".join(
        c for c in text.replace("\r\n", "\n").replace("\r", "\n") if c in "\n\t" or c.isprintable() or c > "~"
    )
    return clean if len(clean) <= LONGEST_CELL else clean[:LONGEST_CELL] + " [cut]"


def to_csv(sheet: Worksheet) -> bytes:
    """With a byte order mark, by which Excel knows UTF-8."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    writer.writerows([_harmless(cell) for cell in line] for line in lines(sheet))
    return b"\xef\xbb\xbf" + text.getvalue().encode()


def _harmless(cell: str) -> str:
    """A spreadsheet must not take what a model said for a formula."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def to_xlsx(sheet: Worksheet) -> bytes:
    """Only answers can be written in it, from a list where there is one."""
    from openpyxl import Workbook
    from openpyxl.styles import Alignment, Font, PatternFill, Protection

    book = Workbook()
    page: Any = book.active
    page.title = TITLE
    page.append(COLUMNS)
    for cell in page[1]:
        cell.font = Font(bold=True)
    for at, line in enumerate(lines(sheet), 2):
        for column, text in enumerate(line, 1):
            cell = page.cell(at, column)
            cell.value = text
            # Also what begins like a formula.
            cell.data_type = "s" if text else "n"
            cell.alignment = Alignment(wrap_text=True, vertical="top")
            if column - 1 in (ANSWER, WORKER):
                cell.protection = Protection(locked=False)
                cell.fill = PatternFill("solid", fgColor="FFF8DC")
    _offer(page, sheet)
    for letter, width in zip("ABCDEFGHIJK", (6, 16, 6, 50, 30, 50, 50, 30, 30, 12, 14), strict=True):
        page.column_dimensions[letter].width = width
    page.freeze_panes = "A2"
    page.protection.sheet = True
    guide: Any = book.create_sheet("instructions")
    guide["A1"] = (
        cut(sheet.instructions) or "Answer each row in the column `answer`, as its column `how to answer` says."
    )
    guide["A1"].data_type = "s"
    made = io.BytesIO()
    book.save(made)
    return made.getvalue()


def _offer(page: Sheet, sheet: Worksheet) -> None:
    from openpyxl.worksheet.datavalidation import DataValidation

    for method, answers in ANSWERS.items():
        places = [at for at, row in enumerate(sheet.rows, 2) if row.method == method]
        # A list in Excel is divided by commas, which a rank has too.
        if not places or any("," in answer for answer in answers):
            continue
        offer = DataValidation(type="list", formula1=f'"{",".join(answers)}"', allow_blank=True)
        for at in places:
            offer.add(page.cell(at, ANSWER + 1))
        page.add_data_validation(offer)


def read(body: bytes, name: str) -> list[list[str]]:
    """The lines of a file that came back, without the first, as long as all columns. NotAWorksheet."""
    if len(body) > LARGEST_FILE:
        raise NotAWorksheet(f"The file has {len(body)} bytes; a worksheet may have {LARGEST_FILE}.")
    found = _xlsx(body) if name.lower().endswith(".xlsx") else _csv(body)
    if not found or [cell.strip().lower() for cell in found[0][: len(COLUMNS)]] != list(COLUMNS):
        raise NotAWorksheet(f"The first line must have the columns {', '.join(COLUMNS)}.")
    rows = [[*line, *[""] * len(COLUMNS)][: len(COLUMNS)] for line in found[1:]]
    return [row for row in rows if any(cell.strip() for cell in row)]


def _csv(body: bytes) -> list[list[str]]:
    try:
        text = body.decode("utf-8-sig")
        first = text.partition("\n")[0]
        # Excel writes semicolons where a comma is what divides a number.
        read = csv.reader(io.StringIO(text, newline=""), delimiter=";" if first.count(";") > first.count(",") else ",")
        return [[cell[1:] if cell[:1] == "'" and cell[1:2] in _FORMULA else cell for cell in line] for line in read]
    except (UnicodeDecodeError, csv.Error) as problem:
        raise NotAWorksheet(f"The file cannot be read as CSV in UTF-8: {problem}") from None


def _xlsx(body: bytes) -> list[list[str]]:
    from openpyxl import load_workbook

    try:
        with zipfile.ZipFile(io.BytesIO(body)) as packed:
            if sum(one.file_size for one in packed.infolist()) > LARGEST_BYTES:
                raise NotAWorksheet(f"Unpacked, the file has more than {LARGEST_BYTES} bytes.")
        book = load_workbook(io.BytesIO(body), read_only=True, data_only=True)
        page: Any = book[TITLE] if TITLE in book.sheetnames else book.worksheets[0]
        return [
            [_text(cell) for cell in line]
            for line in page.iter_rows(max_row=MOST_ROWS, max_col=len(COLUMNS), values_only=True)
        ]
    except NotAWorksheet:
        raise
    except Exception as problem:
        # Whatever a damaged file makes the reader stumble over.
        raise NotAWorksheet(f"The file cannot be read as XLSX: {problem}") from None


def _text(cell: object) -> str:
    """Excel makes a number of what looks like one."""
    if cell is None:
        return ""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


def same(one: Sequence[str], other: Sequence[str]) -> list[str]:
    """The columns in which two lines differ, answers aside; programs turn line breaks and spaces at ends."""
    return [
        name
        for at, name in enumerate(COLUMNS)
        if at not in (ANSWER, WORKER) and " ".join(one[at].split()) != " ".join(other[at].split())
    ]
