"""What came back, held against what went out: every row answered, and nothing else changed."""

from __future__ import annotations

from collections.abc import Sequence

from outcrop.evaluation.jobs.human import sheet
from outcrop.evaluation.jobs.human.rows import ANSWERS, HOW, RANK, Row, Worksheet

SHOWN_PROBLEMS = 50


class Problems(Exception):
    """Sentences, each with the number of its row."""

    def __init__(self, sentences: Sequence[str]) -> None:
        super().__init__("\n".join(sentences))
        self.sentences = list(sentences)


def rated(out: Worksheet, body: bytes, name: str) -> list[tuple[str, str]]:
    """Answer and worker of each row, in the order of the worksheet. Problems if one is missing, wrong or not ours."""
    try:
        lines = sheet.read(body, name)
    except sheet.NotAWorksheet as problem:
        raise Problems([str(problem)]) from None
    went = {line[0]: line for line in sheet.lines(out)}
    problems: list[str] = []
    found: dict[str, tuple[str, str]] = {}
    for line in lines:
        number = line[0].strip()
        if number not in went:
            problems.append(f"Row {number or '(without a number)'}: the worksheet has no such row.")
        elif number in found:
            problems.append(f"Row {number}: it is there twice.")
        else:
            found[number] = (line[sheet.ANSWER], line[sheet.WORKER].strip())
            if changed := sheet.same(line, went[number]):
                problems.append(
                    f"Row {number}: its {', '.join(changed)} was changed. Only the answer may be filled in."
                )
    made = []
    for at, row in enumerate(out.rows, 1):
        if str(at) not in found:
            problems.append(f"Row {at}: it is missing.")
            continue
        answer, worker = found[str(at)]
        read = _answer(row, answer)
        if read is None:
            said = f"{answer.strip()[:50]!r} is no answer" if answer.strip() else "it has no answer"
            problems.append(f"Row {at}: {said}; give {HOW[row.method]}.")
        else:
            made.append((read, worker))
    if problems:
        more = len(problems) - SHOWN_PROBLEMS
        raise Problems([*problems[:SHOWN_PROBLEMS], *([f"And {more} more."] if more > 0 else [])])
    return made


def _answer(row: Row, text: str) -> str | None:
    said = text.strip().lower().replace(" ", "")
    # A program may write a rank as a number: 1,2 in German is one and a fifth.
    if row.method == RANK:
        said = said.replace(";", ",").replace(".", ",").replace(">", ",")
    return said if said in ANSWERS[row.method] else None
