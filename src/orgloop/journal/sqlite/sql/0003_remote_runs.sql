-- Runs that are jobs of another system.

CREATE TABLE remote_runs (
    run_id  TEXT PRIMARY KEY,
    -- What was or will be sent, byte for byte.
    request BLOB NOT NULL,
    -- What the other system calls it, as JSON; NULL until it is known to have begun.
    ref     TEXT,
    -- When a person asked to end it.
    stop_at INTEGER
) STRICT;

-- The first end that a callback brought for a run, as JSON.
CREATE TABLE callbacks (
    run_id TEXT    PRIMARY KEY,
    at     INTEGER NOT NULL,
    result BLOB    NOT NULL
) STRICT, WITHOUT ROWID;
