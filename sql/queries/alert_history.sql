-- Alert page: every revision of an alert, the latest first.
SELECT revision, known, state, priority, JSONExtractString(body, 'by') AS by, zh, en FROM alert_revisions FINAL
WHERE site = {site:String} AND id = {id:String} ORDER BY revision DESC LIMIT 100
