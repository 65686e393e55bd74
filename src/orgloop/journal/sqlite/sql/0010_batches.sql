-- Batches: wakes that still collect members.

-- Set while a delivery leads an open batch, one of a route and key: which, when it is due at the latest, and
-- how many bytes its events have.
ALTER TABLE deliveries ADD COLUMN batch TEXT;
ALTER TABLE deliveries ADD COLUMN batch_until INTEGER;
ALTER TABLE deliveries ADD COLUMN batch_size INTEGER;
-- Of a delivery in a batch: the thing that its event is about. A later event of that takes its place.
ALTER TABLE deliveries ADD COLUMN thing TEXT;

CREATE UNIQUE INDEX deliveries_batch ON deliveries (route, batch) WHERE batch IS NOT NULL;
