-- Keeps one token beside a session's own.
-- Keys:    1 record  2 tok (hash: name of a token, hashed -> the token, sealed)  3 ended
-- Args:    1 name, hashed  2 token, sealed  3 life of the token, ms
-- Answers: {'ok'}  {'gone', reason and time or ''}
-- Rule 1: only beside an existing record. Rule 4: the key lives as long as its longest token, and never longer than the
-- record. Doing it twice writes the same. Room: a deletion is the first write.
if redis.call('EXISTS', KEYS[1]) == 0 then
  return {'gone', redis.call('GET', KEYS[3]) or ''}
end
local life = math.max(tonumber(ARGV[3]), redis.call('PTTL', KEYS[2]))
life = math.min(life, redis.call('PTTL', KEYS[1]))
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
redis.call('PEXPIRE', KEYS[2], string.format('%.0f', life))
return {'ok'}
