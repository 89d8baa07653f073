-- Work that outlives a request and a process. A job is open until it has `ended_at`; whoever holds it has raised `fence`
-- and every write names the fence it was made under. `input`, `state`, `result` and `metrics` are JSON.
CREATE TABLE jobs (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL,
    region TEXT NOT NULL,
    kind TEXT NOT NULL,
    name TEXT,
    unique_name TEXT,
    input TEXT NOT NULL,
    client_token TEXT,
    request_hash TEXT NOT NULL,
    status TEXT NOT NULL,
    reason TEXT,
    result TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    started_at TEXT,
    stop_at TEXT,
    ended_at TEXT,
    fence INTEGER NOT NULL,
    holder TEXT,
    claimed_at TEXT,
    lease_until TEXT,
    not_before TEXT NOT NULL,
    crashes INTEGER NOT NULL,
    problem TEXT,
    state TEXT,
    done DOUBLE PRECISION,
    total DOUBLE PRECISION,
    metrics TEXT,
    progress_at TEXT,
    UNIQUE (account_id, region, kind, client_token),
    UNIQUE (account_id, region, kind, unique_name)
);

CREATE INDEX jobs_open ON jobs (ended_at, kind, not_before);

CREATE INDEX jobs_by_turn ON jobs (account_id, claimed_at);

CREATE INDEX jobs_held ON jobs (account_id, lease_until);

-- What a job said, numbered within the attempt (the fence) that said it, so that a line written twice is there once.
CREATE TABLE job_lines (
    job_id TEXT NOT NULL REFERENCES jobs (id),
    fence INTEGER NOT NULL,
    number INTEGER NOT NULL,
    said_at TEXT NOT NULL,
    line TEXT NOT NULL,
    PRIMARY KEY (job_id, fence, number)
);
