-- Permit page: every fact that names a permit, in order of its own time, with the number that names it.
SELECT kind, at, seen, concat(topic, '/', source, '/', lane, '/', toString(seq)) AS ref, event AS body
FROM facts WHERE site = {site:String} AND permit = {permit:String} ORDER BY at, ref LIMIT 1 BY ref
