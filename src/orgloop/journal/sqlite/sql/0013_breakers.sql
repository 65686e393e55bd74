-- Circuit breakers: an actor is paused not only while nobody answers for it, but also after failures in a row.

ALTER TABLE pauses ADD COLUMN kind TEXT NOT NULL DEFAULT 'unavailable' CHECK (kind IN ('unavailable', 'breaker'));

-- How often an actor has failed in a row. One that has not is not here.
CREATE TABLE failures (
    actor      TEXT    PRIMARY KEY,
    count      INTEGER NOT NULL,
    changed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
