"""Customization's operations, one module for each resource."""

from outcrop.customization import copy_operations, deployment_operations, job_operations, model_operations

__all__ = ["copy_operations", "deployment_operations", "job_operations", "model_operations"]
