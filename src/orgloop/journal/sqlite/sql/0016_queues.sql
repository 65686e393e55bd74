-- Deliveries that count towards the `queue_depth` of their route.

ALTER TABLE deliveries ADD COLUMN counted INTEGER NOT NULL DEFAULT 0;

CREATE INDEX deliveries_counted ON deliveries (route, seq)
    WHERE counted = 1 AND state IN ('preparing', 'pending');
