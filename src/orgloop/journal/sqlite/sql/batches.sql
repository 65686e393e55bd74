-- Wakes that still collect members.

-- name: open_batch
-- The batch of a route and key that is open, by its lead.
SELECT seq, actor, members, due, batch_until, batch_size FROM deliveries INDEXED BY deliveries_batch
WHERE route = ? AND batch = ?;

-- name: begin_batch
-- A delivery leads an open batch from now on.
UPDATE deliveries SET batch = ?2, due = ?3, batch_until = ?4, batch_size = ?5, thing = ?6 WHERE seq = ?1;

-- name: collect
-- A delivery joins a batch: it has no place in a queue of its own.
UPDATE deliveries SET lead = ?2, key = NULL, head = 0, due = ?3, thing = ?4 WHERE seq = ?1;

-- name: grow_batch
-- A batch has one more member. A full one is not open any more.
UPDATE deliveries SET members = members + 1, due = ?2, batch_size = ?3, batch = iif(?4, NULL, batch) WHERE seq = ?1;

-- name: same_thing
-- The one of a batch that is about the same thing.
SELECT seq FROM deliveries WHERE seq = ?1 AND thing = ?2
UNION ALL
SELECT seq FROM deliveries INDEXED BY deliveries_members WHERE lead = ?1 AND thing = ?2;

-- name: batch_of
-- What a delivery collects, if it leads an open batch.
SELECT batch, batch_until, batch_size FROM deliveries WHERE seq = ? AND batch IS NOT NULL;

-- name: close_batch
-- It collects nothing any more, and is due.
UPDATE deliveries SET batch = NULL, due = min(due, ?2) WHERE seq = ?1;

-- name: reopen_batch
-- Another delivery leads an open batch.
UPDATE deliveries SET batch = ?2, batch_until = ?3, batch_size = ?4 WHERE seq = ?1;

-- name: set_back_batches
-- The clock was set back: see `set_back_heads`.
UPDATE deliveries INDEXED BY deliveries_batch SET batch_until = batch_until - ?2
WHERE batch IS NOT NULL AND batch_until > ?1;

-- name: document_size
-- How many bytes the event of a delivery has, as its transforms left it.
SELECT length(coalesce(d.document, e.document)) FROM deliveries d JOIN events e ON e.seq = d.event_seq
WHERE d.seq = ?;
