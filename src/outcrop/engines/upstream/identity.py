"""Who Outcrop is at an upstream Bedrock: the operator's own AWS credentials, or a Bedrock API key."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError
from botocore.regions import EndpointResolver
from botocore.session import Session

from outcrop.engines.engine import EngineError, Upstream

SERVICE = "bedrock"
# Where credentials are looked for without asking anybody on the network.
_LOCAL_PROVIDERS = frozenset({"env", "shared-credentials-file", "config-file"})


class Identity:
    """`offline`: credentials come from the environment and AWS's files only, never from a metadata or token service."""

    def __init__(
        self, model_id: str, *, profile: str | None, region: str | None, key: str | None, offline: bool
    ) -> None:
        """EngineError for a profile that is not there, or where no region is known."""
        self._model_id = model_id
        self._key = key
        self._lock = threading.Lock()
        self._session = Session(profile=profile)
        self._credentials: Any = None
        try:
            self._session.get_scoped_config()
            found = region or self._session.get_config_variable("region")
            if offline:
                self._forget_the_network()
        except BotoCoreError as problem:
            raise EngineError(f"The model {model_id}: {problem}") from None
        if not found:
            raise EngineError(f"The model {model_id} needs a region, such as us-east-1: none is set for AWS here.")
        self.region: str = found

    def endpoint(self) -> str:
        """Amazon's own Bedrock runtime in the region."""
        resolver = EndpointResolver(self._session.get_data("endpoints"))
        found = resolver.construct_endpoint("bedrock-runtime", self.region)
        if found is None:
            raise EngineError(f"The model {self._model_id}: {self.region} is no region of AWS.")
        return f"https://{found['hostname']}"

    def headers(self, url: str, body: bytes, given: Mapping[str, str]) -> dict[str, str]:
        """`given` and what proves who asks, for a POST. Blocks: credentials may have to be fetched, and bodies are long."""
        if self._key is not None:
            return {**given, "authorization": f"Bearer {self._key}"}
        request = AWSRequest(method="POST", url=url, data=body, headers=dict(given))
        SigV4Auth(self._frozen(), SERVICE, self.region).add_auth(request)
        return dict(request.headers.items())

    def blotted(self, data: bytes) -> bytes:
        """`data` without the key, should an upstream repeat it in an error."""
        return data if self._key is None else data.replace(self._key.encode(), b"***")

    def _frozen(self) -> Any:
        """Upstream ("denied") where there are none, or they cannot be had."""
        try:
            with self._lock:
                if self._credentials is None:
                    self._credentials = self._session.get_credentials()
            frozen = None if self._credentials is None else self._credentials.get_frozen_credentials()
        except BotoCoreError as problem:
            raise self._none(str(problem)) from None
        if frozen is None:
            raise self._none("No AWS credentials were found; set a profile, or api_key_env.")
        return frozen

    def _none(self, detail: str) -> Upstream:
        return Upstream("denied", f"{self._model_id} has no working credentials for its upstream.", detail=detail)

    def _forget_the_network(self) -> None:
        resolver = self._session.get_component("credential_provider")
        for provider in list(resolver.providers):
            if provider.METHOD not in _LOCAL_PROVIDERS:
                resolver.remove(provider.METHOD)
