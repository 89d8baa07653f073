"""GSM8K (Cobbe et al., 2021), asked with the eight worked examples of Wei et al., 2022."""

from __future__ import annotations

import re
from pathlib import Path

from outcrop.evaluation import data
from outcrop.evaluation.item import Item, Options, Scored, Source, Suite, asked, shots_of
from outcrop.evaluation.suites.numbers import equal, last, numbers

THOUGHT_TOKENS = 512
_FINAL = re.compile(r"The answer is (-?[0-9.,]+)")

# Chain-of-Thought Prompting Elicits Reasoning in Large Language Models, table 20.
EXAMPLES = (
    (
        "There are 15 trees in the grove. Grove workers will plant trees in the grove today. After they are done, there will "
        "be 21 trees. How many trees did the grove workers plant today?",
        "There are 15 trees originally. Then there were 21 trees after some more were planted. So there must have been "
        "21 - 15 = 6. The answer is 6.",
    ),
    (
        "If there are 3 cars in the parking lot and 2 more cars arrive, how many cars are in the parking lot?",
        "There are originally 3 cars. 2 more cars arrive. 3 + 2 = 5. The answer is 5.",
    ),
    (
        "Leah had 32 chocolates and her sister had 42. If they ate 35, how many pieces do they have left in total?",
        "Originally, Leah had 32 chocolates. Her sister had 42. So in total they had 32 + 42 = 74. After eating 35, they had "
        "74 - 35 = 39. The answer is 39.",
    ),
    (
        "Jason had 20 lollipops. He gave Denny some lollipops. Now Jason has 12 lollipops. How many lollipops did Jason give "
        "to Denny?",
        "Jason started with 20 lollipops. Then he had 12 after giving some to Denny. So he gave Denny 20 - 12 = 8. The answer "
        "is 8.",
    ),
    (
        "Shawn has five toys. For Christmas, he got two toys each from his mom and dad. How many toys does he have now?",
        "Shawn started with 5 toys. If he got 2 toys each from his mom and dad, then that is 4 more toys. 5 + 4 = 9. The "
        "answer is 9.",
    ),
    (
        "There were nine computers in the server room. Five more computers were installed each day, from monday to thursday. "
        "How many computers are now in the server room?",
        "There were originally 9 computers. For each of 4 days, 5 more computers were added. So 5 * 4 = 20 computers were "
        "added. 9 + 20 is 29. The answer is 29.",
    ),
    (
        "Michael had 58 golf balls. On tuesday, he lost 23 golf balls. On wednesday, he lost 2 more. How many golf balls did "
        "he have at the end of wednesday?",
        "Michael started with 58 golf balls. After losing 23 on tuesday, he had 58 - 23 = 35. After losing 2 more, he had "
        "35 - 2 = 33 golf balls. The answer is 33.",
    ),
    (
        "Olivia has $23. She bought five bagels for $3 each. How much money does she have left?",
        "Olivia had 23 dollars. 5 bagels for 3 dollars each will be 5 x 3 = 15 dollars. So she has 23 - 15 dollars left. "
        "23 - 15 is 8. The answer is 8.",
    ),
)


def load(folder: Path, options: Options) -> list[Item]:
    """`test.jsonl` of the published data."""
    shots = shots_of(len(EXAMPLES), options)
    head = "".join(f"Q: {question}\nA: {answer}\n\n" for question, answer in EXAMPLES[:shots])
    rows = data.json_lines(data.files(folder, "test.jsonl")[0], "question", "answer")
    return [
        Item(
            str(number),
            asked(f"{head}Q: {row['question']}\nA:", THOUGHT_TOKENS, ("\nQ:",)),
            numbers(row["answer"].rpartition("####")[2])[-1],
            "all",
            str(number),
        )
        for number, row in enumerate(rows)
    ]


def score(item: Item, text: str) -> Scored:
    """`accuracy` wants the examples' "The answer is N", the first one; `flexible` takes the last number, however it is said."""
    final = _FINAL.search(text)
    strict = last(final[1]) if final is not None else None
    flexible = last(text)
    scores = {
        "accuracy": float(equal(strict, item.reference)),
        "flexible": float(equal(flexible, item.reference)),
    }
    return Scored(scores, strict if strict is not None else flexible)


GSM8K = Suite(
    name="gsm8k",
    title="GSM8K",
    field="math",
    metrics=("accuracy", "flexible"),
    protocol=lambda options: (
        f'{shots_of(len(EXAMPLES), options)}-shot chain of thought, "The answer is N"; flexible: the last number'
    ),
    load=load,
    score=score,
    published="Cobbe et al., 2021; examples of Wei et al., Chain-of-Thought Prompting, 2022",
    shots=len(EXAMPLES),
    sources=(
        Source(
            "test.jsonl",
            "https://raw.githubusercontent.com/openai/grade-school-math/master/grade_school_math/data/test.jsonl",
            "3730d312f6e3440559ace48831e51066acaca737f6eabec99bccb9e4b3c39d14",
        ),
    ),
)
