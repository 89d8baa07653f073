-- Keys of accounts, under which what they store is encrypted. Each version's 256 bits are encrypted with the key file's.
CREATE TABLE encryption_keys (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL,
    region TEXT NOT NULL,
    alias TEXT,
    description TEXT NOT NULL,
    state TEXT NOT NULL,
    created_at TEXT NOT NULL,
    UNIQUE (account_id, region, alias)
);

CREATE TABLE encryption_key_versions (
    key_id TEXT NOT NULL REFERENCES encryption_keys (id),
    number INTEGER NOT NULL,
    material BLOB NOT NULL,
    created_at TEXT NOT NULL,
    PRIMARY KEY (key_id, number)
);

-- The data key of the file, wrapped under a key's version; none for a file that is not encrypted.
ALTER TABLE object_parts ADD COLUMN sealed TEXT;

-- The model that answered, which is asked for where the rest need not be opened.
ALTER TABLE responses ADD COLUMN model TEXT;
