-- Where an account wants its invocations of models written down; the configuration is JSON.
CREATE TABLE invocation_logging (
    account_id TEXT NOT NULL,
    region TEXT NOT NULL,
    configuration TEXT NOT NULL,
    PRIMARY KEY (account_id, region)
);
