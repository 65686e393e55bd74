-- Wakes with members: several deliveries of one route that an actor is woken for at once. Events of one thing.

-- The thing that an event is about, without its version: a comment, a pull request.
ALTER TABLE events ADD COLUMN entity TEXT;

-- The delivery (by seq) that leads the wake; NULL if it leads one itself. Time, tries, key and run are the
-- lead's. How many the wake has stands with the lead.
ALTER TABLE deliveries ADD COLUMN lead INTEGER;
ALTER TABLE deliveries ADD COLUMN members INTEGER NOT NULL DEFAULT 1;

CREATE INDEX deliveries_members ON deliveries (lead, seq) WHERE lead IS NOT NULL;
CREATE INDEX deliveries_joined ON deliveries (state, route) WHERE lead IS NOT NULL AND state = 'pending';
