-- The agents' own sessions: one row for each, one active for each key.

ALTER TABLE runs ADD COLUMN account TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN machine TEXT NOT NULL DEFAULT '';
-- Whether its agent has said anything.
ALTER TABLE runs ADD COLUMN answered INTEGER NOT NULL DEFAULT 0;

CREATE TABLE agent_sessions (
    actor      TEXT    NOT NULL,
    id         TEXT    NOT NULL,
    key        TEXT    NOT NULL,
    -- 1 if the key leads here.
    active     INTEGER NOT NULL CHECK (active IN (0, 1)),
    harness    TEXT    NOT NULL,
    account    TEXT    NOT NULL,
    work_dir   TEXT    NOT NULL,
    machine    TEXT    NOT NULL,
    -- The session that it was made from, with that one's total.
    parent     TEXT,
    total_usd  REAL    NOT NULL DEFAULT 0,
    runs       INTEGER NOT NULL DEFAULT 0,
    -- Runs in a row that took it up and heard nothing of the agent.
    failed     INTEGER NOT NULL DEFAULT 0,
    -- Why it failed last, or why the key no longer leads here.
    why        TEXT    NOT NULL DEFAULT '',
    run_id     TEXT    NOT NULL,
    -- The run whose session the key leads to instead.
    left_by    TEXT    NOT NULL DEFAULT '',
    created_at INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    PRIMARY KEY (actor, id)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX agent_sessions_key ON agent_sessions (actor, key) WHERE active = 1;
CREATE INDEX agent_sessions_changed ON agent_sessions (changed_at);

-- Of two keys that led to one session, the later keeps it. The directory is that of its run.
INSERT INTO agent_sessions
    (actor, id, key, active, harness, account, work_dir, machine, runs, run_id, created_at, changed_at)
SELECT s.actor, s.session_id, s.key, 1, coalesce(r.harness, ''), '',
       coalesce(json_extract(r.spec, '$.cwd'), ''), '', 1, s.run_id, s.changed_at, s.changed_at
FROM sessions s LEFT JOIN runs r ON r.id = s.run_id
ORDER BY s.changed_at DESC
ON CONFLICT DO NOTHING;

DROP TABLE sessions;
