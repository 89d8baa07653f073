"""Pretraining, which Bedrock has no operation for: a recipe trains a model of the account's own, as a task of the server.

The model is an imported one then, answers by its ARN and may be customized further.
"""
