-- A permit number may have several lives; the revisions of a verdict count within each (rows of older versions say 0: the first).
ALTER TABLE verdict_revisions ADD COLUMN IF NOT EXISTS life UInt16, MODIFY ORDER BY (site, permit, revision, life);

ALTER TABLE verdict_revisions_in MODIFY QUERY
SELECT JSONExtractString(body, 'site') AS site, JSONExtractString(body, 'permit') AS permit, JSONExtractUInt(body, 'revision') AS revision,
       fromUnixTimestamp64Milli(JSONExtractInt(body, 'known'), 'UTC') AS known, JSONExtractString(body, 'outcome') AS outcome,
       JSONExtractString(body, 'status') AS status, JSONExtractString(body, 'light') AS light, JSONExtractString(body, 'point') AS point,
       JSONExtractString(body, 'area') AS area, JSONExtractString(body, 'shop') AS shop, JSONExtractString(body, 'type') AS type, JSONExtractString(body, 'crew') AS crew,
       fromUnixTimestamp64Milli(JSONExtractInt(body, 'valid_from'), 'UTC') AS valid_from, fromUnixTimestamp64Milli(JSONExtractInt(body, 'valid_to'), 'UTC') AS valid_to,
       JSONExtractString(body, 'barriers', 'gas') AS gas, JSONExtractString(body, 'barriers', 'guard') AS guard, JSONExtractString(body, 'barriers', 'video') AS video,
       arrayFilter(t -> JSONExtractString(body, 'checks', t, 'outcome') = 'indeterminate', ['T1', 'T2', 'T3', 'T4', 'T5', 'T6', 'T7', 'T8', 'T9']) AS indeterminate, body,
       toUInt16(greatest(1, JSONExtractUInt(body, 'life'))) AS life
FROM messages WHERE topic = 'verdicts';

-- The latest verdict of each permit: of its last life.
CREATE OR REPLACE VIEW verdicts AS
SELECT * FROM verdict_revisions ORDER BY site, permit, life DESC, revision DESC LIMIT 1 BY site, permit;

-- The code of each person and contractor (green, yellow, red, grey), every revision, with what is wrong.
CREATE TABLE IF NOT EXISTS code_revisions
(
    site LowCardinality(String), who String, kind LowCardinality(String), revision UInt32, known DateTime64(3, 'UTC'), colour LowCardinality(String), reasons Array(String)
)
ENGINE = ReplacingMergeTree ORDER BY (site, kind, who, revision) SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS code_revisions_in TO code_revisions AS
SELECT JSONExtractString(body, 'site') AS site, JSONExtractString(body, 'who') AS who, JSONExtractString(body, 'who_is') AS kind, JSONExtractUInt(body, 'revision') AS revision,
       fromUnixTimestamp64Milli(JSONExtractInt(body, 'known'), 'UTC') AS known, JSONExtractString(body, 'colour') AS colour, JSONExtract(body, 'reasons', 'Array(String)') AS reasons
FROM messages WHERE topic = 'codes';

-- The code of now.
CREATE VIEW IF NOT EXISTS codes AS
SELECT * FROM code_revisions ORDER BY site, kind, who, revision DESC LIMIT 1 BY site, kind, who;
