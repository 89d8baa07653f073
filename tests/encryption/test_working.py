"""Files that a job's process works with, and those of a customization: its data, its trainer's words, its model's job."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outcrop.encryption import working
from outcrop.encryption.files import CHUNK_BYTES
from outcrop.store.seals import Damaged
from tests.customization.conftest import SETTINGS, SHADOW
from tests.customization.customizing import connect
from tests.customization.test_crashes import kill, until
from tests.encryption.search import canary, found
from tests.live import serve

KEY = base64.b64encode(bytes(range(32))).decode()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    lines=st.lists(st.binary(max_size=300).map(lambda line: line.replace(b"\n", b"-") + b"\n"), max_size=40),
    filler=st.sampled_from([0, CHUNK_BYTES - 1, CHUNK_BYTES, 2 * CHUNK_BYTES + 7]),
    key=st.sampled_from([KEY, None]),
)
def test_lines_come_back(tmp_path: Path, lines: list[bytes], filler: int, key: str | None) -> None:
    path = tmp_path / "file"
    # A plain file is not taken for an encrypted one, unless it begins as they do.
    wanted = [b" " * filler + b"\n", *lines] if filler else lines
    with working.created(path, key) as file:
        for line in wanted:
            file.write(line)
    with working.opened(path, key) as reading:
        assert list(reading) == wanted
    assert working.is_empty(path, key) == (not wanted)
    with working.opened(path, key) as reading:
        assert reading.read() == b"".join(wanted)


def test_what_was_changed_or_has_no_key(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with working.created(path, KEY) as file:
        file.write(b"words" * 40_000)
    whole = path.read_bytes()
    assert b"words" not in whole
    with pytest.raises(Damaged):
        working.opened(path, None)
    for changed in (whole[:-1], whole[:80_000], whole[:-1] + b"x", whole[:9]):
        path.write_bytes(changed)
        with pytest.raises(Damaged), working.opened(path, KEY) as reading:
            reading.read()
    with pytest.raises(FileNotFoundError):
        working.opened(tmp_path / "none", KEY)


def test_a_customization_leaves_nothing_to_be_found(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with serve(home, settings=SETTINGS, more=SHADOW) as server:
        customizing = connect(server)
        records = [
            {"prompt": "steps 200, slow 0.1", "completion": "."},
            *({"prompt": f"{canary('asked')} {n}", "completion": canary("answered")} for n in range(20)),
        ]
        training = customizing.put("train.jsonl", records)
        validation = customizing.put("valid.jsonl", [{"prompt": canary("validated"), "completion": "."}])
        arn = customizing.create(training, validationDataConfig={"validators": [{"s3Uri": validation}]})
        folder = home / "customization" / arn.rpartition("/")[2]
        until(lambda: (folder / "out" / "checkpoint").exists())
        assert list((folder / "data").rglob("train.jsonl"))
        assert found(home) == []
        kill(server)
    assert list((folder / "data").rglob("train.jsonl"))
    assert found(home) == []
