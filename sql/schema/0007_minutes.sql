-- One row a site and minute that was told, whether or not anybody worked in it: an hour without rows is an hour of which nothing is known.
CREATE TABLE IF NOT EXISTS minutes
(
    site LowCardinality(String), at DateTime64(3, 'UTC'), known DateTime64(3, 'UTC'), shift LowCardinality(String), jobs UInt16, inside UInt16
)
ENGINE = ReplacingMergeTree(known) PARTITION BY toYYYYMM(at) ORDER BY (site, at) TTL toDateTime(at) + INTERVAL 400 DAY SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS minutes_in TO minutes AS
SELECT JSONExtractString(body, 'site') AS site, fromUnixTimestamp64Milli(JSONExtractInt(body, 'at'), 'UTC') AS at, fromUnixTimestamp64Milli(JSONExtractInt(body, 'known'), 'UTC') AS known,
       JSONExtractString(body, 'shift') AS shift, JSONLength(body, 'jobs', 'permit') AS jobs, JSONLength(body, 'inside', 'worker') AS inside
FROM messages WHERE topic = 'minutes';

-- The risk index of each area that had a job at work, 0 to 100, the sum that it caps, and how many jobs.
CREATE TABLE IF NOT EXISTS minute_areas
(
    site LowCardinality(String), at DateTime64(3, 'UTC'), known DateTime64(3, 'UTC'), area LowCardinality(String), risk Float64, uncapped Float64, jobs UInt16
)
ENGINE = ReplacingMergeTree(known) PARTITION BY toYYYYMM(at) ORDER BY (site, area, at) TTL toDateTime(at) + INTERVAL 400 DAY SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS minute_areas_in TO minute_areas AS
SELECT JSONExtractString(body, 'site') AS site, fromUnixTimestamp64Milli(JSONExtractInt(body, 'at'), 'UTC') AS at, fromUnixTimestamp64Milli(JSONExtractInt(body, 'known'), 'UTC') AS known,
       one.1 AS area, one.2[1] AS risk, one.2[2] AS uncapped, countEqual(JSONExtract(body, 'jobs', 'area', 'Array(String)'), one.1) AS jobs
FROM (SELECT body, arrayJoin(JSONExtractKeysAndValues(body, 'areas', 'Array(Float64)')) AS one FROM messages WHERE topic = 'minutes');

-- Each job of each minute: its risk with the parts of it. trades: a filter; never sum over them.
CREATE TABLE IF NOT EXISTS minute_jobs
(
    site LowCardinality(String), at DateTime64(3, 'UTC'), known DateTime64(3, 'UTC'), shift LowCardinality(String), permit String, life UInt16, type LowCardinality(String),
    family LowCardinality(String), trades Array(LowCardinality(String)), area LowCardinality(String), shop LowCardinality(String), point LowCardinality(String), crew LowCardinality(String),
    weight UInt8, barriers Map(String, String), factors Map(String, Float64), risk Float64
)
ENGINE = ReplacingMergeTree(known) PARTITION BY toYYYYMM(at) ORDER BY (site, at, permit, life) TTL toDateTime(at) + INTERVAL 400 DAY SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS minute_jobs_in TO minute_jobs AS
SELECT JSONExtractString(body, 'site') AS site, fromUnixTimestamp64Milli(JSONExtractInt(body, 'at'), 'UTC') AS at, fromUnixTimestamp64Milli(JSONExtractInt(body, 'known'), 'UTC') AS known,
       JSONExtractString(body, 'shift') AS shift, permit, life, type, family, trades, area, shop, point, crew, weight, barriers, factors, risk
FROM
(
    SELECT body,
           JSONExtract(body, 'jobs', 'permit', 'Array(String)') AS permits, JSONExtract(body, 'jobs', 'life', 'Array(UInt16)') AS lives, JSONExtract(body, 'jobs', 'type', 'Array(String)') AS types,
           JSONExtract(body, 'jobs', 'family', 'Array(String)') AS families, JSONExtract(body, 'jobs', 'trades', 'Array(Array(String))') AS crafts, JSONExtract(body, 'jobs', 'area', 'Array(String)') AS places,
           JSONExtract(body, 'jobs', 'shop', 'Array(String)') AS shops, JSONExtract(body, 'jobs', 'point', 'Array(String)') AS points, JSONExtract(body, 'jobs', 'crew', 'Array(String)') AS crews,
           JSONExtract(body, 'jobs', 'weight', 'Array(UInt8)') AS weights, JSONExtract(body, 'jobs', 'barriers', 'Array(Map(String, String))') AS held,
           JSONExtract(body, 'jobs', 'factors', 'Array(Map(String, Float64))') AS raised, JSONExtract(body, 'jobs', 'risk', 'Array(Float64)') AS risks
    FROM messages WHERE topic = 'minutes'
)
ARRAY JOIN permits AS permit, lives AS life, types AS type, families AS family, crafts AS trades, places AS area, shops AS shop, points AS point, crews AS crew, weights AS weight, held AS barriers,
           raised AS factors, risks AS risk;

