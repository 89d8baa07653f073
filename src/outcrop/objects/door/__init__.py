"""The S3 interface to the objects of the data folder: what AWS's SDKs, its CLI and other S3 clients need of it."""
