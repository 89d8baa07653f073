"""The audit trail: one record for each call, refused ones included, in files that show whether anybody touched them."""
