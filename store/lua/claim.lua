-- Takes the refresh of a session.
-- Keys:    1 record  2 claim (hash: a attempt, by instance, at ms)  3 ended
-- Args:    1 attempt  2 lease, ms  3 instance  4 now, ms
-- Answers: {'granted', fence, generation, 0}  {'held', fence, generation, rest of the lease in ms}
--          {'gone', reason and time or ''}
-- Rule 1: no record, no claim. Rule 2: a claim that is already this attempt's is the same success; the fence, which
-- counts granted claims, is not counted twice. Room: a deletion is the first write.
if redis.call('EXISTS', KEYS[1]) == 0 then
  return {'gone', redis.call('GET', KEYS[3]) or ''}
end
local gen = tonumber(redis.call('HGET', KEYS[1], 'gen') or '') or 0
local holder = redis.call('HGET', KEYS[2], 'a')
if holder == ARGV[1] then
  redis.call('PEXPIRE', KEYS[2], ARGV[2])
  return {'granted', tonumber(redis.call('HGET', KEYS[1], 'fence') or '') or 0, gen, 0}
end
if holder then
  return {'held', tonumber(redis.call('HGET', KEYS[1], 'fence') or '') or 0, gen, redis.call('PTTL', KEYS[2])}
end
redis.call('DEL', KEYS[2]) -- nobody holds it
redis.call('HSET', KEYS[2], 'a', ARGV[1], 'by', ARGV[3], 'at', ARGV[4])
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return {'granted', redis.call('HINCRBY', KEYS[1], 'fence', 1), gen, 0}
