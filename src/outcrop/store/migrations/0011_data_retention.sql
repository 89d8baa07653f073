-- What may be kept of an account's requests: a mode of Bedrock's. Where there is no row it is `default`.
CREATE TABLE data_retention (
    account_id TEXT NOT NULL,
    region TEXT NOT NULL,
    mode TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    PRIMARY KEY (account_id, region)
);
