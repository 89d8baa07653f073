-- What accounts have used of models, in slices of time, added up over all servers. `kind` is what is counted and for how long;
-- `counts_until` is when a slice is no longer counted, in milliseconds since 1970.
CREATE TABLE quota_uses (
    account_id TEXT NOT NULL,
    model_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    counts_until INTEGER NOT NULL,
    amount DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (account_id, model_id, kind, counts_until)
);
