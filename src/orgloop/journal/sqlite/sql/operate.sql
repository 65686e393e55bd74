-- The daemon's and the operator's hands.

-- name: interrupted
-- How many wakes were interrupted: a worker's own (`?1`), and those whose lease is over (`?2`).
SELECT count(*) FROM deliveries INDEXED BY deliveries_busy
WHERE state IN ('running', 'started') AND state = 'running'
  AND (worker = ?1 OR leased_until <= ?2);

-- name: recover_steps
-- One step for each of them. `?2` is the first's seq, `?3` how many crashes hold it.
INSERT INTO steps (seq, at, delivery_seq, transition, state, attempt, reason, detail)
SELECT ?2 - 1 + row_number() OVER (ORDER BY seq), ?1, seq, 'interrupted',
       iif(crashes + 1 >= ?3, 'held', 'pending'), attempts,
       iif(crashes + 1 >= ?3, 'crashes', ''),
       iif(crashes + 1 >= ?3, 'the daemon died ' || (crashes + 1) || ' times while it handled this', '')
FROM deliveries INDEXED BY deliveries_busy
WHERE state IN ('running', 'started') AND state = 'running'
  AND (worker = ?4 OR leased_until <= ?1);

-- name: recover
-- What they interrupted goes back, or is held after too many deaths. Keys lose their heads.
UPDATE deliveries INDEXED BY deliveries_busy SET
    crashes = crashes + 1,
    state = iif(crashes + 1 >= ?2, 'held', 'pending'),
    reason = iif(crashes + 1 >= ?2, 'crashes', ''),
    detail = iif(crashes + 1 >= ?2, 'the daemon died ' || (crashes + 1) || ' times while it handled this', ''),
    due = iif(crashes + 1 >= ?2, 0, ?1),
    head = (crashes + 1 < ?2 AND key IS NULL AND lead IS NULL),
    changed_at = ?1
WHERE state IN ('running', 'started') AND state = 'running'
  AND (worker = ?3 OR leased_until <= ?1)
RETURNING state;

-- name: last_seen
-- When a daemon was last alive.
SELECT max(last_seen) FROM daemons;

-- name: seen_by_now
-- What the clock said before it was set back is not asked again.
UPDATE daemons SET last_seen = ?1 WHERE last_seen > ?1;

-- name: seen_by_work
-- The daemon that was there last, and died, was alive while its work was written.
UPDATE daemons SET last_seen = max(last_seen, min(?1, (SELECT at FROM last_sign)))
WHERE ended_at IS NULL AND started_at = (SELECT max(started_at) FROM daemons);

-- name: set_back_heads
-- What may be claimed is due as long from now as it was before the clock was set back.
UPDATE deliveries INDEXED BY deliveries_claim SET due = due - ?2
WHERE state = 'pending' AND head = 1 AND due > ?1;

-- name: set_back_others
-- The same for those behind them.
UPDATE deliveries INDEXED BY deliveries_key SET due = due - ?2
WHERE key IS NOT NULL AND state IN ('preparing', 'pending', 'running', 'started')
  AND state = 'pending' AND head = 0 AND due > ?1;

-- name: set_back_pauses
-- The same for pauses.
UPDATE pauses SET since = since - ?2, until = until - ?2 WHERE until > ?1;

-- name: promote_all
-- Every key that lost its head gets its next one.
UPDATE deliveries SET head = 1, due = max(due, ?1)
WHERE seq IN (
    SELECT (SELECT f.seq FROM deliveries f
            WHERE f.actor = k.actor AND f.key = k.key
              AND f.state IN ('preparing', 'pending', 'running', 'started')
            ORDER BY f.pos LIMIT 1)
    FROM deliveries k INDEXED BY deliveries_key
    WHERE k.key IS NOT NULL AND k.state IN ('preparing', 'pending', 'running', 'started')
    GROUP BY k.actor, k.key HAVING max(k.head) = 0);

-- name: apply
-- What is applied from now on.
INSERT INTO applied (seq, at, project, root, snapshot) VALUES (?, ?, ?, ?, ?);

-- name: keep_applied
-- Only the last hundred are kept.
DELETE FROM applied WHERE seq NOT IN (SELECT seq FROM applied ORDER BY seq DESC LIMIT 100);

-- name: rename_work
-- What is not finished of a route that has another name now. An open batch is closed where the route has one.
UPDATE deliveries SET
    route = ?2,
    batch = iif(batch IS NOT NULL AND EXISTS (
        SELECT 1 FROM deliveries o WHERE o.route = ?2 AND o.batch = deliveries.batch), NULL, batch)
WHERE seq IN (
    SELECT seq FROM deliveries INDEXED BY deliveries_prepare WHERE state = 'preparing' AND route = ?1
    UNION
    SELECT seq FROM deliveries INDEXED BY deliveries_claim WHERE state = 'pending' AND head = 1 AND route = ?1
    UNION
    SELECT seq FROM deliveries INDEXED BY deliveries_key
    WHERE key IS NOT NULL AND state IN ('preparing', 'pending', 'running', 'started') AND route = ?1
    UNION
    SELECT seq FROM deliveries INDEXED BY deliveries_busy WHERE state IN ('running', 'started') AND route = ?1
    UNION
    SELECT seq FROM deliveries INDEXED BY deliveries_attention WHERE state IN ('held', 'dead') AND route = ?1
    UNION
    SELECT seq FROM deliveries INDEXED BY deliveries_members
    WHERE lead IS NOT NULL AND route = ?1 AND state NOT IN ('delivered', 'dropped', 'discarded'));

-- name: rename_owned
-- Its keys are those of the new name, as far as that does not own them itself.
UPDATE OR IGNORE owned SET route = ?2 WHERE route = ?1;

