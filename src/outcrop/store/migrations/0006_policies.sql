-- Several accounts, and what their users and roles may do. Policies that AWS manages are no rows.
ALTER TABLE accounts ADD COLUMN name TEXT;
ALTER TABLE accounts ADD COLUMN number INTEGER NOT NULL DEFAULT 1;
ALTER TABLE users ADD COLUMN boundary TEXT;

CREATE TABLE policies (
    arn TEXT PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES accounts (id),
    name TEXT NOT NULL,
    document TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    UNIQUE (account_id, name)
);

CREATE TABLE roles (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES accounts (id),
    name TEXT NOT NULL,
    trust TEXT NOT NULL,
    max_session_seconds INTEGER NOT NULL,
    boundary TEXT,
    created_at TEXT NOT NULL,
    UNIQUE (account_id, name)
);

CREATE TABLE policy_attachments (
    principal_id TEXT NOT NULL,
    policy_arn TEXT NOT NULL,
    PRIMARY KEY (principal_id, policy_arn)
);

CREATE TABLE principal_tags (
    principal_id TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (principal_id, key)
);

CREATE TABLE resource_policies (
    resource_arn TEXT PRIMARY KEY,
    account_id TEXT NOT NULL,
    document TEXT NOT NULL,
    updated_at TEXT NOT NULL
);

-- Whoever could do everything before there were policies still can.
INSERT INTO policy_attachments (principal_id, policy_arn)
SELECT id, 'arn:aws:iam::aws:policy/AdministratorAccess' FROM users;
