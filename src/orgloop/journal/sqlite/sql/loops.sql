-- Loops.

-- name: count_alike
-- How often an event of a chain came before, for one route.
SELECT count(*) FROM alike WHERE trace = ? AND route = ? AND likeness = ? AND hops < ?;

-- name: count_alike_since_new
-- How often it came after the last event of the chain that said something new.
SELECT count(*) FROM alike WHERE trace = ?1 AND route = ?2 AND likeness = ?3 AND hops < ?4 AND hops > (
    SELECT max(first) FROM (
        SELECT min(hops) AS first FROM alike WHERE trace = ?1 AND hops < ?4 GROUP BY route, likeness));

-- name: note_alike
-- It came.
INSERT OR IGNORE INTO alike (trace, route, likeness, hops, at) VALUES (?, ?, ?, ?, ?);

-- name: delete_alike
-- What came before a time.
DELETE FROM alike WHERE (trace, route, likeness, hops) IN (
    SELECT trace, route, likeness, hops FROM alike INDEXED BY alike_at WHERE at < ? ORDER BY at LIMIT ?);

-- name: key_started_since
-- How many runs of a key started in a window.
SELECT count(*) FROM charges INDEXED BY charges_key WHERE actor = ? AND key = ? AND at > ? AND at <= ?;
