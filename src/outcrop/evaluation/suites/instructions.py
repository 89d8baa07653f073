"""IFEval's 25 instructions, each as a function of the answer and its own parameters."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from itertools import pairwise
from typing import Any

Given = Mapping[str, Any]

# Before a dot that ends no sentence, and before one that ends none where a small letter follows.
_TITLES = frozenset(
    ["mr", "mrs", "ms", "dr", "prof", "st", "mt", "rev", "gen", "col", "capt", "lt", "sgt", "hon", "vs"]
)
_ABBREVIATIONS = frozenset(
    ["inc", "ltd", "co", "corp", "jr", "sr", "etc", "jan", "feb", "aug", "sept", "oct", "nov", "dec"]
)
# Punkt's English model does not know these, so each counts as an end.
_UNKNOWN = frozenset(["e.g", "i.e"])
# Signs that stand between words in the Penn Treebank, and what of a word is a word of its own.
_BETWEEN_WORDS = re.compile(r"--|[\s;@#$%&?!\[\](){}<>\"“”„«»‘’`]|[:,](?!\d)|\.\.\.|(?<=\S)'(?=\s|$)")
_WITHIN_WORDS = re.compile(
    r"(?<=\w)'(?:S|M|D|LL|RE|VE)(?=\s|$)|(?<=\w)N'T(?=\s|$)|(?<=\bCAN)NOT\b|(?<=\bGON)NA\b|(?<=\bGOT)TA\b|(?<=\bGIM)ME\b"
    r"|(?<=\bLEM)ME\b|(?<=\bWAN)NA\b"
)
_CONSTRAINED = ("My answer is yes.", "My answer is no.", "My answer is maybe.")


def follows(name: str, text: str, given: Given) -> bool:
    """Whether the answer follows the instruction. KeyError for one that has a `problem`."""
    return CHECKS[name][0](text, given)


def problem(name: str, given: Given) -> str | None:
    """A sentence about an instruction that cannot be checked."""
    if name not in CHECKS:
        return f"the instruction {name} is none of IFEval's."
    missing = [key for key in CHECKS[name][1] if key not in given]
    return f"the instruction {name} has no {missing[0]}." if missing else None


def _compared(count: int, given: Given, relation: str, number: str) -> bool:
    """ "less than" or "at least"."""
    return bool(count < given[number] if given[relation] == "less than" else count >= given[number])


def _keywords(text: str, given: Given) -> bool:
    return all(re.search(word, text, re.IGNORECASE) for word in given["keywords"])


def _keyword_frequency(text: str, given: Given) -> bool:
    return _compared(len(re.findall(given["keyword"].strip(), text, re.IGNORECASE)), given, "relation", "frequency")


def _forbidden_words(text: str, given: Given) -> bool:
    return not any(re.search(rf"\b{word}\b", text, re.IGNORECASE) for word in given["forbidden_words"])


def _letter_frequency(text: str, given: Given) -> bool:
    return _compared(text.lower().count(given["letter"].lower()), given, "let_relation", "let_frequency")


@lru_cache(maxsize=64)
def language_of(text: str) -> str | None:
    """ISO code by langdetect, which the published checks use; None where it cannot tell."""
    from langdetect import DetectorFactory, LangDetectException, detect

    DetectorFactory.seed = 0
    try:
        return str(detect(text))
    except LangDetectException:
        return None


def _language(text: str, given: Given) -> bool:
    # An answer without a language is let through, as published.
    return language_of(text) in (None, given["language"])


def sentences(text: str) -> int:
    """Near to what the Punkt tokenizer counts that the published checks use."""
    words = text.split()
    return bool(words) + sum(_ends_sentence(word, after) for word, after in pairwise(words))


def _ends_sentence(word: str, after: str) -> bool:
    bare = word.rstrip("\"'”’)]}*")
    if not bare.endswith("."):
        return bare.endswith(("!", "?"))
    stem = bare.rstrip(".").lstrip("\"'“‘([{*").lower()
    if stem in _TITLES or (len(stem) == 1 and stem.isalpha()):
        return False
    if bare.endswith("..") or stem in _ABBREVIATIONS or ("." in stem and stem not in _UNKNOWN):
        return not after[0].islower()
    return True


def _number_sentences(text: str, given: Given) -> bool:
    return _compared(sentences(text), given, "relation", "num_sentences")


def _number_paragraphs(text: str, given: Given) -> bool:
    paragraphs = re.split(r"\s?\*\*\*\s?", text)
    inner = paragraphs[1:-1]
    if any(not paragraph.strip() for paragraph in inner):
        return False
    return bool(sum(bool(paragraph.strip()) for paragraph in paragraphs) == given["num_paragraphs"])


def _number_words(text: str, given: Given) -> bool:
    return _compared(len(re.findall(r"\w+", text)), given, "relation", "num_words")


def _nth_paragraph_first_word(text: str, given: Given) -> bool:
    paragraphs = text.split("\n\n")
    nth = given["nth_paragraph"]
    count = sum(bool(paragraph.strip()) for paragraph in paragraphs)
    if nth > count or not (paragraph := paragraphs[nth - 1].strip()):
        return False
    word = re.split(r"[.,?!'\"]", paragraph.split()[0].lstrip("'").lstrip('"'))[0].lower()
    return bool(count == given["num_paragraphs"] and word == given["first_word"].lower())


def _placeholders(text: str, given: Given) -> bool:
    return bool(len(re.findall(r"\[.*?\]", text)) >= given["num_placeholders"])


def _postscript(text: str, given: Given) -> bool:
    marker = given["postscript_marker"].strip()
    patterns = {"P.P.S": r"\s*p\.\s?p\.\s?s.*$", "P.S.": r"\s*p\.\s?s\..*$"}
    pattern = patterns.get(marker, r"\s*" + marker.lower() + r".*$")
    return bool(re.findall(pattern, text.lower(), re.MULTILINE))


def _bullets(text: str, given: Given) -> bool:
    stars = re.findall(r"^\s*\*[^\*].*$", text, re.MULTILINE)
    dashes = re.findall(r"^\s*-.*$", text, re.MULTILINE)
    return bool(len(stars) + len(dashes) == given["num_bullets"])


def _constrained(text: str, given: Given) -> bool:
    return any(answer in text for answer in _CONSTRAINED)


def _highlights(text: str, given: Given) -> bool:
    single = [found for found in re.findall(r"\*[^\n\*]*\*", text) if found.strip("*").strip()]
    double = [
        found for found in re.findall(r"\*\*[^\n\*]*\*\*", text) if found.removeprefix("**").removesuffix("**").strip()
    ]
    return bool(len(single) + len(double) >= given["num_highlights"])


def _sections(text: str, given: Given) -> bool:
    return bool(len(re.split(rf"\s?{given['section_spliter'].strip()}\s?\d+\s?", text)) - 1 >= given["num_sections"])


def _json(text: str, given: Given) -> bool:
    value = text.strip()
    for fence in ("```json", "```Json", "```JSON", "```"):
        value = value.removeprefix(fence)
    try:
        json.loads(value.removesuffix("```").strip())
    except ValueError:
        return False
    return True


def _title(text: str, given: Given) -> bool:
    return any(found.lstrip("<").rstrip(">").strip() for found in re.findall(r"<<[^\n]+>>", text))


def _two_responses(text: str, given: Given) -> bool:
    responses = text.split("******")
    if any(not response.strip() for response in responses[1:-1]):
        return False
    valid = [response.strip() for response in responses if response.strip()]
    return len(valid) == 2 and valid[0] != valid[1]


def _repeat_prompt(text: str, given: Given) -> bool:
    return text.strip().lower().startswith(given["prompt_to_repeat"].strip().lower())


def _ends(text: str, given: Given) -> bool:
    return text.strip().strip('"').lower().endswith(given["end_phrase"].strip().lower())


def _quotation(text: str, given: Given) -> bool:
    value = text.strip()
    return len(value) > 1 and value.startswith('"') and value.endswith('"')


def capital_words(text: str) -> int:
    """As the Penn Treebank's rules part words: DON'T and CANNOT are two, WELL-KNOWN is one."""
    words = " ".join(_BETWEEN_WORDS.split(text))
    return sum(word.isupper() for word in _WITHIN_WORDS.sub(r" \g<0>", words).split())


def _capital_words(text: str, given: Given) -> bool:
    return _compared(capital_words(text), given, "capital_relation", "capital_frequency")


def _all_capitals(text: str, given: Given) -> bool:
    return text.isupper() and language_of(text) in (None, "en")


def _all_lower_case(text: str, given: Given) -> bool:
    return text.islower() and language_of(text) in (None, "en")


def _no_comma(text: str, given: Given) -> bool:
    return "," not in text


# What checks an instruction, and the parameters that it must have.
CHECKS: Mapping[str, tuple[Callable[[str, Given], bool], tuple[str, ...]]] = {
    "keywords:existence": (_keywords, ("keywords",)),
    "keywords:frequency": (_keyword_frequency, ("keyword", "relation", "frequency")),
    "keywords:forbidden_words": (_forbidden_words, ("forbidden_words",)),
    "keywords:letter_frequency": (_letter_frequency, ("letter", "let_relation", "let_frequency")),
    "language:response_language": (_language, ("language",)),
    "length_constraints:number_sentences": (_number_sentences, ("relation", "num_sentences")),
    "length_constraints:number_paragraphs": (_number_paragraphs, ("num_paragraphs",)),
    "length_constraints:number_words": (_number_words, ("relation", "num_words")),
    "length_constraints:nth_paragraph_first_word": (
        _nth_paragraph_first_word,
        ("num_paragraphs", "nth_paragraph", "first_word"),
    ),
    "detectable_content:number_placeholders": (_placeholders, ("num_placeholders",)),
    "detectable_content:postscript": (_postscript, ("postscript_marker",)),
    "detectable_format:number_bullet_lists": (_bullets, ("num_bullets",)),
    "detectable_format:constrained_response": (_constrained, ()),
    "detectable_format:number_highlighted_sections": (_highlights, ("num_highlights",)),
    "detectable_format:multiple_sections": (_sections, ("section_spliter", "num_sections")),
    "detectable_format:json_format": (_json, ()),
    "detectable_format:title": (_title, ()),
    "combination:two_responses": (_two_responses, ()),
    "combination:repeat_prompt": (_repeat_prompt, ("prompt_to_repeat",)),
    "startend:end_checker": (_ends, ("end_phrase",)),
    "startend:quotation": (_quotation, ()),
    "change_case:capital_word_frequency": (_capital_words, ("capital_relation", "capital_frequency")),
    "change_case:english_capital": (_all_capitals, ()),
    "change_case:english_lowercase": (_all_lower_case, ()),
    "punctuation:no_comma": (_no_comma, ()),
}
