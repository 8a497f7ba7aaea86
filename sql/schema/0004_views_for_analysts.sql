-- The latest revision of each alert.
CREATE VIEW IF NOT EXISTS alerts AS
SELECT * FROM alert_revisions ORDER BY site, id, revision DESC LIMIT 1 BY site, id;

-- The latest verdict of each permit.
CREATE VIEW IF NOT EXISTS verdicts AS
SELECT * FROM verdict_revisions ORDER BY site, permit, revision DESC LIMIT 1 BY site, permit;

-- One row per reading: site, source, tag, at, value (NULL: a failed read).
CREATE VIEW IF NOT EXISTS readings AS
SELECT site, source, at, tag, value FROM (SELECT * FROM frames LIMIT 1 BY site, source, lane, seq) ARRAY JOIN names AS tag, values AS value;

-- Permits whose verdict cannot be told, and by which check: the data-quality tasks.
CREATE VIEW IF NOT EXISTS data_quality_tasks AS
SELECT site, permit, point, area, known, arrayJoin(indeterminate) AS check FROM verdicts WHERE notEmpty(indeterminate) AND outcome != 'violation';

-- The flagship figure (000-28): consistent permits of all that are decided, by day.
CREATE VIEW IF NOT EXISTS consistency_by_day AS
SELECT site, toDate(valid_from, 'Asia/Shanghai') AS day, countIf(outcome = 'consistent') AS consistent, countIf(outcome = 'violation') AS violation,
       countIf(outcome = 'indeterminate') AS indeterminate, consistent / nullIf(consistent + violation + indeterminate, 0) AS share
FROM verdicts GROUP BY site, day;
