"""OpenAI's interface: chat completions, responses, embeddings, models.

Source: https://platform.openai.com/docs/api-reference and the user guide's "Generate responses using OpenAI APIs".
"""

from __future__ import annotations

from outcrop.compatible.endpoint import Endpoint
from outcrop.compatible.openai import chat, dialect, embeddings, models, responses

ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint("openai.CreateChatCompletion", "POST", "chat/completions", chat.create, dialect),
    Endpoint("openai.CreateResponse", "POST", "responses", responses.create, dialect),
    Endpoint("openai.GetResponse", "GET", "responses/{id}", responses.get, dialect),
    Endpoint("openai.DeleteResponse", "DELETE", "responses/{id}", responses.delete, dialect),
    Endpoint("openai.ListInputItems", "GET", "responses/{id}/input_items", responses.input_items, dialect),
    Endpoint("openai.CreateEmbedding", "POST", "embeddings", embeddings.create, dialect),
    Endpoint("openai.ListModels", "GET", "models", models.list_models, dialect),
    Endpoint("openai.GetModel", "GET", "models/{id}", models.get_model, dialect),
)
