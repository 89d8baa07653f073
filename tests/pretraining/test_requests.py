"""What is refused before a job is made, and that these operations are ours alone."""

from __future__ import annotations

from typing import Any

import pytest

from outcrop import extensions
from outcrop.app import handlers
from outcrop.identity import actions
from outcrop.pretraining.operations import HANDLERS
from outcrop.wire.model import load_services
from outcrop.wire.routes import Router
from tests.pretraining.asking import JOBS, RECIPE, Asking

# Of the shipped model's widths.
SHALLOW = """
name = "shallow"
description = ""
start = "house-nano-v1"
[model]
hidden_size = 256
intermediate_size = 640
heads = 8
kv_heads = 4
layers = 5
[train]
tokens = 8192
"""


def changed(old: str, new: str) -> dict[str, str]:
    assert old in RECIPE
    return {"recipe": RECIPE.replace(old, new)}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"recipe": "name = "}, "recipe is not valid TOML"),
        ({"recipe": "x = " + "[" * 5000}, "recipe is not valid TOML"),
        ({"recipe": "#" * 70_000}, "recipe"),
        (changed("layers = 2", "layer = 2"), "recipe: Object contains unknown field `layer`"),
        (changed('"tiny"', '"../../tiny"'), "recipe: name must be"),
        (changed("hidden_size = 64", "hidden_size = 1024"), "1,000,000 are the most on this server"),
        (changed("layers = 2", "layers = 257"), "model.layers is 257"),
        (changed("context = 512", "context = 100000"), "model.context is 100000; it must be from 512 to 8192"),
        (changed("held_out = 1", "held_out = 501"), "held_out is 501"),
        (changed("tokens_per_batch = 512", "tokens_per_batch = 65536\nclip = inf"), "train.clip"),
        (changed("[model]", 'start = "/etc/passwd"\n[model]'), "start must be the name of a model that comes with"),
        (changed("[model]", 'start = "../house/house-nano-v1"\n[model]'), "start must be the name"),
        (changed("[model]", 'start = "house-nano-v1"\n[model]'), "house-nano-v1 has model.vocab_size 2048"),
        ({"recipe": SHALLOW}, "house-nano-v1 has 6 layers, and growing takes none away"),
        # The same whether there is such a file or not.
        (changed("[model]", 'compared_with = ["/etc/nothing"]\n[model]'), "compared_with must be names of at most 3"),
        (changed("[model]", 'compared_with = ["/etc/passwd"]\n[model]'), "compared_with must be names of at most 3"),
        (changed('"tiny"', '"house-nano-v1"\ncompared_with = ["house-nano-v1"]'), "names a model twice, or one that"),
        ({"outputDataConfig": {"s3Uri": "http://elsewhere/"}}, "outputDataConfig.s3Uri"),
        ({"tags": [{"key": "aws:x", "value": "y"}]}, "aws:"),
        ({"modelName": "a b"}, "modelName"),
        ({"jobName": None}, "jobName"),
        ({"roleArn": "nobody"}, "roleArn"),
    ],
)
def test_refused_at_once(asking: Asking, changes: dict[str, Any], words: str) -> None:
    answer = asking.ask("POST", JOBS, asking.request(**changes))
    assert (answer.status, answer.kind) == (400, "ValidationException")
    assert words in answer.message


def test_too_much_memory_is_refused(asking: Asking) -> None:
    large = RECIPE
    for old, new in {
        "layers = 2": "layers = 30",
        "tokens_per_batch = 512": "tokens_per_batch = 65536",
        "tokens_per_step = 1024": "tokens_per_step = 65536",
        "tokens = 6000": "tokens = 70000",
    }.items():
        large = large.replace(old, new)
    answer = asking.ask("POST", JOBS, asking.request(recipe=large))
    assert answer.kind == "ValidationException"
    assert "GiB of memory" in answer.message


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_is_not_there(asking: Asking, method: str) -> None:
    answer = asking.ask(method, f"{JOBS}/nowhere" + ("/stop" if method == "POST" else ""))
    assert (answer.status, answer.kind) == (404, "ResourceNotFoundException")
    unknown = asking.ask(method, "/outcrop/v1/nothing")
    assert (unknown.status, unknown.kind) == (404, "UnknownOperationException")


def test_a_repeated_token_makes_no_second_job(asking: Asking) -> None:
    request = asking.request(clientRequestToken="once", recipe=RECIPE)
    first, second = (asking.ask("POST", JOBS, request) for _ in range(2))
    assert (first.status, first.body) == (201, second.body)
    other = asking.ask("POST", JOBS, {**request, "modelName": "other"})
    assert other.kind == "ConflictException"
    same_name = asking.ask("POST", JOBS, asking.request(jobName=request["jobName"]))
    assert same_name.kind == "ConflictException"
    asking.stop(request["jobName"])
    asking.until(request["jobName"])


def test_the_operations_are_ours_and_all_built() -> None:
    ours, awss = extensions.operations(), load_services().operations
    assert ours.keys() == HANDLERS.keys()
    assert not ours.keys() & (awss.keys() | handlers().keys())
    assert not {name for _, name in ours} & {name for _, name in awss}
    assert not any(operation.uri.startswith("/outcrop/") for operation in awss.values())
    router = Router([*awss.values(), *ours.values()])
    for operation in ours.values():
        assert actions.action_of(operation.name) == f"outcrop:{operation.name}"
        assert router.find(operation.method, operation.uri, "")[0] is operation


def test_boto3_makes_a_client_of_them(asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    import boto3

    monkeypatch.setenv("AWS_DATA_PATH", str(extensions.MODELS))
    assert asking.key is not None
    session = boto3.Session(asking.key.access_key, asking.key.secret_key, region_name=asking.region)
    client = session.client("outcrop", endpoint_url=asking.server.url)
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_pretraining_job(jobIdentifier="nowhere")
    with pytest.raises(client.exceptions.ValidationException):
        client.create_pretraining_job(jobName="wrong", modelName="wrong", recipe="wrong")
