-- Wall: the worst risk index of each area in each hour of the last day, and how many jobs it had (000-25, 000-37).
SELECT area, hour, max(risk) AS risk, max(jobs) AS jobs
FROM
(
    SELECT area, toStartOfHour(known) AS hour, toStartOfInterval(known, INTERVAL 5 MINUTE) AS slot,
           least(100, sum(multiIf(type = '01', 8, type IN ('02', '70'), 5, 2) * (1 + (gas IN ('bad', 'unknown')) + (guard IN ('bad', 'unknown')) + (video IN ('bad', 'unknown'))))) AS risk,
           count() AS jobs
    FROM
    (
        SELECT area, permit, known, type, gas, guard, video FROM verdict_revisions
        WHERE site = {site:String} AND status IN ('active', 'requested', 'issued') AND guard != '' AND known > now() - INTERVAL 24 HOUR
        ORDER BY known DESC LIMIT 1 BY permit, toStartOfInterval(known, INTERVAL 5 MINUTE)
    )
    GROUP BY area, hour, slot
)
GROUP BY area, hour ORDER BY area, hour
