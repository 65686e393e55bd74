-- When a daemon was surely there last: what only a daemon writes, without what a person may decide while none runs.

CREATE VIEW last_sign (at) AS
SELECT max(
    coalesce((SELECT e.at FROM events e ORDER BY e.seq DESC LIMIT 1), 0),
    coalesce((SELECT y.at FROM system y ORDER BY y.seq DESC LIMIT 1), 0),
    coalesce((SELECT max(s.at) FROM (SELECT at, transition FROM steps ORDER BY seq DESC LIMIT 100) s
              WHERE s.transition NOT IN ('released', 'retried', 'discarded', 'prepare')), 0),
    coalesce((SELECT max(r.last_seen) FROM runs r
              WHERE r.ended_at IS NULL AND NOT EXISTS (SELECT 1 FROM remote_runs m WHERE m.run_id = r.id)), 0));
