-- When a run was seen to have begun: its program or job works, and is not only wanted.

ALTER TABLE runs ADD COLUMN begun_at INTEGER;

-- Those of before had told of their start with their commit.
UPDATE runs SET begun_at = started_at WHERE ended_at IS NULL OR reason <> 'not_started';
