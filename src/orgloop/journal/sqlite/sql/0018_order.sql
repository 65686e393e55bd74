-- Deliveries that have a session key and wait behind nothing: their route says `order: none`. They are in no
-- key's queue, so their `key` is NULL, and the session key stands here.

ALTER TABLE deliveries ADD COLUMN loose_key TEXT;
