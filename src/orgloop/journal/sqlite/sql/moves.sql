-- How a delivery's row changes, and its key's queue with it.

-- name: find
-- What a move needs to know, by id.
SELECT seq, id, route, actor, runs, state, reason, key, head, pos, accepted_at, age_from,
       attempts, failures, crashes, waived, document, steps, once, lead, members, token
FROM deliveries WHERE id = ?;

-- name: load
-- The same, by seq.
SELECT seq, id, route, actor, runs, state, reason, key, head, pos, accepted_at, age_from,
       attempts, failures, crashes, waived, document, steps, once, lead, members, token
FROM deliveries WHERE seq = ?;

-- name: route_of
-- The route of a delivery, as it is called now.
SELECT route FROM deliveries WHERE seq = ?;

-- name: write
-- The row after a move, outside its queue: `head` is set when it has its place.
UPDATE deliveries SET
    state = ?2, reason = ?3, detail = ?4, due = ?5, changed_at = ?6, age_from = ?7,
    attempts = ?8, failures = ?9, crashes = ?10, waived = ?11,
    key = ?12, pos = ?13, document = ?14, steps = ?15, head = ?16, once = ?17, batch = iif(?2 = 'pending', batch, NULL)
WHERE seq = ?1;

-- name: repoint
-- Another actor, outside its queue. When it was held stays as it is.
UPDATE deliveries SET actor = ?2, runs = ?3, head = ?4, age_from = ?5 WHERE seq = ?1;

-- name: promote
-- The first of a key's queue becomes its head, if there is none, and is due from then on.
UPDATE deliveries SET head = 1, due = max(due, ?3)
WHERE seq = (
        SELECT seq FROM deliveries
        WHERE actor = ?1 AND key = ?2 AND state IN ('preparing', 'pending', 'running', 'started')
        ORDER BY pos LIMIT 1)
    AND NOT EXISTS (SELECT 1 FROM deliveries WHERE actor = ?1 AND key = ?2 AND head = 1);

-- name: yield_head
-- A head that has not begun lets an earlier one go first.
UPDATE deliveries SET head = 0
WHERE actor = ?1 AND key = ?2 AND head = 1 AND pos > ?3 AND state IN ('preparing', 'pending');

-- name: end_try
-- A try ends, if it is still the caller's. With a key, what is awake no more gives its head back.
WITH t (seq, token, state, reason, detail, due, at, age_from, attempts, failures, crashes, run_id) AS (
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?))
UPDATE deliveries SET
    state = t.state, reason = t.reason, detail = t.detail, due = t.due, changed_at = t.at, age_from = t.age_from,
    attempts = t.attempts, failures = t.failures, crashes = t.crashes,
    run_id = coalesce(t.run_id, deliveries.run_id),
    head = iif(t.state = 'started', 1, t.state = 'pending' AND key IS NULL)
FROM t
WHERE deliveries.seq = t.seq AND deliveries.token = t.token AND deliveries.state = 'running';

-- name: end_run
-- A run's end moves its delivery. With a key, it gives its head back.
UPDATE deliveries SET
    state = ?2, reason = ?3, detail = ?4, due = ?5, changed_at = ?6, age_from = ?7,
    attempts = ?8, failures = ?9, crashes = ?10, run_id = ?11, head = (?2 = 'pending' AND key IS NULL)
WHERE seq = ?1;

-- name: once_of
-- The keys that a delivery owns, or would own.
SELECT id, route, once FROM deliveries WHERE seq = ? AND once IS NOT NULL;

-- name: insert_step
-- One thing that happened to a delivery.
INSERT INTO steps
    (seq, at, delivery_seq, transition, state, attempt, began, reason, detail, sop_hash, sop_file, run_id)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: keep_sop
-- A prompt file's text, once per content.
INSERT OR IGNORE INTO sops (hash, text) VALUES (?, ?);

-- name: pauses
-- Every actor that is paused, and every account whose work waits.
SELECT 0, actor, since, until, tries, reason, kind, NULL, NULL FROM pauses
UNION ALL
SELECT 1, account, since, until, by_person, reason, '', probe, probe_token FROM parked;

-- name: pause
-- Leave an actor alone for a while.
INSERT INTO pauses (actor, since, until, tries, reason, kind) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT (actor) DO UPDATE SET until = ?3, tries = ?4, reason = ?5, kind = ?6;

-- name: resume
-- It works again.
DELETE FROM pauses WHERE actor = ?;

-- name: failing
-- Every actor that has failed since it worked.
SELECT actor FROM failures;

-- name: count_failure
-- It has failed once more. How often in a row.
INSERT INTO failures (actor, count, changed_at) VALUES (?1, 1, ?2)
ON CONFLICT (actor) DO UPDATE SET count = count + 1, changed_at = ?2
RETURNING count;

-- name: forget_failures
-- It works.
DELETE FROM failures WHERE actor = ?;
