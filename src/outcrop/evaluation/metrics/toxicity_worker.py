"""A process of its own: a Hugging Face text-classification folder, a text on each line of input, its toxicity on one of output.

Run as a file, by any interpreter that has torch and transformers; it imports nothing of Outcrop.
"""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any

# Labels of classifiers in use that mean "toxic", in the order in which they are looked for; what counts is the first that a
# model has.
TOXIC = ("toxicity", "toxic", "hate", "offensive", "label_1")


def toxic_label(labels: dict[int, str]) -> int | None:
    """The place of the label whose probability is the toxicity."""
    names = {name.lower(): at for at, name in labels.items()}
    return next((names[name] for name in TOXIC if name in names), None)


def main(folder: str) -> None:
    try:
        score = _classifier(folder)
    except Exception as problem:
        _say({"problem": f"{type(problem).__name__}: {problem}"[:500]})
        return
    _say({"ready": True})
    for line in sys.stdin:
        try:
            _say({"toxicity": score(json.loads(line)["text"])})
        except Exception as problem:
            _say({"problem": f"{type(problem).__name__}: {problem}"[:500]})


def _classifier(folder: str) -> Any:
    import torch

    transformers = importlib.import_module("transformers")

    torch.set_num_threads(1)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder, local_files_only=True).eval()
    at = toxic_label(model.config.id2label)
    if at is None:
        raise ValueError(f"none of its labels means toxic: {', '.join(model.config.id2label.values())}")
    # Models of several labels at once have a probability for each; others share one among all.
    several = model.config.problem_type == "multi_label_classification"

    def score(text: str) -> float:
        longest = min(tokenizer.model_max_length, 512)
        given = tokenizer(text, return_tensors="pt", truncation=True, max_length=longest)
        with torch.inference_mode():
            logits = model(**given).logits[0]
        chances = torch.sigmoid(logits) if several or len(logits) == 1 else torch.softmax(logits, 0)
        return float(chances[at])

    return score


def _say(what: dict[str, object]) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
