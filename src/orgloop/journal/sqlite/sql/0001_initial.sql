-- The first schema. Times are milliseconds since 1970. Documents are events as JSON.
-- Hot tables carry only unique, append-ordered, or partial indexes.
-- Every seq and pos is drawn from one growing sequence: what has a higher number came later, in any table.

CREATE TABLE events (
    seq            INTEGER PRIMARY KEY,
    id             TEXT    NOT NULL UNIQUE,
    project        TEXT    NOT NULL,
    at             INTEGER NOT NULL,
    source         TEXT    NOT NULL,
    type           TEXT    NOT NULL,
    platform_event TEXT    NOT NULL,
    trace_id       TEXT    NOT NULL,
    hops           INTEGER NOT NULL,
    routes         INTEGER NOT NULL,
    document       BLOB    NOT NULL
) STRICT;

CREATE INDEX events_trace ON events (trace_id, seq);

-- Who has been here: requests by the provider's delivery id, events by their semantic key.
CREATE TABLE seen (
    source   TEXT    NOT NULL,
    kind     TEXT    NOT NULL CHECK (kind IN ('request', 'event')),
    key      TEXT    NOT NULL,
    event_id TEXT    NOT NULL,
    at       INTEGER NOT NULL,
    PRIMARY KEY (source, kind, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX seen_at ON seen (at);

CREATE TABLE deliveries (
    seq         INTEGER PRIMARY KEY,
    id          TEXT    NOT NULL UNIQUE,
    project     TEXT    NOT NULL,
    event_seq   INTEGER NOT NULL REFERENCES events (seq),
    route       TEXT    NOT NULL,
    actor       TEXT    NOT NULL,
    runs        INTEGER NOT NULL CHECK (runs IN (0, 1)),
    state       TEXT    NOT NULL CHECK (state IN
                    ('preparing', 'pending', 'running', 'started', 'delivered', 'dropped', 'held', 'dead', 'discarded')),
    reason      TEXT    NOT NULL DEFAULT '',
    detail      TEXT    NOT NULL DEFAULT '',
    key         TEXT,
    -- 1 if nothing of its key comes before it; promoted when the one before it moves on.
    head        INTEGER NOT NULL CHECK (head IN (0, 1)),
    -- Its place within its key: the acceptance order, or a later one after a release.
    pos         INTEGER NOT NULL,
    due         INTEGER NOT NULL,
    accepted_at INTEGER NOT NULL,
    changed_at  INTEGER NOT NULL,
    age_from    INTEGER NOT NULL,
    attempts    INTEGER NOT NULL DEFAULT 0,
    failures    INTEGER NOT NULL DEFAULT 0,
    crashes     INTEGER NOT NULL DEFAULT 0,
    token       INTEGER NOT NULL DEFAULT 0,
    waived      TEXT    NOT NULL DEFAULT '',
    directory   TEXT,
    run_id      TEXT,
    document    BLOB,
    steps       TEXT
) STRICT;

CREATE INDEX deliveries_event ON deliveries (event_seq);
CREATE INDEX deliveries_claim ON deliveries (actor, due, pos, route) WHERE state = 'pending' AND head = 1;
CREATE INDEX deliveries_key ON deliveries (actor, key, pos)
    WHERE key IS NOT NULL AND state IN ('preparing', 'pending', 'running', 'started');
-- A key has one head: two wakes of one key cannot run at once, whatever the program does.
CREATE UNIQUE INDEX deliveries_head ON deliveries (actor, key) WHERE key IS NOT NULL AND head = 1;
CREATE INDEX deliveries_prepare ON deliveries (route, seq) WHERE state = 'preparing';
CREATE INDEX deliveries_busy ON deliveries (actor) WHERE state IN ('running', 'started');
CREATE INDEX deliveries_attention ON deliveries (state, changed_at) WHERE state IN ('held', 'dead');

-- Keys that a delivery owns for a while: durable deduplication, per route.
CREATE TABLE owned (
    route    TEXT    NOT NULL,
    key      TEXT    NOT NULL,
    at       INTEGER NOT NULL,
    until    INTEGER NOT NULL,
    delivery TEXT    NOT NULL,
    PRIMARY KEY (route, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX owned_until ON owned (until);

-- What happened to deliveries after they were accepted: append only.
CREATE TABLE steps (
    seq          INTEGER PRIMARY KEY,
    at           INTEGER NOT NULL,
    delivery_seq INTEGER NOT NULL REFERENCES deliveries (seq),
    happening    TEXT    NOT NULL,
    state        TEXT    NOT NULL,
    attempt      INTEGER NOT NULL,
    began        INTEGER,
    reason       TEXT    NOT NULL DEFAULT '',
    detail       TEXT    NOT NULL DEFAULT '',
    sop_hash     TEXT,
    sop_file     TEXT,
    run_id       TEXT
) STRICT;

CREATE INDEX steps_delivery ON steps (delivery_seq);
CREATE INDEX steps_sop ON steps (sop_hash) WHERE sop_hash IS NOT NULL;

-- Prompt files as they were when they were used, once per content.
CREATE TABLE sops (
    hash TEXT PRIMARY KEY,
    text TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE runs (
    seq          INTEGER PRIMARY KEY,
    id           TEXT    NOT NULL UNIQUE,
    project      TEXT    NOT NULL,
    delivery_seq INTEGER NOT NULL REFERENCES deliveries (seq),
    actor        TEXT    NOT NULL,
    route        TEXT    NOT NULL,
    harness      TEXT    NOT NULL,
    trace_id     TEXT    NOT NULL,
    hops         INTEGER NOT NULL,
    key          TEXT,
    session_id   TEXT,
    -- 1 if the session was the key's already when this run took it up.
    resumed      INTEGER NOT NULL CHECK (resumed IN (0, 1)),
    directory    TEXT,
    run_dir      TEXT    NOT NULL,
    spec         TEXT    NOT NULL,
    limits       TEXT    NOT NULL,
    started_at   INTEGER NOT NULL,
    ended_at     INTEGER,
    outcome      TEXT    NOT NULL DEFAULT '',
    reason       TEXT    NOT NULL DEFAULT '',
    text         TEXT    NOT NULL DEFAULT '',
    exit_status  INTEGER,
    cost_usd     REAL,
    completion   TEXT    NOT NULL DEFAULT '{}',
    last_line    TEXT    NOT NULL DEFAULT '',
    last_seen    INTEGER,
    read_offset  INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX runs_started ON runs (started_at);
CREATE INDEX runs_trace ON runs (trace_id);
CREATE INDEX runs_delivery ON runs (delivery_seq);
CREATE INDEX runs_open ON runs (actor) WHERE ended_at IS NULL;

-- Which of the agent's own sessions a key leads to.
CREATE TABLE sessions (
    actor      TEXT    NOT NULL,
    key        TEXT    NOT NULL,
    session_id TEXT    NOT NULL,
    run_id     TEXT    NOT NULL,
    changed_at INTEGER NOT NULL,
    PRIMARY KEY (actor, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE sources (
    source       TEXT    PRIMARY KEY,
    checkpoint   TEXT,
    last_poll    INTEGER,
    last_success INTEGER,
    last_event   INTEGER,
    errors       INTEGER NOT NULL DEFAULT 0,
    error        TEXT    NOT NULL DEFAULT '',
    events       INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE TABLE pauses (
    actor  TEXT    PRIMARY KEY,
    since  INTEGER NOT NULL,
    until  INTEGER NOT NULL,
    tries  INTEGER NOT NULL,
    reason TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

-- How many deliveries each route has made and finished, ever: no count is a scan of what is finished.
CREATE TABLE route_stats (
    route     TEXT    PRIMARY KEY,
    fired     INTEGER NOT NULL DEFAULT 0,
    last_fire INTEGER,
    delivered INTEGER NOT NULL DEFAULT 0,
    dropped   INTEGER NOT NULL DEFAULT 0,
    discarded INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE TABLE applied (
    seq      INTEGER PRIMARY KEY,
    at       INTEGER NOT NULL,
    project  TEXT    NOT NULL,
    root     TEXT    NOT NULL,
    snapshot TEXT    NOT NULL
) STRICT;

CREATE TABLE daemons (
    started_at INTEGER PRIMARY KEY,
    last_seen  INTEGER NOT NULL,
    ended_at   INTEGER,
    pid        INTEGER NOT NULL,
    port       INTEGER,
    version    TEXT    NOT NULL
) STRICT;

-- The sequence never steps back, also when the newest rows are pruned: followers keep a number between reads.
CREATE TABLE sequence (
    one   INTEGER PRIMARY KEY CHECK (one = 1),
    floor INTEGER NOT NULL
) STRICT;

INSERT INTO sequence (one, floor) VALUES (1, 0);
