"""Document blocks: the rules for them, and their text as the model is shown it.

The formats are read by their maintained libraries in a process of its own (`extraction.py`), with limits on memory and
time: whoever may send a prompt may send a file made to hang its reader.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from outcrop.errors import ValidationException
from outcrop.inference.failures import ModelRefused
from outcrop.shapes.bedrock_runtime import DocumentBlock, Message

MOST = 5
LARGEST = 4_718_592  # 4.5 MiB
LONGEST_TEXT = 20_000_000  # bytes of extracted text
SECONDS = 30.0
# Bedrock's list does not name the underscore, but its check lets it pass.
_NAME = re.compile(r"[A-Za-z0-9_\-()\[\]]+(?:\s[A-Za-z0-9_\-()\[\]]+)*")
PLAIN = frozenset({"txt", "md", "csv"})
EXTRACTED = frozenset({"pdf", "docx", "xlsx", "html"})

_readers: list[asyncio.Semaphore] = []


@dataclass(frozen=True, slots=True)
class Document:
    """A document that the rules let pass. `where` is its place in the request."""

    where: str
    name: str
    format: str
    data: bytes


def documents_of(messages: Sequence[Message], *, named: bool) -> list[Document]:
    """All documents in order. ValidationException at the first broken rule; `named` brings in those about names."""
    found = list(_blocks(messages, named))
    check_number(len(found))
    if named:
        _check_names([block["name"] for _, block in found])
    return [_checked(where, block) for where, block in found]


async def texts_of(documents: Sequence[Document]) -> dict[str, str]:
    """What the model is shown for each document, by its place."""
    return {document.where: _shown(document, await _text(document)) for document in documents}


def _check_names(names: Sequence[str]) -> None:
    if any(_NAME.fullmatch(name) is None for name in names):
        raise ValidationException(
            "The document file name can only contain alphanumeric characters, whitespace characters, hyphens, "
            "parentheses, and square brackets. The name can't contain more than one consecutive whitespace character. "
            "Check that the file name conforms to these restrictions and retry your request."
        )
    if len(set(names)) < len(names):
        raise ValidationException(
            "Document names must be unique within a request. Rename the documents that share a name and try again."
        )


def check_number(number: int) -> None:
    if number > MOST:
        raise ValidationException(
            f"The request has {number} documents. The model accepts up to {MOST}. Remove some of them and try again."
        )


def check_size(data: bytes, where: str) -> None:
    if len(data) > LARGEST:
        raise ValidationException(
            f"The document at {where} is {len(data)} bytes long. The maximum is {LARGEST} bytes (4.5 MB)."
        )


def _blocks(messages: Sequence[Message], beside_text: bool) -> Iterator[tuple[str, DocumentBlock]]:
    for i, message in enumerate(messages):
        for j, block in enumerate(message["content"]):
            where = f"messages.{i}.content.{j}"
            if "document" in block:
                if beside_text and not any("text" in sibling for sibling in message["content"]):
                    raise ValidationException(
                        f"A text block must be included with the document at {where}. Add a text block and try again."
                    )
                yield f"{where}.document", block["document"]
            for k, inner in enumerate(block["toolResult"]["content"] if "toolResult" in block else ()):
                if "document" in inner:
                    yield f"{where}.toolResult.content.{k}.document", inner["document"]


def _checked(where: str, block: DocumentBlock) -> Document:
    if block.get("citations", {}).get("enabled"):
        raise ValidationException("This model doesn't support citations.")
    source = block["source"]
    if "s3Location" in source:
        raise ValidationException(
            f"The s3Location at {where}.source is not built in this version of Outcrop. Send bytes."
        )
    if "bytes" not in source:
        # Bedrock takes text and content sources only together with citations.
        raise ValidationException(
            f"DocumentSource object at {where}.source must set one of the following keys: bytes, s3Location."
        )
    return document(where, block["name"], block.get("format", ""), source["bytes"])


def document(where: str, name: str, kind: str, data: bytes) -> Document:
    """A document of either wire format; ValidationException for a format that cannot be read or too large a file."""
    if kind in ("doc", "xls"):
        raise ValidationException(
            f"The document at {where} has the format {kind}, which cannot be read. Save it as {kind}x and try again."
        )
    if kind not in PLAIN | EXTRACTED:
        raise ValidationException(f"The document at {where} has no format. Add one and try again.")
    check_size(data, where)
    return Document(where, name, kind, data)


def _shown(document: Document, text: str) -> str:
    name = document.name.replace('"', "'")
    return f'<document name="{name}" format="{document.format}">\n{text.strip()}\n</document>'


async def _text(document: Document) -> str:
    if document.format in PLAIN:
        try:
            return document.data.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise _unreadable(document, "it is not UTF-8 text") from None
    return await _extracted(document)


async def _extracted(document: Document) -> str:
    """One reader at a time: documents are rare, and generations need the cores."""
    if not _readers:
        _readers.append(asyncio.Semaphore(1))
    async with _readers[0]:
        status, output = await _run(document)
    text = output.decode("utf-8", "replace")
    if status is None:
        raise _unreadable(document, f"reading it took longer than {SECONDS:.0f} seconds")
    if status != 0:
        raise _unreadable(document, text.strip() if status == 2 and text.strip() else "it is damaged or too large")
    return text


async def _run(document: Document) -> tuple[int | None, bytes]:
    """Exit status and output of the reading process; None where it took too long."""
    # -I and a module of ours alone: nothing of the current folder or of PYTHON* variables gets into the reader.
    command = (sys.executable, "-I", "-m", "outcrop.inference.extraction", document.format, str(LONGEST_TEXT))
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(document.data), SECONDS)
    except TimeoutError:
        return None, b""
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return process.returncode, output


def _unreadable(document: Document, why: str) -> ValidationException:
    return ModelRefused(f"{document.where}: The {document.format} file could not be read: {why}.")
