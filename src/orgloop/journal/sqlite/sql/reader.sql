-- Looking at things. Lists are completed by their filters, order and limit.

-- name: events
-- Events.
SELECT e.seq, e.id, e.at, e.source, e.type, e.platform_event, e.trace_id, e.hops, e.routes, e.document, e.entity
FROM events e

-- name: events_light
-- Events; large ones without their payload.
SELECT e.seq, e.id, e.at, e.source, e.type, e.platform_event, e.trace_id, e.hops, e.routes,
       CASE WHEN length(e.document) > 65536 THEN json_remove(CAST(e.document AS TEXT), '$.payload') ELSE e.document END,
       e.entity
FROM events e

-- name: deliveries
-- Deliveries, with what they have from their event.
SELECT d.seq, d.id, e.id, e.trace_id, e.source, e.type, d.route, d.actor, d.runs, d.state, d.reason, d.detail,
       coalesce(d.key, d.loose_key), d.head, d.due, d.accepted_at, d.changed_at, d.age_from, d.attempts, d.failures, d.crashes,
       d.waived, d.run_id, d.steps, d.document,
       iif(d.lead IS NULL AND d.members = 1, NULL, (
           SELECT json_group_array(id) FROM (
               SELECT id FROM deliveries l WHERE l.seq = coalesce(d.lead, d.seq)
               UNION ALL
               SELECT id FROM (
                   SELECT id FROM deliveries m WHERE m.lead = coalesce(d.lead, d.seq) ORDER BY m.seq)))),
       iif(d.batch IS NULL, NULL, d.batch_until), d.cancelled_by
FROM deliveries d JOIN events e ON e.seq = d.event_seq

-- name: deliveries_light
-- Deliveries; large events without their payload.
SELECT d.seq, d.id, e.id, e.trace_id, e.source, e.type, d.route, d.actor, d.runs, d.state, d.reason, d.detail,
       coalesce(d.key, d.loose_key), d.head, d.due, d.accepted_at, d.changed_at, d.age_from, d.attempts, d.failures, d.crashes,
       d.waived, d.run_id, d.steps,
       CASE WHEN length(d.document) > 65536 THEN json_remove(CAST(d.document AS TEXT), '$.payload') ELSE d.document END,
       iif(d.lead IS NULL AND d.members = 1, NULL, (
           SELECT json_group_array(id) FROM (
               SELECT id FROM deliveries l WHERE l.seq = coalesce(d.lead, d.seq)
               UNION ALL
               SELECT id FROM (
                   SELECT id FROM deliveries m WHERE m.lead = coalesce(d.lead, d.seq) ORDER BY m.seq)))),
       iif(d.batch IS NULL, NULL, d.batch_until), d.cancelled_by
FROM deliveries d JOIN events e ON e.seq = d.event_seq

-- name: steps
-- Steps, with their delivery's and event's names, and how a run came out that ended.
SELECT s.seq, s.at, d.id, e.id, e.trace_id, e.source, e.type, d.route, d.actor, s.transition, s.state, s.attempt,
       s.began, s.reason, s.detail, s.sop_hash, s.sop_file, s.run_id, coalesce(r.outcome, ''),
       e.platform_event, r.ended_at - r.started_at
FROM steps s JOIN deliveries d ON d.seq = s.delivery_seq JOIN events e ON e.seq = d.event_seq
LEFT JOIN runs r ON r.id = s.run_id AND s.transition = 'run_ended'

-- name: runs
-- Runs, with their delivery's and event's names.
SELECT r.seq, r.id, d.id, e.id, r.trace_id, r.hops, r.actor, r.route, r.harness, r.key, r.session_id, r.directory,
       r.run_dir, r.spec, r.started_at, r.ended_at, r.outcome, r.reason, r.text, r.exit_status, r.cost_usd,
       r.completion, r.last_line, r.last_seen
