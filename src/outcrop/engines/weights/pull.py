"""Download a model from a Hugging Face hub: only weights that cannot run code, resumed where it broke off, checked by SHA-256.

The hub's HTTP interface is three requests (list, HEAD-free ranged GET, follow the redirect). `huggingface_hub` would do it too, and
brings twenty packages into the serving install for it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import orjson

from outcrop.engines.loopback import is_loopback
from outcrop.engines.weights.errors import WeightsError

HUB = "https://huggingface.co"
CHUNK_BYTES = 1024 * 1024
MOST_TRIES = 5
_PART = re.compile(r"(.*)-\d{5}-of-(\d{5})\.gguf")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")
# What a model folder may hold; anything that is read by running it is left where it is.
_BESIDE = (".json", ".jinja", ".txt", ".model")
_UNREADABLE = ("training_args", "optimizer", "scheduler", "rng_state")

Report = Callable[["HubFile", int], None]


@dataclass(frozen=True, slots=True)
class HubFile:
    """`size` in bytes; `sha256` where the hub knows it (all large files)."""

    name: str
    size: int
    sha256: str | None


class Hub:
    """`revision` is a branch, a tag or a commit."""

    def __init__(self, model: str, revision: str, *, endpoint: str = HUB, token: str | None = None) -> None:
        if _NAME.fullmatch(model) is None:
            raise WeightsError(f"{model!r} is no model's name: give ORG/NAME, as in Qwen/Qwen3-0.6B-GGUF.")
        self.model = model
        self._revision = quote(revision, safe="")
        self._endpoint = endpoint.rstrip("/")
        self._headers = {"authorization": f"Bearer {token}"} if token else {}

    async def files(self, chosen: str | None) -> list[HubFile]:
        """What to download: the file `chosen`, else all safetensors with what belongs to them, else the only GGUF."""
        url = f"{self._endpoint}/api/models/{self.model}/revision/{self._revision}?blobs=true"
        try:
            async with self._session() as session, session.get(url) as answer:
                if answer.status in (401, 403, 404):
                    raise WeightsError(
                        f"{self.model} is not on {self._endpoint}, or may not be seen (set HF_TOKEN for a gated model)."
                    )
                answer.raise_for_status()
                listed = orjson.loads(await answer.read())
        except (aiohttp.ClientError, TimeoutError, orjson.JSONDecodeError) as problem:
            raise WeightsError(f"{self._endpoint} cannot be asked for {self.model}: {problem}") from None
        return select(_hub_files(listed, self.model), chosen, self.model)

    async def download(self, file: HubFile, folder: Path, report: Report) -> None:
        """Into `folder`, by way of `NAME.partial`. Goes on where an earlier try broke off."""
        target = folder / file.name
        if target.exists() and target.stat().st_size == file.size:
            report(file, file.size)
            return
        partial = target.with_name(target.name + ".partial")
        target.parent.mkdir(parents=True, exist_ok=True)
        problem: Exception | None = None
        for _ in range(MOST_TRIES):
            before = partial.stat().st_size if partial.exists() else 0
            try:
                await self._fetch(file, partial, report)
                break
            except (aiohttp.ClientError, TimeoutError) as broken:
                problem = broken
                after = partial.stat().st_size if partial.exists() else 0
                if after == before:
                    raise WeightsError(
                        f"{file.name} cannot be fetched: {broken}. Run the same command again."
                    ) from None
        else:
            raise WeightsError(f"{file.name} broke off too often: {problem}. Run the same command again.")
        _check(file, partial)
        partial.replace(target)

    async def _fetch(self, file: HubFile, partial: Path, report: Report) -> None:
        have = partial.stat().st_size if partial.exists() else 0
        if have > file.size:
            partial.unlink()
            have = 0
        report(file, have)
        if have == file.size and have:
            return
        url = f"{self._endpoint}/{self.model}/resolve/{self._revision}/{quote(file.name)}"
        # Sizes and ranges count plain bytes.
        headers = {"accept-encoding": "identity"} | ({"range": f"bytes={have}-"} if have else {})
        async with self._session() as session, session.get(url, headers=headers) as answer:
            if answer.status in (401, 403):
                raise WeightsError(
                    f"{file.name} of {self.model} may not be fetched: accept the model's terms, and set HF_TOKEN."
                )
            answer.raise_for_status()
            fresh = have > 0 and answer.status != 206
            with partial.open("wb" if fresh else "ab") as out:
                done = 0 if fresh else have
                async for chunk in answer.content.iter_chunked(CHUNK_BYTES):
                    done += len(chunk)
                    if done > file.size:
                        raise WeightsError(f"{file.name} is longer than the {file.size} bytes that the hub states.")
                    out.write(chunk)
                    report(file, done)
        if done < file.size:
            raise aiohttp.ClientPayloadError(f"the connection ended after {done} of {file.size} bytes")

    def _session(self) -> aiohttp.ClientSession:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=60)
        proxied = not is_loopback(self._endpoint)
        return aiohttp.ClientSession(headers=self._headers, timeout=timeout, trust_env=proxied)


def select(files: Sequence[HubFile], chosen: str | None, model: str) -> list[HubFile]:
    """WeightsError with what there is, where it is not clear what is meant or nothing can be served."""
    for file in files:
        path = Path(file.name)
        if path.is_absolute() or ".." in path.parts or "\\" in file.name or "\0" in file.name:
            raise WeightsError(f"{model} names the file {file.name[:120]!r}, which would leave its folder.")
    ggufs = sorted((file for file in files if file.name.endswith(".gguf")), key=lambda file: file.name)
    if chosen is not None:
        found = [file for file in files if file.name == chosen and file.name.endswith((".gguf", ".safetensors"))]
        if not found:
            raise WeightsError(f"{model} has no weights {chosen!r}. It has: {_names(ggufs) or 'no GGUF file'}.")
        return [file for file in ggufs if _whole(file.name) == _whole(chosen)] or found
    weights = [file for file in files if file.name.endswith(".safetensors") and "/" not in file.name]
    if weights:
        return weights + list(_belonging(files))
    if len({_whole(file.name) for file in ggufs}) == 1:
        return ggufs
    if ggufs:
        raise WeightsError(f"{model} has several GGUF files; name one with --file: {_names(ggufs)}.")
    raise WeightsError(f"{model} has neither safetensors nor GGUF files. Pickled weights are never fetched.")


def _whole(name: str) -> tuple[str, ...]:
    """The same for all files of a model in several files, which is of use only whole."""
    part = _PART.fullmatch(name)
    return part.groups() if part else (name,)


def _belonging(files: Sequence[HubFile]) -> Iterator[HubFile]:
    for file in files:
        if "/" not in file.name and file.name.endswith(_BESIDE) and not file.name.startswith(_UNREADABLE):
            yield file


def _names(files: Sequence[HubFile]) -> str:
    return ", ".join(file.name for file in files[:20])


def _hub_files(listed: Any, model: str) -> list[HubFile]:
    try:
        return [_hub_file(entry) for entry in listed["siblings"]]
    except (KeyError, TypeError, AttributeError, ValueError):
        raise WeightsError(f"What the hub says about {model} is not understood; is HF_ENDPOINT a hub?") from None


def _hub_file(entry: Mapping[str, Any]) -> HubFile:
    large = entry.get("lfs") or {}
    return HubFile(str(entry["rfilename"]), int(entry.get("size") or 0), large.get("sha256"))


def _check(file: HubFile, path: Path) -> None:
    if path.stat().st_size != file.size:
        size = path.stat().st_size
        path.unlink()
        raise WeightsError(f"{file.name} has {size} bytes and should have {file.size}. Run the same command again.")
    if file.sha256 is None:
        return
    digest = hashlib.sha256()
    with path.open("rb") as data:
        while chunk := data.read(CHUNK_BYTES):
            digest.update(chunk)
    if digest.hexdigest() != file.sha256:
        path.unlink()
        raise WeightsError(f"{file.name} does not have the checksum that the hub states. It was removed; try again.")
