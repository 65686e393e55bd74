-- What happened to sources and to the daemon itself: records that belong to no delivery.

CREATE TABLE system (
    seq      INTEGER PRIMARY KEY,
    project  TEXT    NOT NULL,
    at       INTEGER NOT NULL,
    phase    TEXT    NOT NULL,
    -- The source, or the part of the daemon.
    subject  TEXT    NOT NULL,
    event_id TEXT    NOT NULL,
    detail   TEXT    NOT NULL,
    -- How many alike it stands for.
    times    INTEGER NOT NULL
) STRICT;

CREATE INDEX system_at ON system (at);
