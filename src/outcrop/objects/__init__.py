"""Objects under `s3://bucket/key`: in the data folder, in folders of the operator's, or in another S3; and the S3 interface to them."""
