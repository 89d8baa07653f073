"""A backup holds the files of custom models: restored elsewhere, they answer as before."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.customization.conftest import SETTINGS, SHADOW
from tests.customization.customizing import Customizing, connect
from tests.customization.test_jobs import GOOD
from tests.live import clean_environment, serve
from tests.stores import settings_of, store_at


def test_restored_elsewhere_they_answer_as_before(customizing: Customizing, tmp_path: Path) -> None:
    model = customizing.until(customizing.create(customizing.put("backup/train.jsonl", GOOD)))["outputModelArn"]
    arn = customizing.deploy(model)
    said = customizing.say(arn, "Hello!")
    file, home = tmp_path / "backup", tmp_path / "home"
    outcrop(dict(customizing.server.environment), "backup", "--with-key", str(file))
    assert not list((customizing.server.home / "custom-models").glob("_backup-*"))
    home.mkdir()
    (home / "settings.toml").write_text(SETTINGS + settings_of(store_at(home)))
    outcrop(clean_environment(home), "restore", str(file))
    with serve(home, settings=SETTINGS, more=SHADOW) as server:
        assert connect(server).say(arn, "Hello!") == said


def outcrop(environment: dict[str, str], *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "outcrop", *arguments], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