-- name: rename_charges
-- What its runs used counts for the new name.
UPDATE charges SET route = ?2 WHERE route = ?1;

-- name: rename_runs
-- Runs that go on belong to it.
UPDATE runs SET route = ?2 WHERE route = ?1 AND ended_at IS NULL;

-- name: rename_unfinished
-- All that is not finished of it has the new name.
INSERT INTO unfinished (route, actor, count) SELECT ?2, actor, count FROM unfinished WHERE route = ?1
ON CONFLICT (route, actor) DO UPDATE SET count = count + excluded.count;

-- name: forget_unfinished
-- The old name has none left.
UPDATE unfinished SET count = 0 WHERE route = ?1;

-- name: waiting_work
-- All that a new configuration may concern: what waits for its turn or for a person.
SELECT seq, route, actor, runs, state, reason, attempts FROM deliveries INDEXED BY deliveries_prepare
WHERE state = 'preparing'
UNION ALL
SELECT seq, route, actor, runs, state, reason, attempts FROM deliveries INDEXED BY deliveries_claim
WHERE state = 'pending' AND head = 1
UNION ALL
SELECT seq, route, actor, runs, state, reason, attempts FROM deliveries INDEXED BY deliveries_key
WHERE key IS NOT NULL AND state IN ('preparing', 'pending', 'running', 'started')
  AND state = 'pending' AND head = 0
UNION ALL
SELECT seq, route, actor, runs, state, reason, attempts FROM deliveries INDEXED BY deliveries_attention
WHERE state IN ('held', 'dead') AND lead IS NULL
ORDER BY seq;

-- name: held_before
-- What waits for a person since before a time.
SELECT seq FROM deliveries
WHERE state IN ('held', 'dead') AND state = 'held' AND changed_at < ?
ORDER BY changed_at LIMIT ?;

-- name: oldest_events
-- A page of events from the oldest on, and whether work of theirs goes on, or did at a time.
SELECT e.seq, e.at, EXISTS (
    SELECT 1 FROM deliveries d
    WHERE d.event_seq = e.seq AND (d.state NOT IN ('delivered', 'dropped', 'discarded') OR d.changed_at >= ?))
FROM events e WHERE e.seq > ? ORDER BY e.seq LIMIT ?;

-- name: doomed_sops
-- Prompt files that the given events' steps carried.
SELECT DISTINCT sop_hash FROM steps
WHERE sop_hash IS NOT NULL
  AND delivery_seq IN (SELECT seq FROM deliveries WHERE event_seq IN (SELECT value FROM json_each(?)));

-- name: delete_steps
-- The steps of the given events.
DELETE FROM steps
WHERE delivery_seq IN (SELECT seq FROM deliveries WHERE event_seq IN (SELECT value FROM json_each(?)));

-- name: delete_callbacks
-- What callbacks brought for the runs of the given events.
DELETE FROM callbacks
WHERE run_id IN (
    SELECT r.id FROM deliveries d JOIN runs r ON r.delivery_seq = d.seq
    WHERE d.event_seq IN (SELECT value FROM json_each(?))
);

-- name: delete_remote_runs
-- What was sent for the runs of the given events.
DELETE FROM remote_runs
WHERE run_id IN (
    SELECT r.id FROM deliveries d JOIN runs r ON r.delivery_seq = d.seq
    WHERE d.event_seq IN (SELECT value FROM json_each(?))
);

-- name: delete_runs
-- The runs of the given events.
DELETE FROM runs
WHERE delivery_seq IN (SELECT seq FROM deliveries WHERE event_seq IN (SELECT value FROM json_each(?)));

-- name: delete_deliveries
-- The deliveries of the given events.
DELETE FROM deliveries WHERE event_seq IN (SELECT value FROM json_each(?));

-- name: delete_events
-- The given events.
DELETE FROM events WHERE seq IN (SELECT value FROM json_each(?));

-- name: delete_sops
-- Those of the given prompt files that no step carries any more.
DELETE FROM sops
WHERE hash IN (SELECT value FROM json_each(?))
  AND NOT EXISTS (SELECT 1 FROM steps WHERE sop_hash = sops.hash);

-- name: delete_seen
-- Requests and identities that have been known for long enough.
DELETE FROM seen
WHERE (source, kind, key) IN (SELECT source, kind, key FROM seen WHERE at < ? ORDER BY at LIMIT ?);

-- name: delete_owned
-- Keys whose window is over.
DELETE FROM owned
WHERE (route, key) IN (SELECT route, key FROM owned WHERE until < ? ORDER BY until LIMIT ?);

-- name: raise_floor
-- The sequence goes on from here, whatever is deleted.
UPDATE sequence SET floor = ?;

-- name: shrink
-- Give pages that are free back to the disk.
PRAGMA incremental_vacuum(512);

-- name: beat
-- A daemon's life.
INSERT INTO daemons (started_at, last_seen, ended_at, pid, port, version) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT (started_at) DO UPDATE SET last_seen = ?2, ended_at = ?3, pid = ?4, port = ?5, version = ?6;

-- name: keep_daemons
-- Only the last hundred lives are kept.
DELETE FROM daemons WHERE started_at NOT IN (SELECT started_at FROM daemons ORDER BY started_at DESC LIMIT 100);

-- name: insert_system
-- Something that happened to a source or to the daemon itself.
INSERT INTO system (seq, project, at, phase, subject, event_id, detail, times) VALUES (?, ?, ?, ?, ?, ?, ?, ?);

-- name: delete_system
-- What happened so long ago, some of it.
DELETE FROM system WHERE seq IN (SELECT seq FROM system WHERE at < ? ORDER BY at LIMIT ?);
