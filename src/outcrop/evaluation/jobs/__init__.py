"""Bedrock's evaluation jobs: from a data set in S3 and a model, or answers that were supplied, to scores in S3."""

EVALUATION = "evaluation-job"
