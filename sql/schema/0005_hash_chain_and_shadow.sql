-- The hash chain of the archive: each batch's sha256 over the one before it and every body in order of offset; `permitwatch verify` follows it.
CREATE TABLE IF NOT EXISTS links
(
    topic LowCardinality(String),
    partition UInt16,
    start UInt64,
    end UInt64,
    digest FixedString(64),
    previous String,
    at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(at)
ORDER BY (topic, partition, start);

-- What a pack in shadow mode would have said: nobody was told.
CREATE VIEW IF NOT EXISTS shadow_alerts AS
SELECT JSONExtractString(body, 'site') AS site, JSONExtractString(body, 'id') AS id, JSONExtractUInt(body, 'revision') AS revision, JSONExtractString(body, 'code') AS code,
       JSONExtractUInt(body, 'priority') AS priority, JSONExtractString(body, 'state') AS state, JSONExtractString(body, 'permit') AS permit,
       fromUnixTimestamp64Milli(JSONExtractInt(body, 'start'), 'UTC') AS start, JSONExtractString(body, 'pack') AS pack, JSONExtractString(body, 'text', 'en') AS en, JSONExtractString(body, 'text', 'zh') AS zh
FROM (SELECT body FROM messages WHERE topic = 'shadow.alerts')
ORDER BY site, id, revision DESC LIMIT 1 BY site, id;

-- The alarm system measures itself (ISA-18.2, EEMUA 191): how much people were told, by ten minutes and owner.
CREATE VIEW IF NOT EXISTS alarm_load AS
SELECT site, JSONExtractString(body, 'owner') AS owner, area, toStartOfInterval(known, INTERVAL 10 MINUTE) AS slot, count() AS told, countIf(priority = 1) AS p1
FROM alert_revisions WHERE JSONExtractBool(body, 'announce') GROUP BY site, owner, area, slot;

-- Floods: ten minutes in which an owner was told more than ten times (P1 apart), and their share of all slots with any.
CREATE VIEW IF NOT EXISTS alarm_floods AS
SELECT site, owner, countIf(told - p1 > 10) AS floods, count() AS slots, floods / slots AS share, max(told) AS worst FROM (SELECT site, owner, slot, sum(told) AS told, sum(p1) AS p1 FROM alarm_load GROUP BY site, owner, slot) GROUP BY site, owner;

-- Bad actors: which codes and subjects raise most; chatter is three or more episodes within an hour; stale is standing for more than a day.
CREATE VIEW IF NOT EXISTS alarm_bad_actors AS
SELECT site, code, JSONExtractString(body, 'subject') AS subject, count() AS episodes, countIf(state = 'raised' AND start < now() - INTERVAL 1 DAY) AS stale,
       count() / greatest(1, dateDiff('hour', min(start), max(start))) AS per_hour, per_hour >= 3 AS chatters
FROM alerts WHERE state != 'retracted' GROUP BY site, code, subject ORDER BY episodes DESC;

-- The priority mix (80/15/5 is wanted over P3+P4, P2, P1).
CREATE VIEW IF NOT EXISTS alarm_mix AS
SELECT site, countIf(priority >= 3) / count() AS low, countIf(priority = 2) / count() AS medium, countIf(priority = 1) / count() AS high, count() AS alerts
FROM alerts WHERE state != 'retracted' GROUP BY site;

-- How alerts were answered: first response, share within the deadline (002-21), false by human verdict.
CREATE VIEW IF NOT EXISTS alarm_response AS
SELECT a.site AS site, a.code AS code, count() AS alerts, countIf(r.at IS NOT NULL AND r.at <= a.deadline) / count() AS in_time, avgIf(dateDiff('millisecond', a.raised, r.at) / 1000, r.at IS NOT NULL) AS mean_s,
       countIf(r.wrong) AS judged_false
FROM (SELECT site, id, code, min(raised) AS raised, argMin(deadline, revision) AS deadline FROM alert_revisions WHERE state != 'retracted' GROUP BY site, id, code) AS a
LEFT JOIN (SELECT site, JSONExtractString(event, 'alert') AS alert, minOrNull(at) AS at, max(JSONExtractString(event, 'action') = 'judge' AND NOT JSONExtractBool(event, 'truth')) AS wrong
           FROM facts WHERE kind = 'action' GROUP BY site, alert) AS r ON r.site = a.site AND r.alert = a.id
GROUP BY site, code;
