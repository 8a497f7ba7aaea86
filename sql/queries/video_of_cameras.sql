-- Permit page: the spans in which a recorder said that it records, and the clips in the index.
SELECT min(at) AS since, max(at) AS until FROM
(
    SELECT at, sum(fresh) OVER (PARTITION BY camera ORDER BY at) AS span, camera FROM
    (
        SELECT JSONExtractString(event, 'camera') AS camera, at,
               at > lagInFrame(at, 1, at) OVER (PARTITION BY JSONExtractString(event, 'camera') ORDER BY at ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) + INTERVAL 45 SECOND AS fresh
        FROM facts WHERE site = {site:String} AND kind = 'camera.beat' AND JSONExtractBool(event, 'recording')
          AND at BETWEEN {since:DateTime64(3)} AND {until:DateTime64(3)} AND has({cameras:Array(String)}, JSONExtractString(event, 'camera'))
    )
) GROUP BY camera, span
UNION ALL
SELECT at AS since, fromUnixTimestamp64Milli(JSONExtractInt(event, 'until'), 'UTC') AS until FROM facts
WHERE site = {site:String} AND kind = 'clip' AND has({cameras:Array(String)}, JSONExtractString(event, 'camera')) AND at BETWEEN {since:DateTime64(3)} AND {until:DateTime64(3)}
