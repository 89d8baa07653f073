"""Customization: jobs that train models, the custom models that they leave, and what these are called by.

A job is a task of the server's own process, which brings the data from S3, runs the trainer (`outcrop.training.customizing`)
as a process that knows no AWS, follows it, and takes what it made back to S3 and into the catalogue.
"""
