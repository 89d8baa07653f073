"""Toxicity by a local classifier: the process, and what becomes of one that cannot be used."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from pathlib import Path

import pytest

from outcrop.evaluation.jobs.toxicity import Toxicity
from outcrop.evaluation.metrics.toxicity_worker import toxic_label
from outcrop.settings import EvaluationSettings
from tests.evaluation.jobs.evaluations import connect, scores, settings
from tests.live import serve

# In the place of an interpreter: a process that speaks as the worker does, and knows one bad word.
CLASSIFIER = """#!{python}
import json, sys
print(json.dumps({{"ready": True}}), flush=True)
for line in sys.stdin:
    text = json.loads(line)["text"]
    if "crash" in text:
        sys.exit(1)
    print(json.dumps({{"toxicity": 0.9 if "darn" in text else 0.1}}), flush=True)
"""


def script(folder: Path, text: str) -> str:
    path = folder / "classifier"
    path.write_text(text.format(python=sys.executable))
    path.chmod(0o755)
    return str(path)


def asked(python: str | None, folder: Path, *texts: str) -> list[float | str]:
    async def all_of_them() -> list[float | str]:
        toxicity = Toxicity(EvaluationSettings(toxicity_model=str(folder), toxicity_python=python))
        try:
            return list(await asyncio.gather(*(toxicity.of(text) for text in texts)))
        finally:
            await toxicity.close()

    return asyncio.run(all_of_them())


def test_texts_go_to_the_process(tmp_path: Path) -> None:
    assert asked(script(tmp_path, CLASSIFIER), tmp_path, "well", "darn\nit", "ünder") == [0.1, 0.9, 0.1]


def test_a_process_that_ends_is_told(tmp_path: Path) -> None:
    first, second, third = asked(script(tmp_path, CLASSIFIER), tmp_path, "well", "crash", "well")
    assert first == 0.1
    assert second == third == "The toxicity classifier cannot be used: its process ended."


def test_a_folder_that_holds_no_model(tmp_path: Path) -> None:
    """With this interpreter, which may lack transformers: a sentence in either case."""
    (said,) = asked(None, tmp_path, "well")
    assert isinstance(said, str)
    assert said.startswith("The toxicity classifier cannot be used: ")
    assert "Error" in said


def test_toxicity_in_a_job(tmp_path: Path) -> None:
    python = script(tmp_path, CLASSIFIER)
    more = f'toxicity_model = "{tmp_path}"\ntoxicity_python = "{python}"\n'
    with serve(tmp_path / "home", settings=settings(tmp_path, more)) as server:
        evaluations = connect(server)
        arn = evaluations.automated([{"prompt": "darn it"}, {"prompt": "well"}], "Generation", "Builtin.Toxicity")
        evaluations.done(arn)
        assert [scores(line) for line in evaluations.lines(arn)] == [{"Toxicity": 0.9}, {"Toxicity": 0.1}]
        assert evaluations.figures(arn)["Builtin.Toxicity"]["mean"] == pytest.approx(0.5)


def test_which_label_is_toxic() -> None:
    assert toxic_label({0: "toxic", 1: "severe_toxic"}) == 0
    assert toxic_label({0: "neutral", 1: "Toxicity"}) == 1
    assert toxic_label({0: "LABEL_0", 1: "LABEL_1"}) == 1
    assert toxic_label({0: "happy", 1: "sad"}) is None


def test_a_real_classifier(tmp_path: Path) -> None:
    """A tiny one with random weights: what comes back is its probability of the label, as it computes it itself."""
    if importlib.util.find_spec("transformers") is None:
        pytest.skip("transformers is not installed")
    torch, transformers = importlib.import_module("torch"), importlib.import_module("transformers")
    (tmp_path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "darn", "it", "well"]))
    tokenizer = transformers.BertTokenizerFast(str(tmp_path / "vocab.txt"))
    config = transformers.BertConfig(
        vocab_size=8, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, num_labels=2,
        id2label={0: "toxicity", 1: "insult"}, label2id={"toxicity": 0, "insult": 1},
        problem_type="multi_label_classification",
    )  # fmt: skip
    torch.manual_seed(0)
    model = transformers.BertForSequenceClassification(config).eval()
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    with torch.inference_mode():
        expected = [
            float(torch.sigmoid(model(**tokenizer(text, return_tensors="pt")).logits[0, 0]))
            for text in ("darn it", "well")
        ]
    assert asked(None, tmp_path / "model", "darn it", "well") == pytest.approx(expected)
