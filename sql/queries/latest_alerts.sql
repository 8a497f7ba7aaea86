-- The newest alerts of a site.
SELECT id, code, priority, state, permit, point, area, raised, zh, en FROM alerts WHERE site = {site:String} ORDER BY raised DESC LIMIT {n:UInt32}
