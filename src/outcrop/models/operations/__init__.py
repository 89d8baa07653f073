"""Bedrock's operations on models, one module for each resource."""

from outcrop.models.operations import foundation_models, inference_profiles

__all__ = ["foundation_models", "inference_profiles"]