FROM runs r JOIN deliveries d ON d.seq = r.delivery_seq JOIN events e ON e.seq = d.event_seq

-- name: system
-- What happened to sources and to the daemon itself.
SELECT y.seq, y.at, y.phase, y.subject, y.event_id, y.detail, y.times FROM system y

-- name: system_span
-- The oldest and the newest.
SELECT (SELECT min(seq) FROM system), (SELECT max(seq) FROM system);

-- name: system_time
-- When the last up to a number was written.
SELECT at FROM system WHERE seq <= ? ORDER BY seq DESC LIMIT 1;

-- name: events_span
-- The oldest and the newest.
SELECT (SELECT min(seq) FROM events), (SELECT max(seq) FROM events);

-- name: deliveries_span
-- The oldest and the newest.
SELECT (SELECT min(seq) FROM deliveries), (SELECT max(seq) FROM deliveries);

-- name: steps_span
-- The oldest and the newest.
SELECT (SELECT min(seq) FROM steps), (SELECT max(seq) FROM steps);

-- name: runs_span
-- The oldest and the newest.
SELECT (SELECT min(seq) FROM runs), (SELECT max(seq) FROM runs);

-- name: events_time
-- When the last one up to a number came.
SELECT at FROM events WHERE seq <= ? ORDER BY seq DESC LIMIT 1;

-- name: deliveries_time
-- When the last one up to a number was accepted.
SELECT accepted_at FROM deliveries WHERE seq <= ? ORDER BY seq DESC LIMIT 1;

-- name: steps_time
-- When the last one up to a number happened.
SELECT at FROM steps WHERE seq <= ? ORDER BY seq DESC LIMIT 1;

-- name: runs_time
-- When the last one up to a number started.
SELECT started_at FROM runs WHERE seq <= ? ORDER BY seq DESC LIMIT 1;

-- name: sop
-- A prompt file as it was when it was used.
SELECT text FROM sops WHERE hash = ?;

-- name: sources
-- Every source that was ever heard of.
SELECT source, checkpoint, last_poll, last_success, last_event, errors, error, events FROM sources ORDER BY source;

-- name: pauses
-- Every actor that nobody answers for.
SELECT actor, since, until, tries, reason, kind FROM pauses ORDER BY actor;

-- name: parked
-- Accounts whose work waits.
SELECT account, since, until, by_person, reason, probe, probe_token FROM parked ORDER BY account;

-- name: account_use
-- What runs of each account go on, and what those that ended since a time have used.
SELECT account, sum(ended_at IS NULL), sum(ended_at IS NOT NULL), sum(iif(ended_at IS NULL, 0, usd)),
       sum(iif(ended_at IS NULL, 0, tokens))
FROM charges WHERE account IS NOT NULL AND (ended_at IS NULL OR ended_at >= ?)
GROUP BY account ORDER BY account;

-- name: rival
-- Who owns a key of a delivery's by now, so that it would be a duplicate if it went on.
SELECT o.delivery FROM deliveries d, json_each(d.once) k
JOIN owned o ON o.route = d.route AND o.key = k.value ->> 0
WHERE d.id = ? AND o.delivery <> d.id AND abs(d.accepted_at - o.at) < k.value ->> 1
LIMIT 1;

-- name: waits
-- Every scope that is full, the widest first.
SELECT level, name, actor, unit, window, most, setting, since, until, cause FROM waits_for
ORDER BY level IN ('route', 'key', 'trace'), since, level, name LIMIT ?;

-- name: applied
-- What was applied last.
SELECT at, project, root, snapshot FROM applied ORDER BY seq DESC LIMIT 1;

-- name: daemons
-- Lives of the daemon, newest first. What the newest one writes shows that it is there.
SELECT started_at,
       iif(ended_at IS NULL AND started_at = (SELECT max(started_at) FROM daemons),
           max(last_seen, (SELECT at FROM last_sign)), last_seen),
       ended_at, pid, port, version FROM daemons ORDER BY started_at DESC LIMIT ?;

