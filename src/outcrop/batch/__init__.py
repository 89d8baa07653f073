"""Batch inference and asynchronous invocations: many answers, or a late one, from S3 to S3.

Such a job runs as a task of the server's own process, beside its engines, with the claims, leases and checkpoints of
`jobs`. See "Where batch jobs run" in docs/architecture.md.
"""
