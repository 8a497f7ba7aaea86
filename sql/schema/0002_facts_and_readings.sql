-- Single facts, one row each, keyed by the number their source gave them.
CREATE TABLE IF NOT EXISTS facts
(
    site LowCardinality(String),
    topic LowCardinality(String),
    source LowCardinality(String),
    lane LowCardinality(String),
    seq UInt64,
    kind LowCardinality(String),
    at DateTime64(3, 'UTC'),
    seen DateTime64(3, 'UTC'),
    permit String,
    worker String,
    event String CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (site, kind, source, topic, lane, seq, at)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS facts_in TO facts AS
WITH JSONExtractRaw(body, 'event') AS said
SELECT JSONExtractString(body, 'site') AS site, topic, JSONExtractString(body, 'source') AS source,
       if(JSONHas(body, 'lane'), JSONExtractString(body, 'lane'), 'live') AS lane,
       JSONExtractUInt(body, 'seq') AS seq, JSONExtractString(said, 'kind') AS kind,
       fromUnixTimestamp64Milli(JSONExtractInt(said, 'at'), 'UTC') AS at,
       fromUnixTimestamp64Milli(JSONExtractInt(body, 'seen'), 'UTC') AS seen,
       JSONExtractString(said, 'permit') AS permit, JSONExtractString(said, 'worker') AS worker, said AS event
FROM messages
WHERE topic IN ('camera.detections', 'evidence.clips', 'badge.events', 'permit.events', 'roster.events', 'weather.events', 'site.events', 'alert.actions')
  AND isValidJSON(body) AND NOT startsWith(JSONExtractString(body, 'event', 'kind'), 'positions');

-- Telemetry as it was framed: names once, values as an array; None is NULL, never a number.
CREATE TABLE IF NOT EXISTS frames
(
    site LowCardinality(String),
    source LowCardinality(String),
    lane LowCardinality(String),
    seq UInt64,
    at DateTime64(3, 'UTC'),
    names Array(LowCardinality(String)) CODEC(ZSTD(1)),
    values Array(Nullable(Float64)) CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (site, source, lane, seq)
TTL toDateTime(at) + INTERVAL 400 DAY
SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS frames_in TO frames AS
SELECT JSONExtractString(body, 'site') AS site, JSONExtractString(body, 'source') AS source,
       if(JSONHas(body, 'lane'), JSONExtractString(body, 'lane'), 'live') AS lane, JSONExtractUInt(body, 'seq') AS seq,
       fromUnixTimestamp64Milli(JSONExtractInt(body, 'event', 'at'), 'UTC') AS at,
       JSONExtract(body, 'event', 'names', 'Array(String)') AS names,
       JSONExtract(body, 'event', 'values', 'Array(Nullable(Float64))') AS values
FROM messages WHERE topic = 'sensor.readings' AND isValidJSON(body);

CREATE TABLE IF NOT EXISTS positions
(
    site LowCardinality(String),
    source LowCardinality(String),
    lane LowCardinality(String),
    seq UInt64,
    at DateTime64(3, 'UTC'),
    workers Array(LowCardinality(String)),
    x Array(Float32),
    y Array(Float32),
    acc Array(Float32)
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (site, source, lane, seq)
TTL toDateTime(at) + INTERVAL 400 DAY
SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS positions_in TO positions AS
SELECT JSONExtractString(body, 'site') AS site, JSONExtractString(body, 'source') AS source,
       if(JSONHas(body, 'lane'), JSONExtractString(body, 'lane'), 'live') AS lane, JSONExtractUInt(body, 'seq') AS seq,
       fromUnixTimestamp64Milli(JSONExtractInt(body, 'event', 'at'), 'UTC') AS at,
       JSONExtract(body, 'event', 'workers', 'Array(String)') AS workers,
       JSONExtract(body, 'event', 'x', 'Array(Float32)') AS x, JSONExtract(body, 'event', 'y', 'Array(Float32)') AS y,
       JSONExtract(body, 'event', 'acc', 'Array(Float32)') AS acc
FROM messages WHERE topic = 'badge.events' AND isValidJSON(body) AND JSONExtractString(body, 'event', 'kind') = 'positions';
