-- Every message of every topic as it travelled: the truth that everything else here is read from.
CREATE TABLE IF NOT EXISTS messages
(
    topic LowCardinality(String),
    partition UInt16,
    offset UInt64,
    arrived DateTime64(3, 'UTC') DEFAULT now64(3),
    body String CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(arrived)
ORDER BY (topic, partition, offset)
TTL toDateTime(arrived) + INTERVAL 400 DAY
SETTINGS non_replicated_deduplication_window = 10000;

-- What a batch was going to be before it was written: after a crash the same batch is formed again.
CREATE TABLE IF NOT EXISTS intents
(
    topic LowCardinality(String),
    partition UInt16,
    start UInt64,
    end UInt64,
    generation UInt32,
    at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(at)
ORDER BY (topic, partition, start)
TTL toDateTime(at) + INTERVAL 7 DAY;
