-- How much is not finished, for each route and actor that ever had a delivery: kept when something comes or ends, so
-- that no count is a scan of what waits.

CREATE TABLE unfinished (
    route TEXT    NOT NULL,
    actor TEXT    NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (route, actor)
) STRICT, WITHOUT ROWID;

INSERT INTO unfinished (route, actor, count)
SELECT route, actor, sum(state NOT IN ('delivered', 'dropped', 'discarded')) FROM deliveries GROUP BY route, actor;
