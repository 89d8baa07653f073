"""Bedrock's operations on models, one module for each resource."""

from outcrop.models.operations import (
    foundation_models,
    inference_profiles,
    prompt_routers,
    provisioned_throughput,
)

__all__ = ["foundation_models", "inference_profiles", "prompt_routers", "provisioned_throughput"]
