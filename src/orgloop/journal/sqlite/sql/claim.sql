-- Finding work.

-- name: due
-- Heads that are due, oldest first, with all that waking needs. What a person paused is left out.
SELECT d.seq, d.id, d.token + 1, e.id, d.route, d.actor, d.accepted_at, d.age_from,
       d.attempts, d.failures, d.crashes, coalesce(d.key, d.loose_key), coalesce(d.document, e.document), e.trace_id, e.hops, s.id,
       d.members
FROM deliveries d
CROSS JOIN events e ON e.seq = d.event_seq
LEFT JOIN agent_sessions s ON s.actor = d.actor AND s.key = coalesce(d.key, d.loose_key) AND s.active = 1
WHERE d.actor = ?1 AND d.state = 'pending' AND d.head = 1 AND d.due <= ?2
  AND NOT EXISTS (
    SELECT 1 FROM waits_for
    WHERE level = 'actor' AND name = ?1 AND cause = 'paused' AND (until IS NULL OR until > ?2))
  AND NOT EXISTS (
    SELECT 1 FROM waits_for
    WHERE level = 'route' AND name = d.route AND cause = 'paused' AND (until IS NULL OR until > ?2))
ORDER BY d.due, d.pos LIMIT ?3;

-- name: one
-- One of them, by seq.
SELECT d.seq, d.id, d.token + 1, e.id, d.route, d.actor, d.accepted_at, d.age_from,
       d.attempts, d.failures, d.crashes, coalesce(d.key, d.loose_key), coalesce(d.document, e.document), e.trace_id, e.hops, s.id,
       d.members
FROM deliveries d
CROSS JOIN events e ON e.seq = d.event_seq
LEFT JOIN agent_sessions s ON s.actor = d.actor AND s.key = coalesce(d.key, d.loose_key) AND s.active = 1
WHERE d.seq = ?;

-- name: candidates
-- Heads that are due, oldest first, but for those in a full route, key or trace, with what a guard asks about.
-- `?4`: only rates bound them.
SELECT d.seq, d.route,
       iif(d.members = 1, e.hops, max(e.hops, (
           SELECT max(o.hops) FROM deliveries m JOIN events o ON o.seq = m.event_seq WHERE m.lead = d.seq))),
       d.age_from, d.waived, coalesce(d.key, d.loose_key), e.trace_id, d.members
FROM deliveries d
CROSS JOIN events e ON e.seq = d.event_seq
WHERE d.actor = ?1 AND d.state = 'pending' AND d.head = 1 AND d.due <= ?2
  AND NOT EXISTS (SELECT 1 FROM waits_for WHERE level = 'route' AND name = d.route AND (NOT ?4 OR unit = 'wakes'))
  AND NOT EXISTS (
    SELECT 1 FROM waits_for
    WHERE level = 'key' AND name = coalesce(d.key, d.loose_key) AND actor = d.actor AND (NOT ?4 OR unit = 'wakes'))
  AND NOT EXISTS (SELECT 1 FROM waits_for WHERE level = 'trace' AND name = e.trace_id AND (NOT ?4 OR unit = 'wakes'))
ORDER BY d.due, d.pos LIMIT ?3;

-- name: traces_of
-- The chains of the members behind a lead.
SELECT DISTINCT e.trace_id FROM deliveries m JOIN events e ON e.seq = m.event_seq WHERE m.lead = ?;

-- name: take
-- Claims. The token fences off whoever held it before. An open batch is closed.
UPDATE deliveries SET
    state = 'running', token = token + 1, due = ?2, changed_at = ?2, reason = '', detail = '',
    worker = ?3, leased_until = ?4, batch = NULL
WHERE seq IN (SELECT value FROM json_each(?1));

-- name: later
-- When the actor's next head is due.
SELECT due FROM deliveries
WHERE actor = ? AND state = 'pending' AND head = 1 AND due > ?
ORDER BY due LIMIT 1;

-- name: probing
-- Whether a wake of this actor is on its way that began since its pause was over, and has not ended it.
SELECT EXISTS (
    SELECT 1 FROM deliveries d LEFT JOIN runs r ON r.id = d.run_id
    WHERE d.actor = ?1 AND d.state IN ('running', 'started')
      AND iif(d.state = 'running', d.due, r.started_at) >= ?2);

-- name: proven
-- Whether one of these has gone on since that time, which is long enough.
SELECT EXISTS (
    SELECT 1 FROM deliveries d JOIN runs r ON r.id = d.run_id
    WHERE d.actor = ?1 AND d.state = 'started' AND r.started_at >= ?2 AND r.started_at <= ?3);

-- name: to_prepare
-- What of one route waits for its transforms, in acceptance order.
SELECT d.id, d.seq, e.id, d.route, d.actor, e.document, e.entity
FROM deliveries d INDEXED BY deliveries_prepare
CROSS JOIN events e ON e.seq = d.event_seq
WHERE d.state = 'preparing' AND d.route = ?
ORDER BY d.seq LIMIT ?;