-- What of the work of each permit and minute was watched, in ms; gas and seen are NULL where nobody asked or nothing could see. What was heard late replaces what was told.
CREATE TABLE IF NOT EXISTS watched
(
    site LowCardinality(String), at DateTime64(3, 'UTC'), permit String, life UInt16, known DateTime64(3, 'UTC'),
    work UInt32, gas Nullable(UInt32), filmed UInt32, seen Nullable(UInt32), guard UInt32, permitted UInt32, all UInt32, nobody UInt32
)
ENGINE = ReplacingMergeTree(known) PARTITION BY toYYYYMM(at) ORDER BY (site, permit, life, at) TTL toDateTime(at) + INTERVAL 400 DAY SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS watched_in TO watched AS
SELECT JSONExtractString(body, 'site') AS site, fromUnixTimestamp64Milli(JSONExtractInt(body, 'at'), 'UTC') AS at, permit, life, fromUnixTimestamp64Milli(JSONExtractInt(body, 'known'), 'UTC') AS known,
       work, gas, filmed, seen, guard, permitted, all, nobody
FROM
(
    SELECT body, JSONExtract(body, 'jobs', 'permit', 'Array(String)') AS c1, JSONExtract(body, 'jobs', 'life', 'Array(UInt16)') AS c2, JSONExtract(body, 'jobs', 'work', 'Array(UInt32)') AS c3,
           JSONExtract(body, 'jobs', 'gas', 'Array(Nullable(UInt32))') AS c4, JSONExtract(body, 'jobs', 'filmed', 'Array(UInt32)') AS c5, JSONExtract(body, 'jobs', 'seen', 'Array(Nullable(UInt32))') AS c6,
           JSONExtract(body, 'jobs', 'guard', 'Array(UInt32)') AS c7, JSONExtract(body, 'jobs', 'permitted', 'Array(UInt32)') AS c8, JSONExtract(body, 'jobs', 'all', 'Array(UInt32)') AS c9,
           JSONExtract(body, 'jobs', 'nobody', 'Array(UInt32)') AS c10
    FROM messages WHERE topic = 'minutes'
)
ARRAY JOIN c1 AS permit, c2 AS life, c3 AS work, c4 AS gas, c5 AS filmed, c6 AS seen, c7 AS guard, c8 AS permitted, c9 AS all, c10 AS nobody;

CREATE MATERIALIZED VIEW IF NOT EXISTS watched_again TO watched AS
SELECT JSONExtractString(body, 'site') AS site, fromUnixTimestamp64Milli(minute, 'UTC') AS at, permit, life, fromUnixTimestamp64Milli(JSONExtractInt(body, 'known'), 'UTC') AS known,
       work, gas, filmed, seen, guard, permitted, all, nobody
FROM
(
    SELECT body, JSONExtract(body, 'again', 'at', 'Array(Int64)') AS c0, JSONExtract(body, 'again', 'permit', 'Array(String)') AS c1, JSONExtract(body, 'again', 'life', 'Array(UInt16)') AS c2,
           JSONExtract(body, 'again', 'work', 'Array(UInt32)') AS c3, JSONExtract(body, 'again', 'gas', 'Array(Nullable(UInt32))') AS c4, JSONExtract(body, 'again', 'filmed', 'Array(UInt32)') AS c5,
           JSONExtract(body, 'again', 'seen', 'Array(Nullable(UInt32))') AS c6, JSONExtract(body, 'again', 'guard', 'Array(UInt32)') AS c7, JSONExtract(body, 'again', 'permitted', 'Array(UInt32)') AS c8,
           JSONExtract(body, 'again', 'all', 'Array(UInt32)') AS c9, JSONExtract(body, 'again', 'nobody', 'Array(UInt32)') AS c10
    FROM messages WHERE topic = 'minutes'
)
ARRAY JOIN c0 AS minute, c1 AS permit, c2 AS life, c3 AS work, c4 AS gas, c5 AS filmed, c6 AS seen, c7 AS guard, c8 AS permitted, c9 AS all, c10 AS nobody;

-- The ledger of watched minutes: the last word on each minute of each permit.
CREATE VIEW IF NOT EXISTS watched_minutes AS
SELECT * FROM watched ORDER BY site, permit, life, at, known DESC LIMIT 1 BY site, permit, life, at;

-- Who was inside in the minute told last: by door or tag, and how long ago (s) that was said.
CREATE VIEW IF NOT EXISTS inside AS
SELECT site, at, worker, area, point, source, age / 1000 AS age_s
FROM
(
    SELECT JSONExtractString(body, 'site') AS site, fromUnixTimestamp64Milli(JSONExtractInt(body, 'at'), 'UTC') AS at, JSONExtract(body, 'inside', 'worker', 'Array(String)') AS c1,
           JSONExtract(body, 'inside', 'area', 'Array(String)') AS c2, JSONExtract(body, 'inside', 'point', 'Array(String)') AS c3, JSONExtract(body, 'inside', 'source', 'Array(String)') AS c4,
           JSONExtract(body, 'inside', 'age', 'Array(Int64)') AS c5
    FROM messages WHERE topic = 'minutes' ORDER BY at DESC LIMIT 1 BY site
)
ARRAY JOIN c1 AS worker, c2 AS area, c3 AS point, c4 AS source, c5 AS age;
