-- What a delivery does with others of its route and key that have not finished.

-- name: set_busy
-- Others of its route find it by this key.
UPDATE deliveries SET busy = ?2 WHERE seq = ?1;

-- name: earlier
-- Those that came before it and have not finished, by route and key.
SELECT seq, id, state, token FROM deliveries INDEXED BY deliveries_turn
WHERE route = ?1 AND busy = ?2 AND state IN ('pending', 'running', 'started') AND seq < ?3
ORDER BY seq;

-- name: cancel
-- Its run is to be stopped for the sake of another delivery.
UPDATE deliveries SET cancelled_by = ?2 WHERE seq = ?1;

-- name: to_cancel
-- Runs of a worker that are to be stopped and go on.
SELECT run_id FROM deliveries INDEXED BY deliveries_busy
WHERE state IN ('running', 'started') AND state = 'started' AND cancelled_by IS NOT NULL AND worker = ?;

-- name: set_drop_key
-- What makes it needless finds it by this key.
UPDATE deliveries SET drop_key = ?2 WHERE seq = ?1;

-- name: needless
-- Those of a route and key that wait and whose events came before another event.
SELECT seq FROM deliveries INDEXED BY deliveries_drop
WHERE route = ?1 AND drop_key = ?2 AND state IN ('preparing', 'pending') AND event_seq < ?3
ORDER BY seq;
