"""Customization's operations, one module for each resource."""

from outcrop.customization import deployment_operations, job_operations, model_operations

__all__ = ["deployment_operations", "job_operations", "model_operations"]
