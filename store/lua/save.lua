-- Saves a token set as the next generation.
-- Keys:    1 record  2 claim  3 ended
-- Args:    1 attempt  2 generation that was read  3 channel  4 event  5.. field, value, field, value, ...
-- Answers: {'ok'}  {'conflict'}  {'gone', reason and time or ''}
-- Rule 1: HSET on an existing record keeps its life; a deleted one never comes back. Rule 2: this attempt's own write
-- id is success. The generation decides who may save, whatever the lease says; other fields that moved are no conflict.
-- Room: a deletion is the first write.
if redis.call('EXISTS', KEYS[1]) == 0 then
  return {'gone', redis.call('GET', KEYS[3]) or ''}
end
local now = redis.call('HMGET', KEYS[1], 'wid', 'gen')
if now[1] == ARGV[1] then
  return {'ok'}
end
-- An older generation than was read is one that a failover brought back: what it holds is used up, and this is newer.
if (tonumber(now[2] or '') or 0) > tonumber(ARGV[2]) then
  return {'conflict'}
end
redis.call('HDEL', KEYS[1], 'sent')
for i = 5, #ARGV, 2 do
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
end
redis.call('HSET', KEYS[1], 'wid', ARGV[1], 'gen', string.format('%.0f', tonumber(ARGV[2]) + 1))
if redis.call('HGET', KEYS[2], 'a') == ARGV[1] then
  redis.call('DEL', KEYS[2])
end
redis.call('PUBLISH', ARGV[3], ARGV[4])
return {'ok'}
