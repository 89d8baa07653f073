"""Evaluation: is this model better, and at what?

The library (`suites`, `sandbox`, `run`, `statistics`, `report`) knows engines and nothing of AWS; `jobs` puts Bedrock's
evaluation jobs on top of it.
"""
