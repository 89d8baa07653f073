-- Buckets of the data folder, and what is in them. A key is its UTF-8 bytes, so that it may hold anything and is ordered as S3
-- orders it. `headers`, `metadata` and `checksum` are JSON.
CREATE TABLE buckets (
    name TEXT PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES accounts (id),
    region TEXT NOT NULL,
    created_at TEXT NOT NULL
);

CREATE INDEX buckets_of_account ON buckets (account_id, name);

CREATE TABLE objects (
    bucket TEXT NOT NULL REFERENCES buckets (name),
    key BLOB NOT NULL,
    id TEXT NOT NULL UNIQUE,
    size INTEGER NOT NULL,
    etag TEXT NOT NULL,
    modified_at TEXT NOT NULL,
    headers TEXT NOT NULL,
    metadata TEXT NOT NULL,
    checksum TEXT,
    PRIMARY KEY (bucket, key)
);

CREATE TABLE object_uploads (
    id TEXT PRIMARY KEY,
    bucket TEXT NOT NULL REFERENCES buckets (name),
    key BLOB NOT NULL,
    initiated_at TEXT NOT NULL,
    headers TEXT NOT NULL,
    metadata TEXT NOT NULL,
    algorithm TEXT,
    kind TEXT
);

CREATE INDEX object_uploads_by_key ON object_uploads (bucket, key, id);

-- The files that an object is made of, in the order of their numbers. `owner` is the id of an object or of an upload, which
-- becomes the object's when it is complete.
CREATE TABLE object_parts (
    blob TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    number INTEGER NOT NULL,
    size INTEGER NOT NULL,
    etag TEXT NOT NULL,
    modified_at TEXT NOT NULL,
    checksum TEXT,
    UNIQUE (owner, number)
);
