"""MGSM (Shi et al., 2022): 250 problems of GSM8K in eleven languages, each asked and answered in its own language.

The prompts are those of OpenAI's simple-evals: no examples, reasoning first, the number in the last line.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from pathlib import Path

from outcrop.evaluation import data
from outcrop.evaluation.item import EvaluationError, Item, Options, Scored, Source, Suite, asked, shots_of
from outcrop.evaluation.suites.numbers import equal, last, numbers

THOUGHT_TOKENS = 1024
_URL = "https://raw.githubusercontent.com/google-research/url-nlp/main/mgsm/"

# What the last line of an answer begins with.
PREFIXES: Mapping[str, str] = {
    "bn": "উত্তর", "de": "Antwort", "en": "Answer", "es": "Respuesta", "fr": "Réponse", "ja": "答え", "ru": "Ответ",
    "sw": "Jibu", "te": "సమాధానం", "th": "คำตอบ", "zh": "答案",
}  # fmt: skip
# Character by character as published, U+09DF too, which normal forms would part.
_PROMPTS: Mapping[str, str] = {
    "bn": "এই গণিতের সমস্যাটি সমাধান করুন। চূড়ান্ত উত্তর দেও\u09dfার আগে যুক্তিসম্পন্ন পদক্ষেপ প্রদান করুন। চূড়ান্ত উত্তরটি একক সংখ্যা "
    'হিসাবে "উত্তর:" এর পরে শেষ লাইনে দিন। "উত্তর:" এর পরে অন্য কিছু যুক্ত করবেন না।.',
    "de": "Löse dieses Mathematikproblem. Gib die Schritte zur Begründung an, bevor du die endgültige Antwort in der letzten "
    'Zeile alleine im Format "Antwort:" gibst. Füge nichts anderes als die ganzzahlige Antwort nach "Antwort:" hinzu.',
    "en": "Solve this math problem. Give the reasoning steps before giving the final answer on the last line by itself in the "
    'format of "Answer:". Do not add anything other than the integer answer after "Answer:".',
    "es": "Resuelve este problema matemático. Proporciona los pasos de razonamiento antes de dar la respuesta final en la "
    'última línea por sí misma en el formato de "Respuesta:". No añadas nada más que la respuesta entera después de '
    '"Respuesta:".',
    "fr": "Résolvez ce problème de mathématiques. Donnez les étapes de raisonnement avant de fournir la réponse finale sur la "
    'dernière ligne elle-même dans le format de "Réponse:". N\'ajoutez rien d\'autre que la réponse entière après "Réponse:".',
    "ja": "の数学の問題を解いてください。最終的な答えを出す前に、解答の推論過程を記述してください。そして最後の行には "
    '"答え:" の形式で答えを記述し、その後には整数の答え以外何も追加しないでください。',
    "ru": "Решите эту математическую задачу. Объясните шаги рассуждения перед тем, как дать окончательный ответ в последней "
    'строке сам по себе в формате "Ответ:". Не добавляйте ничего, кроме целочисленного ответа после "Ответ:".',
    "sw": "Suluhisha tatizo hili la hesabu. Toa hatua za mantiki kabla ya kutoa jibu la mwisho kwenye mstari wa mwisho peke "
    'yake katika muundo wa "Jibu:". Usiongeze chochote kingine isipokuwa jibu la integer baada ya "Jibu:".',
    "te": "ఈ గణిత సమస్యను పరిష్కరించండి. చివరి సమాధానాన్ని ఇవ్వదానికి ముందు తర్కాత్మక అదుగులను ఇవ్వండి. చివరి పంక్తిలో మాత్రమే "
    "'సమాధానం:' అనే ఆకారంలో చివరి సమాధానాద్ని ఇవ్వండి సమాధానం: తర్వాత పూర్ణాంక సమాధానానికి తప్పించి ఎదేనా చేర్చవద్దు.",
    "th": 'แก้ปัญหาคณิตศาสตร์นี้ ให้ให้ขั้นตอนการใช้เหตุผลก่อนที่จะให้คำตอบสุดท้ายในบรรทัดสุดท้ายโดยอยู่ในรูปแบบ "คำตอบ:" '
    'ไม่ควรเพิ่มอะไรนอกจากคำตอบที่เป็นจำนวนเต็มหลังจาก "คำตอบ:"',
    "zh": '解决这个数学问题。在最后一行给出答案前，请提供推理步骤。最后一行应该以 "答案: " 的形式独立给出答案。在 "答案：" '
    "后不要添加除整数答案之外的任何内容。",
}
_HASHES: Mapping[str, str] = {
    "bn": "6b00bc7cc635547e866989284afa924d789b5affa2eb8de623c385dd943ad977",
    "de": "4dfea30fede44b813e2e496f5f0534049e83c7cc8aed6e00600b30ec62053626",
    "en": "50021d0f28cc957edcb44e7806425b1c7fbd648ddcb9e0a8ec689d10e57d40fa",
    "es": "5bd27ebdf00140cec845c5298dc17715f5cd57d8edda6df1976db40bf3f0750a",
    "fr": "36207c1c03fd7cd3ea491441eb755408199f94e4a647851df531bbaedc99d606",
    "ja": "59a2b50debe77981fd784cb3b2bef1505e3abf2a37116dc9d7a366ab029b4637",
    "ru": "6bd30fd2e80c5bac23f566fb4ae0e6a55a19578401fbf9a01fb21beb3645fef8",
    "sw": "2bac828d77229e65d7c7197b1ad4a2cb5b1fe99b163f2cbdd66501de6a2115c4",
    "te": "dd6b1452c244bb2e4ba254c01ea84137f80c1cefc57d69c23b0ed88b9c0f36b7",
    "th": "f3932dc5ad8e9d0ea82b017adc1e1461dd647af861e7166d6741986602a0cfd6",
    "zh": "b2fa63151022370a0de1f4211c8c284eae74b0f5a3b003b1d5982c0d4a73f661",
}


def load(folder: Path, options: Options) -> list[Item]:
    """`mgsm_LANGUAGE.tsv`: problem, tab, number. The same problem in several languages is one cluster."""
    shots_of(0, options)
    if unknown := [group for group in options.groups if group not in PREFIXES]:
        raise EvaluationError(f"MGSM's languages are {', '.join(PREFIXES)}, and not {unknown[0]}.")
    languages = [language for language in PREFIXES if data.chosen(language, options)]
    return [item for language in languages for item in _items(folder, language)]


def _items(folder: Path, language: str) -> list[Item]:
    path = data.files(folder, f"mgsm_{language}.tsv")[0]
    lines = [line for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]
    if wrong := [number for number, line in enumerate(lines, 1) if not numbers(line.partition("\t")[2])]:
        raise EvaluationError(f"Line {wrong[0]} of {path} has no number behind a tab.")
    return [_item(language, str(number), line) for number, line in enumerate(lines)]


def _item(language: str, number: str, line: str) -> Item:
    problem, _, answer = line.partition("\t")
    prompt = asked(f"{_PROMPTS[language]}\n\n{problem}", THOUGHT_TOKENS)
    return Item(f"{language}/{number}", prompt, numbers(answer)[-1], language, number)


def score(item: Item, text: str) -> Scored:
    """`accuracy` wants the last number behind the language's word for answer; `flexible` takes the last number of all."""
    text = unicodedata.normalize("NFC", text)
    _, found, rest = text.rpartition(PREFIXES[item.group])
    strict = last(rest, item.group) if found else None
    flexible = last(text, item.group)
    scores = {
        "accuracy": float(equal(strict, item.reference)),
        "flexible": float(equal(flexible, item.reference)),
    }
    return Scored(scores, strict if strict is not None else flexible)


MGSM = Suite(
    name="mgsm",
    title="MGSM",
    field="math",
    metrics=("accuracy", "flexible"),
    protocol=lambda _: (
        "0-shot chain of thought in each language, the number behind its word for answer; flexible: the last number"
    ),
    load=load,
    score=score,
    published="Shi et al., 2022; asked as in OpenAI's simple-evals, with native digits and groupings read too",
    grouped="languages",
    sources=tuple(Source(f"mgsm_{name}.tsv", f"{_URL}mgsm_{name}.tsv", digest) for name, digest in _HASHES.items()),
)
