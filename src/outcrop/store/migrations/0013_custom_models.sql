-- Models that an account has of its own: customized here (kind `custom`) or brought from elsewhere (kind `imported`).
-- `serving` is `adapter` (of the engine of the foundation model) or `own`; `file` lies in the folder of the model, below
-- HOME/custom-models/ID. `details` is JSON: what the operations tell of it, such as its hyperparameters.
CREATE TABLE custom_models (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL,
    region TEXT NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    arn TEXT NOT NULL,
    base_arn TEXT,
    foundation TEXT,
    customization_type TEXT,
    status TEXT NOT NULL,
    failure TEXT,
    serving TEXT NOT NULL,
    file TEXT NOT NULL,
    details TEXT NOT NULL,
    client_token TEXT,
    request_hash TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    UNIQUE (account_id, region, kind, name),
    UNIQUE (account_id, region, kind, client_token)
);

-- `desired_model_id` is the model that an update puts in the place of the one that answers.
CREATE TABLE custom_model_deployments (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL,
    region TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT,
    model_id TEXT NOT NULL REFERENCES custom_models (id),
    status TEXT NOT NULL,
    failure TEXT,
    desired_model_id TEXT,
    update_status TEXT,
    client_token TEXT,
    request_hash TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    UNIQUE (account_id, region, name),
    UNIQUE (account_id, region, client_token)
);
