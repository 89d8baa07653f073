-- What models answered in evaluation jobs, so that a job that begins again asks nothing twice. `key` is a digest of the
-- model, what it was asked and the parameters; `job_id` the job that asked first.
CREATE TABLE evaluation_answers (
    account_id TEXT NOT NULL,
    region TEXT NOT NULL,
    key TEXT NOT NULL,
    job_id TEXT NOT NULL,
    answer TEXT NOT NULL,
    given_at TEXT NOT NULL,
    PRIMARY KEY (account_id, region, key)
);

CREATE INDEX evaluation_answers_of_job ON evaluation_answers (job_id);

CREATE INDEX evaluation_answers_by_age ON evaluation_answers (given_at);
