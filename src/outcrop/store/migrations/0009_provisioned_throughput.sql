-- Provisioned throughput: places of a model's engines that are kept for an account. A unit is a place.
CREATE TABLE provisioned_models (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL,
    region TEXT NOT NULL,
    name TEXT NOT NULL,
    model_arn TEXT NOT NULL,
    model_units INTEGER NOT NULL,
    commitment TEXT,
    expires_at TEXT,
    client_token TEXT,
    request_hash TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    UNIQUE (account_id, region, name),
    UNIQUE (account_id, region, client_token)
);
