"""The observer that the settings ask for."""

from __future__ import annotations

import logging
from importlib.util import find_spec

from outcrop.engines.loopback import is_loopback
from outcrop.engines.pool import Engines
from outcrop.settings import Settings, SettingsError
from outcrop.telemetry.observer import Observer, Several

logger = logging.getLogger("outcrop.telemetry")


def check(settings: Settings) -> None:
    """SettingsError for what cannot work, with what to do."""
    wanted = settings.telemetry
    missing = [
        package
        for asked, package in ((wanted.metrics_port, "prometheus_client"), (wanted.traces, "opentelemetry"))
        if asked and find_spec(package) is None
    ]
    if missing:
        raise SettingsError(f"[telemetry] needs the package {missing[0]}. Run: pip install 'outcrop[telemetry]'")
    if wanted.traces and settings.network == "none" and not is_loopback(wanted.traces):
        raise SettingsError('network is "none", and telemetry.traces would leave this machine. Give a loopback URL.')


def observer(settings: Settings, engines: Engines) -> Observer | None:
    """None where nothing is asked for, so that nothing is paid for it. A port that is taken is said, and no more."""
    wanted = settings.telemetry
    observers: list[Observer] = []
    if wanted.metrics_port:
        from outcrop.telemetry.metrics import Metrics

        try:
            made = Metrics(engines.status, engines.reservations, host=wanted.metrics_host, port=wanted.metrics_port)
            observers.append(made)
        except OSError as problem:
            logger.error("Metrics are not served on port %s: %s", wanted.metrics_port, problem.strerror)
    if wanted.traces:
        from outcrop.telemetry.traces import Traces

        observers.append(Traces(wanted.traces))
    return Several(observers) if observers else None
