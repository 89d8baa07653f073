"""What each suite asks, word for word, and what it says of data that is not as published."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import msgspec
import pytest

from outcrop.evaluation.item import EvaluationError, Options
from outcrop.evaluation.suites import SUITES, chosen, programs
from outcrop.evaluation.suites.choices import answer_line, first_letter, mmlu_pro_letter
from tests.evaluation.benchmarks import items_of, write_gpqa, write_ifeval, write_lines, write_mbpp, write_mmlu_pro


def write_mmlu(folder: Path) -> None:
    for part, rows in (("dev", 5), ("test", 2)):
        (folder / part).mkdir()
        lines = [f'"What, then, is {n}?",a{n},b{n},c{n},d{n},{"ABCD"[n % 4]}\n' for n in range(rows)]
        (folder / part / f"college_physics_{part}.csv").write_text("".join(lines))


def test_mmlu_s_prompt(tmp_path: Path) -> None:
    write_mmlu(tmp_path)
    first, second = SUITES["mmlu"].load(tmp_path, Options(shots=1))
    assert first.prompt.turns[0].text == (
        "The following are multiple choice questions (with answers) about  college physics.\n\n"
        "What, then, is 0?\nA. a0\nB. b0\nC. c0\nD. d0\nAnswer: A\n\n"
        "What, then, is 0?\nA. a0\nB. b0\nC. c0\nD. d0\nAnswer:"
    )
    assert (second.id, second.group, second.reference) == ("college_physics/1", "college_physics", "B")
    assert SUITES["mmlu"].load(tmp_path, Options())[0].prompt.turns[0].text.count("Answer:") == 6
    assert SUITES["mmlu"].load(tmp_path, Options(shots=0))[0].prompt.turns[0].text.count("Answer:") == 1


def test_mmlu_of_subjects(tmp_path: Path) -> None:
    items = items_of("mmlu", Options(groups=("anatomy", "virology")))
    assert {item.group for item in items} == {"anatomy", "virology"}
    with pytest.raises(EvaluationError, match="called alchemy"):
        items_of("mmlu", Options(groups=("alchemy",)))
    write_mmlu(tmp_path)
    (tmp_path / "test" / "college_physics_test.csv").write_text("Only a question?,yes\n")
    with pytest.raises(EvaluationError, match="a row of 2 columns"):
        SUITES["mmlu"].load(tmp_path, Options())
    (tmp_path / "dev" / "college_physics_dev.csv").write_text("Q?,a,b,c,d,A\n")
    with pytest.raises(EvaluationError, match="has 1 examples, and 5 are wanted"):
        SUITES["mmlu"].load(tmp_path, Options())


def test_mmlu_pro_s_prompt(tmp_path: Path) -> None:
    write_mmlu_pro(tmp_path, 1)
    (item,) = SUITES["mmlu-pro"].load(tmp_path, Options(shots=1))
    assert item.prompt.turns[0].text == (
        "The following are multiple choice questions (with answers) about physics. Think step by step and then finish your "
        'answer with "the answer is (X)" where X is the correct letter choice.\n\n\n\n'
        "Question:\nWhat follows 0?\nOptions:\nA. one\nB. two\nC. three\n"
        "Answer: Let's think step by step. Two is next. The answer is (B).\n\n"
        "Question:\nWhat comes after 0?\nOptions:\n"
        + "".join(f"{letter}. option {n}\n" for n, letter in enumerate("ABCDEFGHIJ"))
        + "Answer: Let's think step by step."
    )
    assert item.prompt.stop == ("Question:",)
    with pytest.raises(EvaluationError, match="has 5"):
        SUITES["mmlu-pro"].load(tmp_path, Options(shots=6))
    write_lines(tmp_path / "validation.jsonl", [])
    with pytest.raises(EvaluationError, match="There are 0 examples of physics"):
        SUITES["mmlu-pro"].load(tmp_path, Options())


def test_gpqa_s_prompt(tmp_path: Path) -> None:
    write_gpqa(tmp_path)
    items = SUITES["gpqa-diamond"].load(tmp_path, Options())
    text = items[3].prompt.turns[0].text
    assert text.startswith(
        "Answer the following multiple choice question. The last line of your response should be of the following format: "
        "'Answer: $LETTER' (without quotes) where LETTER is one of ABCD. Think step by step before answering.\n\n"
        "How heavy is stone 3?\nIn grams.\n\nA) "
    )
    assert f"{items[3].reference}) 3 grams" in text.split("\n")
    assert {"4 grams, or more", '"5" grams', "6 grams"} <= {line[3:] for line in text.split("\n")}
    assert items == SUITES["gpqa-diamond"].load(tmp_path, Options())
    other = SUITES["gpqa-diamond"].load(tmp_path, Options(seed=1))
    assert [item.reference for item in items] != [item.reference for item in other]
    only = SUITES["gpqa-diamond"].load(tmp_path, Options(groups=("Physics",)))
    assert len(only) == 20


def test_gpqa_is_the_reader_s_own(tmp_path: Path) -> None:
    write_gpqa(tmp_path, "main")
    with pytest.raises(EvaluationError, match="get your own copy"):
        SUITES["gpqa-diamond"].load(tmp_path, Options())
    (tmp_path / "gpqa_diamond.csv").write_text("Question,Correct Answer\nWhy?,So\n")
    with pytest.raises(EvaluationError, match="no column Incorrect Answer 1"):
        SUITES["gpqa-diamond"].load(tmp_path, Options())


def test_gsm8k_s_prompt() -> None:
    text = items_of("gsm8k")[0].prompt.turns[0].text
    assert text.startswith("Q: There are 15 trees in the grove. Grove workers will plant trees in the grove today. ")
    assert text.count("\nA: ") == 8
    assert text.count("The answer is ") == 8
    assert text.endswith("\nA:")
    assert items_of("gsm8k", Options(shots=0))[0].prompt.turns[0].text.startswith("Q: Janet")
    with pytest.raises(EvaluationError, match="9 examples are wanted, and the published protocol has 8"):
        items_of("gsm8k", Options(shots=9))


def test_mgsm_s_prompt() -> None:
    item = items_of("mgsm", Options(groups=("de",)))[0]
    assert item.prompt.turns[0].text.startswith(
        "Löse dieses Mathematikproblem. Gib die Schritte zur Begründung an, bevor du die endgültige Antwort in der letzten "
        'Zeile alleine im Format "Antwort:" gibst. Füge nichts anderes als die ganzzahlige Antwort nach "Antwort:" hinzu.\n\n'
    )
    everything = items_of("mgsm")
    assert len(everything) == 2750
    assert len({item.cluster for item in everything}) == 250
    assert [item.id for item in everything if item.cluster == "7"][:2] == ["bn/7", "de/7"]
    # Numbers with commas are the same number in every language.
    assert {item.reference for item in everything if item.cluster == "2"} == {"70000"}
    with pytest.raises(EvaluationError, match="and not xx"):
        items_of("mgsm", Options(groups=("de", "xx")))
    with pytest.raises(EvaluationError, match="has none"):
        items_of("mgsm", Options(shots=8))


def test_mgsm_without_numbers(tmp_path: Path) -> None:
    (tmp_path / "mgsm_de.tsv").write_text("Wie viele?\t3\nOhne Zahl\n")
    with pytest.raises(EvaluationError, match="Line 2"):
        SUITES["mgsm"].load(tmp_path, Options(groups=("de",)))


def test_humaneval_s_prompt() -> None:
    text = items_of("humaneval")[0].prompt.turns[0].text
    assert text.startswith(
        "Read the following function signature and docstring, and fully implement the function described. Your response "
        "should only contain the code for this function.\nfrom typing import List\n"
    )


def test_mbpp_s_prompt(tmp_path: Path) -> None:
    write_mbpp(tmp_path)
    items = SUITES["mbpp"].load(tmp_path, Options(shots=1))
    tests = "assert add_{0}(0) == {0}\nassert add_{0}(1) == {1}\nassert add_{0}(2) == {2}"
    assert items[0].prompt.turns[0].text == (
        "You are an expert Python programmer, and here is your task: Write a function to add 2. Your code should pass these "
        f"tests:\n\n{tests.format(2, 3, 4)}\n[BEGIN]\ndef add_2(x):\r\n  return x + 2\n[DONE]\n\n"
        "You are an expert Python programmer, and here is your task: Write a function to add 11. Your code should pass these "
        f"tests:\n\n{tests.format(11, 12, 13)}\n[BEGIN]\n"
    )
    assert items[0].prompt.stop == ("[DONE]",)
    assert SUITES["mbpp"].load(tmp_path, Options())[0].prompt.turns[0].text.count("[DONE]") == 3
    write_lines(tmp_path / "mbpp.jsonl", [{"task_id": 11, "text": "", "code": "", "test_list": []}])
    with pytest.raises(EvaluationError, match="Task 2 of MBPP"):
        SUITES["mbpp"].load(tmp_path, Options())


def test_mbpp_s_setup_may_use_what_the_answer_defines(tmp_path: Path) -> None:
    write_mbpp(tmp_path, 1)
    (item,) = SUITES["mbpp"].load(tmp_path, Options())
    known = msgspec.structs.replace(item, reference={"setup": "tree = Node(3)", "tests": ["assert tree.value == 3"]})
    answer = "class Node:\n    def __init__(self, value):\n        self.value = value\n[DONE]"
    assert SUITES["mbpp"].score(known, answer).scores == {"pass": 1.0}


def test_ifeval_checks_its_rows_first(tmp_path: Path) -> None:
    write_ifeval(tmp_path)
    items = SUITES["ifeval"].load(tmp_path, Options())
    assert items[1].prompt.turns[0].text == "In capitals, please, and end so."
    row = {"key": 9, "prompt": "?", "instruction_id_list": ["length_constraints:rhymes"], "kwargs": [{}]}
    write_lines(tmp_path / "input_data.jsonl", [row])
    with pytest.raises(
        EvaluationError, match=r"Prompt 9: the instruction length_constraints:rhymes is none of IFEval's"
    ):
        SUITES["ifeval"].load(tmp_path, Options())
    row["instruction_id_list"] = ["length_constraints:number_words"]
    write_lines(tmp_path / "input_data.jsonl", [row | {"kwargs": [{"relation": "at least", "num_words": None}]}])
    with pytest.raises(EvaluationError, match="has no num_words"):
        SUITES["ifeval"].load(tmp_path, Options())


def test_suites_by_name_and_field() -> None:
    assert [suite.name for suite in chosen(["math", "gsm8k", "code"])] == ["gsm8k", "mgsm", "humaneval", "mbpp"]
    assert [suite.name for suite in chosen(["reasoning"])] == ["mmlu-pro", "gpqa-diamond"]
    assert [suite.name for suite in chosen(["gpqa-main"])] == ["gpqa-main"]
    with pytest.raises(EvaluationError, match=r"There is no suite mmmlu\. There are: mmlu, "):
        chosen(["mmmlu"])


@pytest.mark.parametrize("name", [name for name, suite in SUITES.items() if not suite.generated])
def test_data_that_is_not_there(name: str, tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="holds no"):
        SUITES[name].load(tmp_path, Options())


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe{}", b'{"task_id": "HumanEval/0"'])
def test_data_that_cannot_be_read(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "HumanEval.jsonl").write_bytes(content)
    with pytest.raises(EvaluationError, match="cannot be read"):
        SUITES["humaneval"].load(tmp_path, Options())


def test_a_column_that_is_not_there(tmp_path: Path) -> None:
    for name, file in (
        ("humaneval", "HumanEval.jsonl"),
        ("mbpp", "mbpp.jsonl"),
        ("gsm8k", "test.jsonl"),
        ("ifeval", "input_data.jsonl"),
    ):
        (tmp_path / file).write_text(json.dumps({"something": 1}))
        with pytest.raises(EvaluationError, match="has no"):
            SUITES[name].load(tmp_path, Options())


def test_compressed_and_not(tmp_path: Path) -> None:
    row = {"task_id": "HumanEval/0", "prompt": "def f():\n", "test": "", "entry_point": "f"}
    (tmp_path / "HumanEval.jsonl.gz").write_bytes(gzip.compress(json.dumps([row]).encode()))
    assert SUITES["humaneval"].load(tmp_path, Options())[0].id == "HumanEval/0"


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B", "B"), (" B\n", "B"), ("B. because", "B"), ("(B)", "B"), ("**B**", "B"), ("B) two", "B"),
        ("The answer is B.", "B"), ("Answer: (B)", "B"), ("A person is meant. Answer: B", "B"), ("A lot", None),
        ("", None), ("E", None), ("None of these", None), ("Both", None), ("D\n\nThe following", "D"), ("C:", "C"),
    ],
)  # fmt: skip
def test_the_letter_that_is_generated(text: str, letter: str | None) -> None:
    assert first_letter(text) == letter


def test_letters_after_reasoning() -> None:
    assert answer_line("A is wrong, so B.\n\nAnswer: B") == "B"
    assert answer_line("It is B.") is None
    assert mmlu_pro_letter("the answer is (J).") == "J"
    assert mmlu_pro_letter("the answer is (K).") is None


@pytest.mark.parametrize(
    ("text", "passed"),
    [
        ("```python\ndef f(x):\n    return x + 1\n```", True),
        ("```py\ndef f(x):\n    return x + 1", True),
        ("Sure!\n```\nf(1)\n```\n```python\nimport math\ndef f(x):\n    return x + math.floor(1.5)\n```", True),
        ("def f(x):\n    return x + 1", True),
        ("    return x + 1\n\ndef g():\n    syntax error here", True),
        ("return x + 1", True),
        ("y = x\nreturn y + 1", True),
        ("if x:\n        return x + 1\n    return 1", True),
        ("    return x", False),
        ("", False),
        ("I cannot.", False),
        ("```python\ndef g(x):\n    return x + 1\n```", False),
    ],
)
def test_code_in_answers(text: str, passed: bool) -> None:
    suite = SUITES["humaneval"]
    reference = {
        "prompt": 'def f(x):\n    """One more."""\n',
        "test": "def check(c):\n    assert c(1) == 2\n    assert c(0) == 1\n",
        "entry_point": "f",
    }
    item = items_of("humaneval")[0]
    known = type(item)("f", item.prompt, reference, "all", "f")
    scored = suite.score(known, text)
    assert scored.scores == {"pass": float(passed)}, scored.detail
    assert bool(scored.detail) != passed


def test_programs_run_here() -> None:
    programs.check()
