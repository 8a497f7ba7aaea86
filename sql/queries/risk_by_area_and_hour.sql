-- Wall: the worst risk index of each area in each hour of the last day, and how many jobs it had (000-25, 000-37), as the kernel said it minute by minute.
SELECT area, toStartOfHour(at) AS hour, max(risk) AS risk, max(jobs) AS jobs
FROM minute_areas WHERE site = {site:String} AND at > now() - INTERVAL 24 HOUR
GROUP BY area, hour ORDER BY area, hour
