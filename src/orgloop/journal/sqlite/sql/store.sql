-- What the store asks itself when it opens.

-- name: last_number
-- The highest number of the sequence. Whatever gets a later place gets a step after it.
SELECT max(
    (SELECT floor FROM sequence),
    coalesce((SELECT max(seq) FROM events), 0),
    coalesce((SELECT max(seq) FROM deliveries), 0),
    coalesce((SELECT max(seq) FROM steps), 0),
    coalesce((SELECT max(seq) FROM runs), 0),
    coalesce((SELECT max(seq) FROM system), 0),
    coalesce((SELECT max(seq) FROM applied), 0));

-- name: epoch
-- The journal's own name.
SELECT epoch FROM sequence;

-- name: set_epoch
-- From now on it has this name.
UPDATE sequence SET epoch = ?;

-- name: died
-- Whether the last daemon's life has no end.
SELECT ended_at IS NULL FROM daemons ORDER BY started_at DESC LIMIT 1;

-- name: size
-- The file's size in bytes.
SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size();
