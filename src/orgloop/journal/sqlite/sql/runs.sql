-- Runs.

-- name: insert_run
-- A run, with its event's lineage.
INSERT INTO runs
    (seq, id, project, delivery_seq, actor, route, harness, trace_id, hops, key, session_id, resumed,
     directory, run_dir, spec, limits, started_at, account, machine)
SELECT ?1, ?2, d.project, d.seq, ?4, d.route, ?5, e.trace_id, e.hops, coalesce(d.key, d.loose_key), ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14
FROM deliveries d JOIN events e ON e.seq = d.event_seq
WHERE d.seq = ?3;

-- name: insert_remote
-- What is about to be sent to another system.
INSERT INTO remote_runs (run_id, request) VALUES (?, ?);

-- name: open_run
-- A run that has not ended, with what its delivery's move needs.
SELECT r.seq, r.actor, r.key, r.started_at, r.resumed, d.seq, d.actor, d.route, d.key, r.session_id,
       d.members, r.begun_at, d.attempts, json_extract(r.spec, '$.fork_of')
FROM runs r JOIN deliveries d ON d.seq = r.delivery_seq
WHERE r.id = ? AND r.ended_at IS NULL AND d.state = 'started' AND d.run_id = r.id;

-- name: close_run
-- A run's end.
UPDATE runs SET
    ended_at = ?2, outcome = ?3, reason = ?4, text = ?5, completion = ?6, exit_status = ?7,
    cost_usd = coalesce(?8, cost_usd), session_id = coalesce(?9, session_id),
    last_line = coalesce(nullif(?10, ''), last_line)
WHERE seq = ?1;

-- name: run_begun
-- It is known that a run has begun, for the first time.
UPDATE runs SET begun_at = ?2, session_id = coalesce(?3, session_id), last_seen = ?2
WHERE id = ?1 AND ended_at IS NULL AND begun_at IS NULL;

-- name: note_run
-- What a run said last.
UPDATE runs SET last_line = ?2, read_offset = ?3, last_seen = coalesce(?4, last_seen), session_id = coalesce(?5, session_id),
    cost_usd = coalesce(?6, cost_usd), answered = max(answered, ?7)
WHERE id = ?1 AND ended_at IS NULL
RETURNING actor, delivery_seq;

-- name: open_runs
-- Every run of a worker that has not ended, oldest first.
SELECT r.id, d.id, e.id, r.actor, r.route, r.harness, r.run_dir, r.key, r.session_id, r.resumed, r.started_at,
       r.trace_id, r.hops, d.seq, r.directory, r.limits, r.read_offset,
       d.accepted_at, d.age_from, d.attempts, d.failures, d.crashes, r.spec, r.cost_usd,
       m.request, m.ref, m.stop_at, b.result, r.answered, coalesce(s.total_usd, 0), r.last_seen, d.members,
       r.begun_at
FROM runs r INDEXED BY runs_open
CROSS JOIN deliveries d ON d.seq = r.delivery_seq
CROSS JOIN events e ON e.seq = d.event_seq
LEFT JOIN remote_runs m ON m.run_id = r.id
LEFT JOIN callbacks b ON b.run_id = r.id
LEFT JOIN agent_sessions s ON s.actor = r.actor AND s.id = coalesce(r.session_id, json_extract(r.spec, '$.fork_of'))
WHERE r.ended_at IS NULL AND d.worker = ?
ORDER BY r.seq;