-- name: is_known
-- Whether there can be anything of a source, a route and an actor ("" for any).
SELECT (?1 = '' OR EXISTS (SELECT 1 FROM sources WHERE source = ?1 AND events > 0))
   AND (?2 = '' OR EXISTS (SELECT 1 FROM route_stats WHERE route = ?2))
   AND (?3 = '' OR EXISTS (SELECT 1 FROM unfinished WHERE actor = ?3));

-- name: unfinished
-- What is not finished, by state and route. Pending is what is left of all: each other part reads one partial index.
WITH others (state, route, count) AS MATERIALIZED (
    SELECT state, route, count(*) FROM (
        SELECT state, route FROM deliveries INDEXED BY deliveries_prepare
        WHERE state = 'preparing'
        UNION ALL
        SELECT state, route FROM deliveries INDEXED BY deliveries_busy
        WHERE state IN ('running', 'started')
        UNION ALL
        SELECT state, route FROM deliveries INDEXED BY deliveries_attention
        WHERE state IN ('held', 'dead'))
    GROUP BY state, route)
SELECT state, route, count FROM others
UNION ALL
SELECT 'pending', route, pending FROM (
    SELECT route, sum(count) - coalesce((SELECT sum(count) FROM others o WHERE o.route = u.route), 0) AS pending
    FROM unfinished u GROUP BY route)
WHERE pending > 0;

-- name: backlog
-- What is not finished, in groups. As above; what is pending has the time at which its route had one last.
WITH others (actor, route, state, reason, count, since) AS MATERIALIZED (
    SELECT actor, route, state, reason, count(*), min(changed_at) FROM (
        SELECT actor, route, state, reason, changed_at FROM deliveries INDEXED BY deliveries_prepare
        WHERE state = 'preparing'
        UNION ALL
        SELECT actor, route, state, reason, changed_at FROM deliveries INDEXED BY deliveries_busy
        WHERE state IN ('running', 'started')
        UNION ALL
        SELECT actor, route, state, reason, changed_at FROM deliveries INDEXED BY deliveries_attention
        WHERE state IN ('held', 'dead'))
    GROUP BY actor, route, state, reason)
SELECT actor, route, state, reason, count, since FROM others
UNION ALL
SELECT actor, route, 'pending', '', pending, since FROM (
    SELECT actor, route, count - coalesce((
               SELECT sum(o.count) FROM others o WHERE o.route = u.route AND o.actor = u.actor), 0) AS pending,
           coalesce((SELECT last_fire FROM route_stats s WHERE s.route = u.route), 0) AS since
    FROM unfinished u)
WHERE pending > 0
ORDER BY 1, 2, 3, 4;

-- name: heads
-- Of the first that may be claimed for an actor: since when the first of each route has been so, and when it is due.
SELECT route, min(changed_at), min(due) FROM (
    SELECT route, changed_at, due FROM deliveries INDEXED BY deliveries_claim
    WHERE actor = ? AND state = 'pending' AND head = 1 ORDER BY due, pos LIMIT ?)
GROUP BY route;

-- name: finished
-- What is finished, ever.
SELECT coalesce(sum(delivered), 0), coalesce(sum(dropped), 0), coalesce(sum(discarded), 0) FROM route_stats;

-- name: route_stats
-- What each route has made.
SELECT route, fired, last_fire FROM route_stats ORDER BY route;

-- name: sessions
-- The agents' sessions, the newest first: all, or of an actor, a key, an id.
SELECT actor, id, key, active, harness, account, work_dir, machine, parent, total_usd, runs, failed, why, run_id,
       created_at, changed_at, context_tokens
FROM agent_sessions
WHERE (?1 = '' OR actor = ?1) AND (?2 = '' OR key = ?2) AND (?3 = '' OR id = ?3) AND active >= ?4
ORDER BY changed_at DESC, actor, id LIMIT ?5;
