"""Prometheus metrics and OpenTelemetry traces, off unless the settings ask for them."""
