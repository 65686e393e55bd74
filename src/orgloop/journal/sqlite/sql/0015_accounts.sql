-- Accounts whose work waits, and why a scope's work waits.

-- Nothing starts with such an account until that time, or until a person lets it go on (NULL).
CREATE TABLE parked (
    account     TEXT    PRIMARY KEY,
    since       INTEGER NOT NULL,
    until       INTEGER,
    -- 1 if a person parked it, 0 if its usage limit was met.
    by_person   INTEGER NOT NULL CHECK (by_person IN (0, 1)),
    reason      TEXT    NOT NULL,
    -- The wake that probes once that time has come: a delivery (by seq) and the token of its claim.
    probe       INTEGER,
    probe_token INTEGER
) STRICT, WITHOUT ROWID;

-- `cause`: a limit that is full, an account that is parked, or quiet hours.
CREATE TABLE waits_anew (
    level   TEXT    NOT NULL,
    name    TEXT    NOT NULL,
    actor   TEXT    NOT NULL,
    unit    TEXT    NOT NULL,
    window  TEXT    NOT NULL,
    cause   TEXT    NOT NULL,
    most    INTEGER NOT NULL,
    setting TEXT    NOT NULL,
    since   INTEGER NOT NULL,
    until   INTEGER,
    PRIMARY KEY (level, name, actor, unit, window, cause)
) STRICT, WITHOUT ROWID;

INSERT INTO waits_anew
SELECT level, name, actor, unit, window, 'limit', most, setting, since, until FROM waits_for;

DROP TABLE waits_for;

ALTER TABLE waits_anew RENAME TO waits_for;

CREATE INDEX waits_for_until ON waits_for (until) WHERE until IS NOT NULL;
