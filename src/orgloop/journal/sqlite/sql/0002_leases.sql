-- Claims are leased to a worker. Until now there was one.

ALTER TABLE deliveries ADD COLUMN worker TEXT;
ALTER TABLE deliveries ADD COLUMN leased_until INTEGER;

UPDATE deliveries SET worker = 'here' WHERE state IN ('running', 'started');
