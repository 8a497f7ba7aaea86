-- Evidence page: the raw message behind a reference (topic/source/lane/seq).
SELECT topic, partition, offset, arrived, body FROM messages
WHERE topic = {topic:String} AND JSONExtractString(body, 'source') = {source:String} AND JSONExtractUInt(body, 'seq') = {seq:UInt64}
  AND if(JSONHas(body, 'lane'), JSONExtractString(body, 'lane'), 'live') = {lane:String}
ORDER BY offset LIMIT 1
