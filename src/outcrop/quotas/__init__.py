"""Requests and tokens per minute and day, of each account and model, as Bedrock counts them."""
