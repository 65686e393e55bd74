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
-- Lives of the daemon, newest first.
SELECT started_at, last_seen, ended_at, pid, port, version FROM daemons ORDER BY started_at DESC LIMIT ?;

-- name: unfinished
-- What is not finished, by state and route. Each part reads one partial index.
SELECT state, route, count(*) FROM (
    SELECT state, route FROM deliveries INDEXED BY deliveries_prepare
    WHERE state = 'preparing'
    UNION ALL
    SELECT state, route FROM deliveries INDEXED BY deliveries_claim
    WHERE state = 'pending' AND head = 1
    UNION ALL
    SELECT state, route FROM deliveries INDEXED BY deliveries_key
    WHERE key IS NOT NULL AND state IN ('preparing', 'pending', 'running', 'started')
      AND state = 'pending' AND head = 0
    UNION ALL
    SELECT state, route FROM deliveries INDEXED BY deliveries_joined
    WHERE lead IS NOT NULL AND state = 'pending'
    UNION ALL
    SELECT state, route FROM deliveries INDEXED BY deliveries_busy
    WHERE state IN ('running', 'started')
    UNION ALL
    SELECT state, route FROM deliveries INDEXED BY deliveries_attention
    WHERE state IN ('held', 'dead'))
GROUP BY state, route;

-- name: backlog
-- What is not finished, in groups. As above, each part reads one partial index.
SELECT actor, route, state, reason, count(*), min(changed_at),
       min(iif(state = 'pending' AND head = 1, due, NULL)) FROM (
    SELECT actor, route, state, reason, changed_at, head, due FROM deliveries INDEXED BY deliveries_prepare
    WHERE state = 'preparing'
    UNION ALL
    SELECT actor, route, state, reason, changed_at, head, due FROM deliveries INDEXED BY deliveries_claim
    WHERE state = 'pending' AND head = 1
    UNION ALL
    SELECT actor, route, state, reason, changed_at, head, due FROM deliveries INDEXED BY deliveries_key
    WHERE key IS NOT NULL AND state IN ('preparing', 'pending', 'running', 'started')
      AND state = 'pending' AND head = 0
    UNION ALL
    SELECT actor, route, state, reason, changed_at, head, due FROM deliveries INDEXED BY deliveries_joined
    WHERE lead IS NOT NULL AND state = 'pending'
    UNION ALL
    SELECT actor, route, state, reason, changed_at, head, due FROM deliveries INDEXED BY deliveries_busy
    WHERE state IN ('running', 'started')
    UNION ALL
    SELECT actor, route, state, reason, changed_at, head, due FROM deliveries INDEXED BY deliveries_attention
    WHERE state IN ('held', 'dead'))
GROUP BY actor, route, state, reason ORDER BY actor, route, state, reason;

-- name: finished
-- What is finished, ever.
SELECT coalesce(sum(delivered), 0), coalesce(sum(dropped), 0), coalesce(sum(discarded), 0) FROM route_stats;

-- name: route_stats
-- What each route has made.
SELECT route, fired, last_fire FROM route_stats ORDER BY route;

-- name: sessions
-- The agents' sessions, the newest first: all, or of an actor, a key, an id.
SELECT actor, id, key, active, harness, account, work_dir, machine, parent, total_usd, runs, failed, why, run_id,
       created_at, changed_at
FROM agent_sessions
WHERE (?1 = '' OR actor = ?1) AND (?2 = '' OR key = ?2) AND (?3 = '' OR id = ?3) AND active >= ?4
ORDER BY changed_at DESC, actor, id LIMIT ?5;
