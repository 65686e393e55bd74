-- Accounts: what is parked, who probes, and what they use.

-- name: park
-- Nothing starts with an account for a while.
INSERT INTO parked (account, since, until, by_person, reason) VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT (account) DO UPDATE SET until = ?3, by_person = ?4, reason = ?5, probe = NULL, probe_token = NULL;

-- name: unpark
-- An account's work goes on.
DELETE FROM parked WHERE account = ?;

-- name: probe
-- One wake of a parked account is claimed to see whether its limit is over.
UPDATE parked SET probe = ?2, probe_token = ?3 WHERE account = ?1;

-- name: account_probing
-- Whether that wake is on its way, or its run goes on.
SELECT EXISTS (SELECT 1 FROM deliveries WHERE seq = ?1 AND token = ?2 AND state IN ('running', 'started'));

-- name: end_waits_because
-- What waited for one cause is looked at anew.
DELETE FROM waits_for WHERE cause = ? RETURNING level, name, actor, since;

-- name: set_back_parked
-- The clock was set back.
UPDATE parked SET since = min(since, ?1), until = iif(until > ?1, until - ?2, until);

-- name: delete_parked
-- Limits that were over long ago, of accounts that nothing was started with since.
DELETE FROM parked WHERE account IN (SELECT account FROM parked WHERE until < ? LIMIT ?);
