-- Runs that are jobs of another system.

-- name: keep_ref
-- What the other system calls a run that has not ended.
UPDATE remote_runs SET ref = ?2
WHERE run_id = ?1 AND EXISTS (SELECT 1 FROM runs r WHERE r.id = ?1 AND r.ended_at IS NULL);

-- name: name_job
-- The same among what people see of the run.
UPDATE runs SET spec = json_set(spec, '$.job', ?2) WHERE id = ?1;

-- name: run_called_back
-- The end that a callback brought, if it is the first one and the run has not ended.
INSERT INTO callbacks (run_id, at, result)
SELECT ?1, ?2, ?3 FROM runs r WHERE r.id = ?1 AND r.ended_at IS NULL
ON CONFLICT DO NOTHING;

-- name: stop_run
-- Somebody asked to end a run.
UPDATE remote_runs SET stop_at = coalesce(stop_at, ?2)
WHERE run_id = ?1 AND EXISTS (SELECT 1 FROM runs r WHERE r.id = ?1 AND r.ended_at IS NULL);
