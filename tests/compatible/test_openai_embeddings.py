"""Embeddings, judged by the official `openai` package."""

from __future__ import annotations

import math

import pytest
from openai import BadRequestError, OpenAI

EMBED = "test.embed-v1"


def test_vectors_of_length_one(client: OpenAI) -> None:
    answer = client.embeddings.create(model=EMBED, input=["one", "two words", "one"])
    first, second, third = (item.embedding for item in answer.data)
    assert first == third != second
    assert math.isclose(sum(value * value for value in first), 1, rel_tol=1e-5)
    assert answer.usage.prompt_tokens == 4


def test_base64_is_the_same(client: OpenAI) -> None:
    """The package asks for base64 of its own accord and decodes it."""
    plain = client.embeddings.create(model=EMBED, input="one", encoding_format="float").data[0].embedding
    packed = client.embeddings.create(model=EMBED, input="one").data[0].embedding
    assert packed == pytest.approx(plain, rel=1e-6)


def test_fewer_dimensions(client: OpenAI) -> None:
    vector = client.embeddings.create(model=EMBED, input="one", dimensions=8, encoding_format="float").data[0].embedding
    assert len(vector) == 8
    assert math.isclose(sum(value * value for value in vector), 1, rel_tol=1e-9)
    with pytest.raises(BadRequestError, match="vectors have 64"):
        client.embeddings.create(model=EMBED, input="one", dimensions=1000)


def test_what_is_refused(client: OpenAI) -> None:
    with pytest.raises(BadRequestError, match="token ids"):
        client.embeddings.create(model=EMBED, input=[[1, 2]])
    with pytest.raises(BadRequestError, match="none of them empty"):
        client.embeddings.create(model=EMBED, input=["a", ""])
