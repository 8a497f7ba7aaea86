-- What was concluded: every revision of every alert, verdict, request and delivery, each once.
CREATE TABLE IF NOT EXISTS alert_revisions
(
    site LowCardinality(String), id String, revision UInt32, code LowCardinality(String), priority UInt8, state LowCardinality(String),
    permit String, point String, area LowCardinality(String), incident String,
    start DateTime64(3, 'UTC'), end Nullable(DateTime64(3, 'UTC')), raised DateTime64(3, 'UTC'), known DateTime64(3, 'UTC'), deadline DateTime64(3, 'UTC'),
    aq LowCardinality(String), clause String, edition String, confidence LowCardinality(String), pack String,
    zh String, en String, evidence Array(String), body String CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(start)
ORDER BY (site, id, revision)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS alert_revisions_in TO alert_revisions AS
SELECT JSONExtractString(body, 'site') AS site, JSONExtractString(body, 'id') AS id, JSONExtractUInt(body, 'revision') AS revision,
       JSONExtractString(body, 'code') AS code, JSONExtractUInt(body, 'priority') AS priority, JSONExtractString(body, 'state') AS state,
       JSONExtractString(body, 'permit') AS permit, JSONExtractString(body, 'point') AS point, JSONExtractString(body, 'area') AS area,
       JSONExtractString(body, 'incident') AS incident,
       fromUnixTimestamp64Milli(JSONExtractInt(body, 'start'), 'UTC') AS start,
       if(JSONType(body, 'end') = 'Null', NULL, fromUnixTimestamp64Milli(JSONExtractInt(body, 'end'), 'UTC')) AS end,
       fromUnixTimestamp64Milli(JSONExtractInt(body, 'raised'), 'UTC') AS raised, fromUnixTimestamp64Milli(JSONExtractInt(body, 'known'), 'UTC') AS known,
       fromUnixTimestamp64Milli(JSONExtractInt(body, 'deadline'), 'UTC') AS deadline,
       JSONExtractString(body, 'aq') AS aq, JSONExtractString(body, 'clause') AS clause, JSONExtractString(body, 'edition') AS edition,
       JSONExtractString(body, 'confidence') AS confidence, JSONExtractString(body, 'pack') AS pack,
       JSONExtractString(body, 'text', 'zh') AS zh, JSONExtractString(body, 'text', 'en') AS en,
       JSONExtract(body, 'evidence', 'Array(String)') AS evidence, body
FROM messages WHERE topic = 'alerts';

CREATE TABLE IF NOT EXISTS verdict_revisions
(
    site LowCardinality(String), permit String, revision UInt32, known DateTime64(3, 'UTC'), outcome LowCardinality(String), status LowCardinality(String),
    light LowCardinality(String), point String, area LowCardinality(String), shop LowCardinality(String), type LowCardinality(String), crew LowCardinality(String),
    valid_from DateTime64(3, 'UTC'), valid_to DateTime64(3, 'UTC'), gas LowCardinality(String), guard LowCardinality(String), video LowCardinality(String),
    indeterminate Array(String), body String CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(valid_from)
ORDER BY (site, permit, revision)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS verdict_revisions_in TO verdict_revisions AS
SELECT JSONExtractString(body, 'site') AS site, JSONExtractString(body, 'permit') AS permit, JSONExtractUInt(body, 'revision') AS revision,
       fromUnixTimestamp64Milli(JSONExtractInt(body, 'known'), 'UTC') AS known, JSONExtractString(body, 'outcome') AS outcome,
       JSONExtractString(body, 'status') AS status, JSONExtractString(body, 'light') AS light, JSONExtractString(body, 'point') AS point,
       JSONExtractString(body, 'area') AS area, JSONExtractString(body, 'shop') AS shop, JSONExtractString(body, 'type') AS type, JSONExtractString(body, 'crew') AS crew,
       fromUnixTimestamp64Milli(JSONExtractInt(body, 'valid_from'), 'UTC') AS valid_from, fromUnixTimestamp64Milli(JSONExtractInt(body, 'valid_to'), 'UTC') AS valid_to,
       JSONExtractString(body, 'barriers', 'gas') AS gas, JSONExtractString(body, 'barriers', 'guard') AS guard, JSONExtractString(body, 'barriers', 'video') AS video,
       arrayFilter(t -> JSONExtractString(body, 'checks', t, 'outcome') = 'indeterminate', ['T1', 'T2', 'T3', 'T4', 'T5', 'T6', 'T7', 'T8', 'T9']) AS indeterminate, body
FROM messages WHERE topic = 'verdicts';

CREATE TABLE IF NOT EXISTS commands
(
    site LowCardinality(String), id String, revision UInt32, action LowCardinality(String), target String, alert String,
    known DateTime64(3, 'UTC'), expires DateTime64(3, 'UTC'), dry_run Bool
)
ENGINE = ReplacingMergeTree ORDER BY (site, id, revision) SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS commands_in TO commands AS
SELECT JSONExtractString(body, 'site') AS site, JSONExtractString(body, 'id') AS id, JSONExtractUInt(body, 'revision') AS revision,
       JSONExtractString(body, 'action') AS action, JSONExtractString(body, 'target') AS target, JSONExtractString(body, 'alert') AS alert,
       fromUnixTimestamp64Milli(JSONExtractInt(body, 'known'), 'UTC') AS known, fromUnixTimestamp64Milli(JSONExtractInt(body, 'expires'), 'UTC') AS expires,
       JSONExtractBool(body, 'dry_run') AS dry_run
FROM messages WHERE topic = 'commands';

CREATE TABLE IF NOT EXISTS deliveries
(
    site LowCardinality(String), subject String, revision UInt32, channel LowCardinality(String), at DateTime64(3, 'UTC'), outcome LowCardinality(String), answer String
)
ENGINE = ReplacingMergeTree ORDER BY (site, subject, revision, channel, at) SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS deliveries_in TO deliveries AS
SELECT JSONExtractString(body, 'site') AS site, JSONExtractString(body, 'subject') AS subject, JSONExtractUInt(body, 'revision') AS revision,
       JSONExtractString(body, 'channel') AS channel, fromUnixTimestamp64Milli(JSONExtractInt(body, 'at'), 'UTC') AS at,
       JSONExtractString(body, 'outcome') AS outcome, JSONExtractString(body, 'answer') AS answer
FROM messages WHERE topic = 'deliveries';
