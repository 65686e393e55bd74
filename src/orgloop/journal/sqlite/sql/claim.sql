-- Finding work.

-- name: due
-- Heads that are due, oldest first, with all that waking needs.
SELECT d.seq, d.id, d.token + 1, e.id, d.route, d.actor, d.accepted_at, d.age_from,
       d.attempts, d.failures, d.crashes, d.key, coalesce(d.document, e.document), e.trace_id, e.hops, s.session_id
FROM deliveries d
CROSS JOIN events e ON e.seq = d.event_seq
LEFT JOIN sessions s ON s.actor = d.actor AND s.key = d.key
WHERE d.actor = ? AND d.state = 'pending' AND d.head = 1 AND d.due <= ?
ORDER BY d.due, d.pos LIMIT ?;

-- name: one
-- One of them, by seq.
SELECT d.seq, d.id, d.token + 1, e.id, d.route, d.actor, d.accepted_at, d.age_from,
       d.attempts, d.failures, d.crashes, d.key, coalesce(d.document, e.document), e.trace_id, e.hops, s.session_id
FROM deliveries d
CROSS JOIN events e ON e.seq = d.event_seq
LEFT JOIN sessions s ON s.actor = d.actor AND s.key = d.key
WHERE d.seq = ?;

-- name: candidates
-- Heads that are due, oldest first, but for those of some routes, with what a guard asks about.
SELECT d.seq, d.route, e.hops, d.age_from, d.waived
FROM deliveries d
CROSS JOIN events e ON e.seq = d.event_seq
WHERE d.actor = ? AND d.state = 'pending' AND d.head = 1 AND d.due <= ?
  AND d.route NOT IN (SELECT value FROM json_each(?))
ORDER BY d.due, d.pos LIMIT ?;

-- name: take
-- Claims. The token fences off whoever held it before.
UPDATE deliveries SET
    state = 'running', token = token + 1, due = ?2, changed_at = ?2, directory = ?3, reason = '', detail = '',
    worker = ?4, leased_until = ?5
WHERE seq IN (SELECT value FROM json_each(?1));

-- name: later
-- When the actor's next head is due.
SELECT due FROM deliveries
WHERE actor = ? AND state = 'pending' AND head = 1 AND due > ?
ORDER BY due LIMIT 1;

-- name: busy
-- Wakes that lead to runs, and runs, that go on now.
SELECT actor, route, directory, state FROM deliveries INDEXED BY deliveries_busy
WHERE state IN ('running', 'started') AND runs = 1;

-- name: knocking
-- Whether a wake of this actor is on its way that began since its pause was over, and has not ended it.
SELECT EXISTS (
    SELECT 1 FROM deliveries d LEFT JOIN runs r ON r.id = d.run_id
    WHERE d.actor = ?1 AND d.state IN ('running', 'started')
      AND iif(d.state = 'running', d.due, r.started_at) >= ?2);

-- name: runs_since
-- Runs that began after a time, and not later than now: the clock may have been set back since.
SELECT count(*) FROM runs WHERE started_at > ? AND started_at <= ? AND reason <> 'not_started';

-- name: to_prepare
-- What of one route waits for its transforms, in acceptance order.
SELECT d.id, d.seq, e.id, d.route, d.actor, e.document
FROM deliveries d INDEXED BY deliveries_prepare
CROSS JOIN events e ON e.seq = d.event_seq
WHERE d.state = 'preparing' AND d.route = ?
ORDER BY d.seq LIMIT ?;
