"""Documents: what can be read is shown to the model as text, all else is refused with a sentence, within limits."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from typing import Any

import docx
import pytest
from openpyxl import Workbook
from pypdf import PdfWriter

from outcrop.errors import AwsError
from outcrop.inference import documents
from outcrop.inference.operations import converse
from tests.inference.bench import Bench, user


def document(kind: str, data: bytes, name: str = "report", **changes: Any) -> dict[str, Any]:
    return {"document": {"name": name, "format": kind, "source": {"bytes": data}, **changes}}


def pdf(*pages: str) -> bytes:
    """A PDF of one line of text a page, written by hand."""
    kids = " ".join(f"{4 + 2 * n} 0 R" for n in range(len(pages)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for n, text in enumerate(pages):
        stream = f"BT /F1 12 Tf 72 700 Td ({text}) Tj ET".encode()
        objects += [
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents {5 + 2 * n} 0 R "
            "/Resources << /Font << /F1 3 0 R >> >> >>".encode(),
            b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        ]
    out = bytearray(b"%PDF-1.4\n")
    places = []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, table)
    return bytes(out)


def word() -> bytes:
    file = docx.Document()
    file.add_paragraph("First")
    table = file.add_table(1, 2)
    table.cell(0, 0).text, table.cell(0, 1).text = "left", "right"
    file.add_paragraph("Last")
    out = io.BytesIO()
    file.save(out)
    return out.getvalue()


def sheet() -> bytes:
    book = Workbook()
    page = book.active
    assert page is not None
    page.title = "Sums"
    page.append(["a", 1, None])
    page.append([None, None, None])
    page.append(["b", 2.5, None])
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


HTML = b"<html><head><style>p{}</style><title>T</title></head><body><p>One &amp; two</p><script>no()</script>x</body>"


@pytest.mark.parametrize(
    ("kind", "data", "text"),
    [
        ("txt", "\ufeffGrüße".encode(), "Grüße"),
        ("md", b"# Head\n", "# Head"),
        ("csv", b"a,b\n1,2", "a,b\n1,2"),
        ("html", HTML, "T\nOne & two\nx"),
        ("pdf", pdf("Hello", "World"), "Hello\n\nWorld"),
        ("docx", word(), "First\nleft | right\nLast"),
        ("xlsx", sheet(), "Sheet: Sums\na | 1\nb | 2.5"),
    ],
)
def test_what_can_be_read_is_shown(bench: Bench, kind: str, data: bytes, text: str) -> None:
    bench.call(converse, messages=[user("Sum up", document(kind, data))])
    assert bench.asked_texts == ["Sum up", f'<document name="report" format="{kind}">\n{text}\n</document>']


def bomb() -> bytes:
    """A file within the limit that unpacks to more than 200 MiB."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with_much = archive.open("word/document.xml", "w")
        for _ in range(201):
            with_much.write(bytes(1024 * 1024))
        with_much.close()
    assert len(out.getvalue()) < documents.LARGEST
    return out.getvalue()


def crowd() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for n in range(10_001):
            archive.writestr(str(n), b"")
    return out.getvalue()


def locked() -> bytes:
    writer = PdfWriter()
    writer.add_blank_page(10, 10)
    writer.encrypt("secret", algorithm="RC4-128")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def endless() -> bytes:
    """A page tree that is its own child."""
    return pdf("x").replace(b"/Kids [4 0 R]", b"/Kids [2 0 R]")


@pytest.mark.parametrize(
    ("kind", "data", "words"),
    [
        ("doc", b"x", "Save it as docx"),
        ("xls", b"x", "Save it as xlsx"),
        ("", b"x", "has no format"),
        ("txt", b"\xff\xfe\x00", "not UTF-8"),
        ("pdf", b"no pdf", "could not be read"),
        ("pdf", pdf("Hello")[:80], "could not be read"),
        ("pdf", locked, "password"),
        ("pdf", pdf(*["x"] * 101), "101 pages, and the maximum is 100"),
        ("docx", b"PK no zip", "not a valid file"),
        ("docx", bomb, "unpacks to too much"),
        ("xlsx", crowd, "unpacks to too much"),
        ("xlsx", word(), "not a valid file"),
        ("txt", bytes(documents.LARGEST + 1), "bytes long. The maximum is 4718592"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_read_is_refused(bench: Bench, kind: str, data: bytes | Callable[[], bytes], words: str) -> None:
    content = data() if callable(data) else data
    with pytest.raises(AwsError, match=words) as caught:
        bench.call(converse, messages=[user("Sum up", document(kind, content))])
    assert caught.value.code == "ValidationException"
    assert bench.engine.asked == []


def test_an_endless_pdf_comes_to_an_end(bench: Bench) -> None:
    with pytest.raises(AwsError, match="could not be read"):
        bench.call(converse, messages=[user("Sum up", document("pdf", endless()))])


def test_a_reader_that_takes_too_long_is_stopped(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "SECONDS", 0.001)
    with pytest.raises(AwsError, match="took longer than"):
        bench.call(converse, messages=[user("Sum up", document("pdf", pdf("x")))])


def test_a_text_that_is_too_long_is_refused(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "LONGEST_TEXT", 10)
    with pytest.raises(AwsError, match="its text is too long"):
        bench.call(converse, messages=[user("Sum up", document("html", b"<p>" + b"word " * 100))])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([document("txt", b"x")], "A text block must be included"),
        (["a", *(document("txt", b"x", f"n{n}") for n in range(6))], "has 6 documents"),
        (["a", document("txt", b"x"), document("md", b"y")], "names must be unique"),
        (["a", document("txt", b"x", "a  b")], "document file name"),
        (["a", document("txt", b"x", "a.txt")], "document file name"),
        (["a", document("txt", b"x", citations={"enabled": True})], "citations"),
        (["a", document("txt", b"", source={"s3Location": {"uri": "s3://b/k"}})], "s3Location .* is not built"),
        (["a", document("txt", b"", source={"text": "x"})], "must set one of the following keys"),
    ],
)
def test_rules(bench: Bench, content: list[Any], words: str) -> None:
    with pytest.raises(AwsError, match=words):
        bench.call(converse, messages=[user(*content)])
    assert bench.engine.asked == []


def test_a_name_within_the_rules(bench: Bench) -> None:
    bench.call(converse, messages=[user("a", document("txt", b"x", "Report (2) [final]-v1"))])
    assert 'name="Report (2) [final]-v1"' in bench.asked_texts[1]
