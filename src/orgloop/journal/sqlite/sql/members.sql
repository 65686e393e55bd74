-- Deliveries that are woken for together.

-- name: grow
-- A wake has more members, or fewer.
UPDATE deliveries SET members = members + ?2 WHERE seq = ?1;

-- name: alone
-- A delivery is a wake of its own, and collects nothing.
UPDATE deliveries SET lead = NULL, members = 1, head = ?2, batch = NULL WHERE seq = ?1;

-- name: succeed
-- The next member leads: it takes the key and the place of the one before.
UPDATE deliveries SET
    lead = NULL, members = ?2, key = l.key, pos = l.pos, due = l.due, head = l.head AND l.key IS NULL,
    loose_key = l.loose_key
FROM (SELECT key, pos, due, head, loose_key FROM deliveries WHERE seq = ?3) l
WHERE deliveries.seq = ?1;

-- name: follow_next
-- Its others follow it.
UPDATE deliveries SET lead = ?2 WHERE lead = ?1 AND seq <> ?2;

-- name: lose_place
-- The one before has no key and no place any more.
UPDATE deliveries SET key = NULL, head = 0 WHERE seq = ?;

-- name: members
-- The others of a wake, in acceptance order, with what waking and a move need.
SELECT d.seq, d.id, e.id, d.route, coalesce(d.document, e.document), e.trace_id, e.hops, d.once, d.actor
FROM deliveries d INDEXED BY deliveries_members
CROSS JOIN events e ON e.seq = d.event_seq
WHERE d.lead = ? ORDER BY d.seq;

-- name: follow
-- All members are where their lead is.
UPDATE deliveries INDEXED BY deliveries_members SET
    state = l.state, reason = l.reason, detail = l.detail, due = l.due, changed_at = l.changed_at,
    age_from = l.age_from, attempts = l.attempts, failures = l.failures, crashes = l.crashes,
    waived = l.waived, run_id = l.run_id
FROM (SELECT * FROM deliveries WHERE seq = ?1) l
WHERE deliveries.lead = ?1;

-- name: repoint_members
-- All members go to their lead's actor.
UPDATE deliveries INDEXED BY deliveries_members SET actor = ?2, runs = ?3, age_from = ?4 WHERE lead = ?1;
