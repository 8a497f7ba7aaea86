-- Permit page: the readings of some channels in a span, thinned to at most one a step.
SELECT tag, toStartOfInterval(at, toIntervalSecond({step:UInt32})) AS t, maxOrNull(value) AS value
FROM readings
WHERE site = {site:String} AND at BETWEEN {since:DateTime64(3)} AND {until:DateTime64(3)} AND has({tags:Array(String)}, tag)
GROUP BY tag, t ORDER BY tag, t
