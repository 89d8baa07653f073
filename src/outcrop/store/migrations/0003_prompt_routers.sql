-- Prompt routers. `models` is a JSON list of ARNs, `quality_difference` a percentage as decimal text.
CREATE TABLE prompt_routers (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL,
    region TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT,
    models TEXT NOT NULL,
    fallback_model TEXT NOT NULL,
    quality_difference TEXT NOT NULL,
    client_token TEXT,
    request_hash TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    UNIQUE (account_id, region, name),
    UNIQUE (account_id, region, client_token)
);
