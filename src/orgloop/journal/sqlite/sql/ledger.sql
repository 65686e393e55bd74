-- What runs use, and which scopes are full.

-- name: open_charges
-- What goes on now.
SELECT account, actor, route, key, trace, tree, usd, tokens, run_time FROM charges INDEXED BY charges_open
WHERE ended_at IS NULL;

-- name: charge
-- A wake that may become a run is claimed.
INSERT INTO charges (delivery_seq, at, account, actor, route, key, trace, tree, usd, tokens, run_time)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: charge_of
-- What a delivery's wake has reserved.
SELECT seq, account, actor, route, key, trace, tree, usd, tokens, run_time
FROM charges INDEXED BY charges_open WHERE delivery_seq = ? AND ended_at IS NULL;

-- name: spend
-- A run has ended: what it used takes the place of what was reserved.
UPDATE charges SET ended_at = ?2, usd = ?3, tokens = ?4, run_time = ?5 WHERE seq = ?1;

-- name: refund
-- No run came of it.
DELETE FROM charges WHERE seq = ?;

-- name: interrupted_charges
-- Wakes that were interrupted before they became runs: see `interrupted`.
SELECT c.delivery_seq FROM charges c INDEXED BY charges_open JOIN deliveries d ON d.seq = c.delivery_seq
WHERE c.ended_at IS NULL AND d.state = 'running' AND (d.worker = ?1 OR d.leased_until <= ?2);

