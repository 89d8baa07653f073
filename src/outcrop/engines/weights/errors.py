"""What is wrong with a model's files."""

from __future__ import annotations


class WeightsError(Exception):
    """A sentence for the operator: what is wrong, and what to do."""
