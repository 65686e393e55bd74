-- What runs reserve and use, which scopes are full, and for how long they were.

-- One row for each wake of an actor with runs: reserved by its claim, settled when its run ends.
CREATE TABLE charges (
    seq          INTEGER PRIMARY KEY,
    delivery_seq INTEGER NOT NULL,
    at           INTEGER NOT NULL,
    ended_at     INTEGER,
    account      TEXT,
    actor        TEXT    NOT NULL,
    route        TEXT    NOT NULL,
    key          TEXT,
    trace        TEXT    NOT NULL,
    tree         TEXT,
    runs         INTEGER NOT NULL DEFAULT 1 CHECK (runs = 1),
    -- Millionths of a US dollar, tokens, milliseconds.
    usd          INTEGER NOT NULL,
    tokens       INTEGER NOT NULL,
    run_time     INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX charges_open ON charges (delivery_seq) WHERE ended_at IS NULL;
CREATE INDEX charges_at ON charges (at);
CREATE INDEX charges_ended ON charges (ended_at) WHERE ended_at IS NOT NULL;

-- What a whole chain has used, ever: not a sum over rows that are deleted in time.
CREATE TABLE trace_totals (
    trace      TEXT    PRIMARY KEY,
    runs       INTEGER NOT NULL,
    usd        INTEGER NOT NULL,
    tokens     INTEGER NOT NULL,
    run_time   INTEGER NOT NULL,
    changed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX trace_totals_changed ON trace_totals (changed_at);

-- Which scopes are full: their wakes are not looked at. `until` is NULL if something must end first.
CREATE TABLE waits_for (
    level   TEXT    NOT NULL,
    name    TEXT    NOT NULL,
    actor   TEXT    NOT NULL,
    unit    TEXT    NOT NULL,
    window  TEXT    NOT NULL,
    most    INTEGER NOT NULL,
    setting TEXT    NOT NULL,
    since   INTEGER NOT NULL,
    until   INTEGER,
    PRIMARY KEY (level, name, actor, unit, window)
) STRICT, WITHOUT ROWID;

CREATE INDEX waits_for_until ON waits_for (until) WHERE until IS NOT NULL;

-- When scopes were full, and actors paused: that time is no part of a wake's age.
CREATE TABLE waited (
    level TEXT    NOT NULL,
    name  TEXT    NOT NULL,
    actor TEXT    NOT NULL,
    since INTEGER NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (level, name, actor, since)
) STRICT, WITHOUT ROWID;

CREATE INDEX waited_until ON waited (until);

INSERT INTO charges (delivery_seq, at, actor, route, key, trace, tree, usd, tokens, run_time)
SELECT d.seq, coalesce(r.started_at, d.due), d.actor, d.route, d.key, e.trace_id, d.directory, 0, 0, 0
FROM deliveries d INDEXED BY deliveries_busy
CROSS JOIN events e ON e.seq = d.event_seq
LEFT JOIN runs r ON r.id = d.run_id AND d.state = 'started'
WHERE d.state IN ('running', 'started') AND d.runs = 1;

INSERT INTO charges (delivery_seq, at, ended_at, actor, route, key, trace, tree, usd, tokens, run_time)
SELECT delivery_seq, started_at, ended_at, actor, route, key, trace_id, directory,
       CAST(round(coalesce(cost_usd, 0) * 1000000) AS INTEGER), 0, max(0, ended_at - started_at)
FROM runs
WHERE ended_at IS NOT NULL AND reason <> 'not_started'
  AND started_at > (SELECT max(started_at) FROM runs) - 86400000;

INSERT INTO trace_totals (trace, runs, usd, tokens, run_time, changed_at)
SELECT trace_id, count(*), CAST(round(sum(coalesce(cost_usd, 0)) * 1000000) AS INTEGER), 0,
       sum(max(0, coalesce(ended_at, started_at) - started_at)), max(coalesce(ended_at, started_at))
FROM runs
WHERE reason <> 'not_started'
GROUP BY trace_id;

-- The keys of which a delivery owns each, once it was let pass: JSON, [[key, window in ms], ...].
ALTER TABLE deliveries ADD COLUMN once TEXT;

UPDATE deliveries SET once = o.keys
FROM (SELECT delivery, json_group_array(json_array(key, until - at)) AS keys FROM owned GROUP BY delivery) o
WHERE deliveries.id = o.delivery AND state NOT IN ('delivered', 'dropped', 'discarded');

DELETE FROM owned WHERE delivery IN (
    SELECT id FROM deliveries INDEXED BY deliveries_attention
    WHERE state IN ('held', 'dead') AND (state = 'dead' OR reason IN ('untrusted', 'transform')));

ALTER TABLE deliveries DROP COLUMN directory;