-- name: add_to_trace
-- What a chain has used, ever.
INSERT INTO trace_totals (trace, runs, usd, tokens, run_time, changed_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT (trace) DO UPDATE SET
    runs = runs + ?2, usd = usd + ?3, tokens = tokens + ?4, run_time = run_time + ?5,
    changed_at = max(changed_at, ?6);

-- name: trace_total
-- The same, to read.
SELECT runs, usd, tokens, run_time FROM trace_totals WHERE trace = ?;

-- name: started_since
-- What of a scope counts in a window by its start.
SELECT coalesce(sum(CASE ?6 WHEN 'runs' THEN runs WHEN 'usd' THEN usd WHEN 'tokens' THEN tokens ELSE run_time END), 0)
FROM charges INDEXED BY charges_at
WHERE at > ?1 AND at <= ?2
  AND CASE ?3 WHEN 'account' THEN account = ?4 WHEN 'actor' THEN actor = ?4 WHEN 'route' THEN route = ?4
              WHEN 'key' THEN key = ?4 AND actor = ?5 WHEN 'trace' THEN trace = ?4
              WHEN 'work_tree' THEN tree = ?4 ELSE 1 END;

-- name: spent_since
-- What of a scope counts in a window by its end.
SELECT coalesce(sum(CASE ?6 WHEN 'runs' THEN runs WHEN 'usd' THEN usd WHEN 'tokens' THEN tokens ELSE run_time END), 0)
FROM charges INDEXED BY charges_ended
WHERE ended_at IS NOT NULL AND ended_at > ?1 AND ended_at <= ?2
  AND CASE ?3 WHEN 'account' THEN account = ?4 WHEN 'actor' THEN actor = ?4 WHEN 'route' THEN route = ?4
              WHEN 'key' THEN key = ?4 AND actor = ?5 WHEN 'trace' THEN trace = ?4
              WHEN 'work_tree' THEN tree = ?4 ELSE 1 END;

-- name: leaving_starts
-- The charge with which as much as `?7` of the same has left the window.
SELECT date FROM (
    SELECT at AS date, sum(CASE ?6 WHEN 'runs' THEN runs WHEN 'usd' THEN usd WHEN 'tokens' THEN tokens ELSE run_time END) OVER (ORDER BY at) AS gone
    FROM charges INDEXED BY charges_at
    WHERE at > ?1 AND at <= ?2
      AND CASE ?3 WHEN 'account' THEN account = ?4 WHEN 'actor' THEN actor = ?4 WHEN 'route' THEN route = ?4
                  WHEN 'key' THEN key = ?4 AND actor = ?5 WHEN 'trace' THEN trace = ?4
                  WHEN 'work_tree' THEN tree = ?4 ELSE 1 END)
WHERE gone >= ?7 ORDER BY date LIMIT 1;

-- name: leaving_amounts
-- The same by end.
SELECT date FROM (
    SELECT ended_at AS date, sum(CASE ?6 WHEN 'runs' THEN runs WHEN 'usd' THEN usd WHEN 'tokens' THEN tokens ELSE run_time END) OVER (ORDER BY ended_at) AS gone
    FROM charges INDEXED BY charges_ended
    WHERE ended_at IS NOT NULL AND ended_at > ?1 AND ended_at <= ?2
      AND CASE ?3 WHEN 'account' THEN account = ?4 WHEN 'actor' THEN actor = ?4 WHEN 'route' THEN route = ?4
                  WHEN 'key' THEN key = ?4 AND actor = ?5 WHEN 'trace' THEN trace = ?4
                  WHEN 'work_tree' THEN tree = ?4 ELSE 1 END)
WHERE gone >= ?7 ORDER BY date LIMIT 1;

-- name: wait
-- A scope is full.
INSERT INTO waits_for (level, name, actor, unit, window, cause, most, setting, since, until)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (level, name, actor, unit, window, cause) DO UPDATE SET
    most = excluded.most, setting = excluded.setting, until = excluded.until;

-- name: full_for_actors
-- Full scopes in which all wakes of an actor are.
SELECT level, name, actor, unit FROM waits_for
WHERE level IN ('organization', 'node', 'account', 'actor', 'work_tree');

-- name: next_until
-- The first time at which a scope has room again.
SELECT min(until) FROM waits_for INDEXED BY waits_for_until WHERE until IS NOT NULL;

-- name: end_timed_waits
-- Scopes that have room again because time has passed.
DELETE FROM waits_for WHERE until IS NOT NULL AND until <= ? RETURNING level, name, actor, since;

-- name: end_all_waits
-- Every scope is to be looked at anew, but for what a person paused.
DELETE FROM waits_for WHERE cause <> 'paused' RETURNING level, name, actor, since;

-- name: end_pause_of
-- A person lets a route or an actor go on.
DELETE FROM waits_for WHERE level = ? AND name = ? AND cause = 'paused' RETURNING level, name, actor, since;

-- name: rename_pause
-- What is paused has another name.
UPDATE OR REPLACE waits_for SET name = ?3 WHERE level = ?1 AND name = ?2 AND cause = 'paused';

-- name: end_waits
-- A scope may have room again. What an account or the time of day forbids, the end of a run does not allow.
DELETE FROM waits_for WHERE level = ?1 AND name = ?2 AND (?3 = '' OR actor = ?3) AND cause = 'limit'
RETURNING level, name, actor, since;

-- name: lengthen
-- A scope that had room for a moment, and was full again, was full all the time.
UPDATE waited SET until = max(until, ?5)
WHERE level = ?1 AND name = ?2 AND actor = ?3 AND since <= ?4 AND until >= ?4 - 5000
  AND since = (SELECT max(since) FROM waited WHERE level = ?1 AND name = ?2 AND actor = ?3);

-- name: note_waited
-- For so long a scope was full, or an actor paused.
INSERT INTO waited (level, name, actor, since, until) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (level, name, actor, since) DO UPDATE SET until = max(until, excluded.until);

-- name: was_full
-- When a scope was full since a time.
SELECT since, until FROM waited WHERE level = ?1 AND name = ?2 AND actor = ?3 AND until > ?4
UNION ALL
SELECT since, ?5 FROM waits_for WHERE level = ?1 AND name = ?2 AND actor = ?3 AND since < ?5;

-- name: set_back_waits
-- The clock was set back: what has room in a while has it in as long from now.
UPDATE waits_for SET since = min(since, ?1), until = iif(until > ?1, until - ?2, until);

-- name: delete_charges
-- Charges that no window reaches any more.
DELETE FROM charges WHERE seq IN (
    SELECT seq FROM charges INDEXED BY charges_ended
    WHERE ended_at IS NOT NULL AND ended_at < ? ORDER BY ended_at LIMIT ?);

-- name: delete_totals
-- Totals of chains of which nothing is left.
DELETE FROM trace_totals WHERE trace IN (
    SELECT t.trace FROM trace_totals t INDEXED BY trace_totals_changed
    WHERE t.changed_at < ?1
      AND NOT EXISTS (SELECT 1 FROM events e WHERE e.trace_id = t.trace) ORDER BY t.changed_at LIMIT ?2);

-- name: delete_waited
-- Waits that nothing is old enough to remember.
DELETE FROM waited WHERE (level, name, actor, since) IN (
    SELECT level, name, actor, since FROM waited WHERE until < ? ORDER BY until LIMIT ?);

-- name: wake_counts
-- How often actors were woken in a scope, by step of time.
SELECT begins, count FROM wake_counts WHERE level = ? AND name = ? AND actor = ? AND window = ?;

-- name: count_wake
-- Once more.
INSERT INTO wake_counts (level, name, actor, window, begins, count) VALUES (?, ?, ?, ?, ?, 1)
ON CONFLICT (level, name, actor, window, begins) DO UPDATE SET count = count + 1;

-- name: forget_wakes
-- What has left the window, or is to come again.
DELETE FROM wake_counts WHERE level = ? AND name = ? AND actor = ? AND window = ? AND (begins <= ? OR begins > ?);

-- name: delete_wake_counts
-- Steps that no window reaches any more.
DELETE FROM wake_counts WHERE (level, name, actor, window, begins) IN (
    SELECT level, name, actor, window, begins FROM wake_counts INDEXED BY wake_counts_begins
    WHERE begins < ? ORDER BY begins LIMIT ?);
