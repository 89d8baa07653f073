-- What the operator and the accounts say about models. Aliases belong to the operator and hold for every account.
CREATE TABLE aliases (
    pattern TEXT PRIMARY KEY,
    model_id TEXT NOT NULL,
    created_at TEXT NOT NULL
);

CREATE TABLE inference_profiles (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL,
    region TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT,
    source TEXT NOT NULL,
    client_token TEXT,
    request_hash TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    UNIQUE (account_id, region, client_token)
);

CREATE TABLE tags (
    resource_arn TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (resource_arn, key)
);
