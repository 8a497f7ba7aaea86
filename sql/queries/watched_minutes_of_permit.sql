-- A permit's ledger: of each minute of its work what was watched, ms (000-09).
SELECT at, life, work, gas, filmed, seen, guard, permitted, all, nobody
FROM watched_minutes WHERE site = {site:String} AND permit = {permit:String} ORDER BY life, at
