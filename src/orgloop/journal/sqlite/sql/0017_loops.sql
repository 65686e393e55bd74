-- Loops: what came again in one chain, and how often a key had runs.

CREATE TABLE alike (
    trace    TEXT    NOT NULL,
    route    TEXT    NOT NULL,
    likeness TEXT    NOT NULL,
    hops     INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    PRIMARY KEY (trace, route, likeness, hops)
) STRICT, WITHOUT ROWID;

CREATE INDEX alike_at ON alike (at);
CREATE INDEX charges_key ON charges (actor, key, at) WHERE key IS NOT NULL;
