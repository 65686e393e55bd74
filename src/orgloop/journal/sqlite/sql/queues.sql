-- Queues of routes that are bounded.

-- name: count_waiting
-- How many deliveries of a route wait.
SELECT count(*) FROM deliveries INDEXED BY deliveries_counted
WHERE counted = 1 AND state IN ('preparing', 'pending') AND route = ?;

-- name: set_counted
-- A delivery counts.
UPDATE deliveries SET counted = 1 WHERE seq = ?;

-- name: set_all_counted
-- All of these count.
UPDATE deliveries SET counted = 1 WHERE seq IN (SELECT value FROM json_each(?)) AND counted = 0;

-- name: oldest_untried
-- The oldest one of a route that waits and was not tried, before this one.
SELECT seq FROM deliveries INDEXED BY deliveries_counted
WHERE counted = 1 AND state IN ('preparing', 'pending') AND route = ? AND seq < ? AND token = 0
ORDER BY seq LIMIT 1;
