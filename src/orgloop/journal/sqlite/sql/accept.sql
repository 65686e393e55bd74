-- Taking events in.

-- name: see
-- Remember a request or an event; changes nothing if it was here before.
INSERT OR IGNORE INTO seen (source, kind, key, event_id, at) VALUES (?, ?, ?, ?, ?);

-- name: seen
-- The first event of a request or identity.
SELECT event_id FROM seen WHERE source = ? AND kind = ? AND key = ?;

-- name: is_there
-- Whether an event has this id already, whoever it came from.
SELECT EXISTS (SELECT 1 FROM events WHERE id = ?);

-- name: answer_request_with
-- The request's first event turned out to be known already.
UPDATE seen SET event_id = ? WHERE source = ? AND kind = 'request' AND key = ?;

-- name: insert_event
-- One event.
INSERT INTO events (seq, id, project, at, source, type, platform_event, trace_id, hops, routes, document, entity)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: insert_delivery
-- One delivery. One that joins a key's queue is not its head: see `promote`.
INSERT INTO deliveries
    (seq, id, project, event_seq, route, actor, runs, state, reason, detail, key, head, pos,
     due, accepted_at, changed_at, age_from, document, steps, once)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: owner
-- Who owns a key of a route, and since when.
SELECT delivery, at FROM owned WHERE route = ? AND key = ?;

-- name: own
-- A delivery takes a key over.
INSERT INTO owned (route, key, at, until, delivery) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (route, key) DO UPDATE SET at = excluded.at, until = excluded.until, delivery = excluded.delivery;

-- name: disown
-- A key that a delivery owns is free.
DELETE FROM owned WHERE route = ? AND key = ? AND delivery = ?;

-- name: count_events
-- What arrived from a source in this transaction.
INSERT INTO sources (source, last_event, events) VALUES (?1, ?2, ?3)
ON CONFLICT (source) DO UPDATE SET last_event = coalesce(?2, last_event), events = events + ?3;

-- name: set_checkpoint
-- A poll that went well: its time and how far it came.
INSERT INTO sources (source, checkpoint, last_poll, last_success) VALUES (?1, ?2, ?3, ?3)
ON CONFLICT (source) DO UPDATE SET checkpoint = ?2, last_poll = ?3, last_success = ?3, errors = 0, error = '';

-- name: get_checkpoint
-- How far a source's polls came.
SELECT checkpoint FROM sources WHERE source = ?;

-- name: polled
-- A poll that brought nothing new.
INSERT INTO sources (source, last_poll, last_success) VALUES (?1, ?2, ?2)
ON CONFLICT (source) DO UPDATE SET last_poll = ?2, last_success = ?2, errors = 0, error = '';

-- name: poll_failed
-- A poll that failed.
INSERT INTO sources (source, last_poll, errors, error) VALUES (?1, ?2, 1, ?3)
ON CONFLICT (source) DO UPDATE SET last_poll = ?2, errors = errors + 1, error = ?3;

-- name: count_unfinished
-- How much more of a route and an actor is not finished, or how much less.
INSERT INTO unfinished (route, actor, count) VALUES (?, ?, ?)
ON CONFLICT (route, actor) DO UPDATE SET count = count + excluded.count;

-- name: count_route
-- What a route made and finished in this transaction.
INSERT INTO route_stats (route, fired, last_fire, delivered, dropped, discarded) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT (route) DO UPDATE SET
    fired = fired + ?2, last_fire = coalesce(?3, last_fire),
    delivered = delivered + ?4, dropped = dropped + ?5, discarded = discarded + ?6;

-- name: set_loose_key
-- A delivery has a session key, and waits behind nothing.
UPDATE deliveries SET loose_key = ? WHERE seq = ?;
