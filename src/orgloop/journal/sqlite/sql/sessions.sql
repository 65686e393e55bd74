-- The agents' own sessions, and which one each key leads to.

-- name: session
-- The session that a key leads to.
SELECT actor, id, key, active, harness, account, work_dir, machine, parent, total_usd, runs, failed, why, run_id,
       created_at, changed_at, context_tokens
FROM agent_sessions WHERE actor = ? AND key = ? AND active = 1;

-- name: leave_session
-- A key leads to no session but this one any more, unless the run works in a copy.
UPDATE agent_sessions SET active = 0, left_by = ?4, changed_at = ?5
WHERE actor = ?1 AND key = ?2 AND active = 1 AND id <> ?3
  AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.id = ?4 AND json_extract(r.spec, '$.fork_of') IS NOT NULL);

-- name: enter_session
-- A run's key leads to this session, unless it is a copy. If it is another one than the run's, it was made from that.
INSERT INTO agent_sessions
    (actor, id, key, active, harness, account, work_dir, machine, parent, total_usd, run_id, created_at, changed_at)
SELECT r.actor, ?2, r.key, json_extract(r.spec, '$.fork_of') IS NULL, r.harness, r.account,
       coalesce(json_extract(r.spec, '$.cwd'), ''), r.machine,
       coalesce(json_extract(r.spec, '$.fork_of'), nullif(r.session_id, ?2)),
       coalesce((SELECT p.total_usd FROM agent_sessions p
                 WHERE p.actor = r.actor AND p.id = coalesce(json_extract(r.spec, '$.fork_of'), r.session_id)), 0),
       r.id, ?3, ?3
FROM runs r
WHERE r.id = ?1 AND r.key IS NOT NULL AND json_extract(r.spec, '$.fork_of') IS NOT ?2
ON CONFLICT (actor, id) DO UPDATE SET
    key = excluded.key, active = excluded.active, harness = excluded.harness, account = excluded.account,
    work_dir = excluded.work_dir, machine = excluded.machine, run_id = excluded.run_id, left_by = '',
    changed_at = excluded.changed_at;

-- name: session_ended
-- A run in a session has ended: what the session has cost by then, and whether its agent was heard.
UPDATE agent_sessions SET
    total_usd = coalesce(?3, total_usd), runs = runs + ?4,
    failed = CASE ?5 WHEN 0 THEN failed + 1 WHEN 1 THEN 0 ELSE failed END,
    why = CASE ?5 WHEN 0 THEN ?6 WHEN 1 THEN '' ELSE why END, changed_at = ?7,
    context_tokens = coalesce(?8, context_tokens)
WHERE actor = ?1 AND id = ?2;

-- name: forget_session
-- A key leads to no session any more.
UPDATE agent_sessions SET active = 0, why = ?3, changed_at = ?4 WHERE actor = ?1 AND key = ?2 AND active = 1;

-- name: forget_session_id
-- No key leads to this session any more.
UPDATE agent_sessions SET active = 0, why = ?3, changed_at = ?4 WHERE actor = ?1 AND id = ?2 AND active = 1
RETURNING id;

-- name: undo_session
-- A session that a run was to begin and never did.
DELETE FROM agent_sessions WHERE actor = ? AND key = ? AND run_id = ?;

-- name: restore_session
-- The key leads again where it led before that run.
UPDATE agent_sessions SET active = 1, left_by = '', changed_at = ?4
WHERE actor = ?1 AND key = ?2 AND left_by = ?3
  AND NOT EXISTS (SELECT 1 FROM agent_sessions s WHERE s.actor = ?1 AND s.key = ?2 AND s.active = 1);

-- name: delete_sessions
-- Sessions in which nothing has happened since a time, a page of them, but for those of runs that go on.
DELETE FROM agent_sessions WHERE (actor, id) IN (
    SELECT s.actor, s.id FROM agent_sessions s
    WHERE s.changed_at < ?1
      AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.id = s.run_id AND r.ended_at IS NULL)
    LIMIT ?2
);
