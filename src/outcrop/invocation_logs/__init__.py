"""Model invocation logging: what was asked and answered, in AWS's record format, in objects of the account's own."""
