-- What a delivery does with others of its route and key that have not finished.

-- The key by which those of its route find it, if its route says `on_busy`. The delivery (by id) for which its
-- run is to be stopped.
ALTER TABLE deliveries ADD COLUMN busy TEXT;
ALTER TABLE deliveries ADD COLUMN cancelled_by TEXT;

CREATE INDEX deliveries_turn ON deliveries (route, busy)
    WHERE busy IS NOT NULL AND state IN ('pending', 'running', 'started');

-- The key by which a later event finds it, if its route says `drop_when`.
ALTER TABLE deliveries ADD COLUMN drop_key TEXT;

CREATE INDEX deliveries_drop ON deliveries (route, drop_key)
    WHERE drop_key IS NOT NULL AND state IN ('preparing', 'pending');
