-- The journal's own name. The mark beside it says the same, so that another one in its place is noticed.

ALTER TABLE sequence ADD COLUMN epoch TEXT NOT NULL DEFAULT '';
