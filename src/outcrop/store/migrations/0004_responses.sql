-- Responses of the OpenAI interface that later ones may continue; input and response are JSON.
CREATE TABLE responses (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL,
    region TEXT NOT NULL,
    previous_id TEXT,
    input TEXT NOT NULL,
    response TEXT NOT NULL,
    created_at TEXT NOT NULL
);

CREATE INDEX responses_by_age ON responses (created_at);
