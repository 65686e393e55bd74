-- How often actors were woken, where a rate bounds it: one row for each scope, window and step of time.

CREATE TABLE wake_counts (
    level  TEXT    NOT NULL,
    name   TEXT    NOT NULL,
    actor  TEXT    NOT NULL,
    window TEXT    NOT NULL,
    begins INTEGER NOT NULL,
    count  INTEGER NOT NULL,
    PRIMARY KEY (level, name, actor, window, begins)
) STRICT, WITHOUT ROWID;

CREATE INDEX wake_counts_begins ON wake_counts (begins);
