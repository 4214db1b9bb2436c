-- Saves a token set as the next generation.
-- Keys:    1 record  2 claim  3 ended  4 tok (see keep.lua)
-- Args:    1 attempt  2 generation that was read  3 channel  4 event  5 name of a token to keep, hashed, or '' where the
--          session's own tokens are new  6 that token, sealed  7 its life, ms  8.. field, value, field, value, ...
-- Answers: {'ok'}  {'conflict'}  {'gone', reason and time or ''}
-- Rule 1: HSET on an existing record keeps its life; a deleted one never comes back. Rule 2: this attempt's own write
-- id is success. The generation decides who may save, whatever the lease says; other fields that moved are no conflict.
-- Tokens that were kept beside the session's own do not outlive it: what they say of the user is as old as it is.
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
for i = 8, #ARGV, 2 do
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
end
local life = math.max(tonumber(ARGV[7]), redis.call('PTTL', KEYS[4]))
life = math.min(life, redis.call('PTTL', KEYS[1])) -- as in keep.lua: never longer than the record
if ARGV[5] == '' then
  redis.call('DEL', KEYS[4])
elseif life > 0 then
  redis.call('HSET', KEYS[4], ARGV[5], ARGV[6])
  redis.call('PEXPIRE', KEYS[4], string.format('%.0f', life))
end
redis.call('HSET', KEYS[1], 'wid', ARGV[1], 'gen', string.format('%.0f', tonumber(ARGV[2]) + 1))
if redis.call('HGET', KEYS[2], 'a') == ARGV[1] then
  redis.call('DEL', KEYS[2])
end
redis.call('PUBLISH', ARGV[3], ARGV[4])
return {'ok'}
