-- Permit page: the alerts of a permit, latest revision each.
SELECT id, code, priority, state, start, end, zh, en, clause, edition, confidence, evidence FROM alerts
WHERE site = {site:String} AND permit = {permit:String} ORDER BY start
