-- Moves the last activity, and nothing else.
-- Keys:    1 record  2 ended
-- Args:    1 last activity, ms  2 idle time, ms  3 absolute end, ms  4 now, ms  5 channel  6 event
--          7 how much longer than its session a record stays, ms
-- Answers: {'ok'}  {'gone', reason and time or ''}
-- Rule 1: only an existing record moves, and only forward. Rule 4: the key lives to the lesser of both ends, and the
-- while that its end is to be told. A session that is over by now is not prolonged: its key ends by itself. Room: a life
-- is the first write.
if redis.call('EXISTS', KEYS[1]) == 0 then
  return {'gone', redis.call('GET', KEYS[2]) or ''}
end
local act = math.max(tonumber(ARGV[1]), tonumber(redis.call('HGET', KEYS[1], 'act') or '') or 0)
local life = math.min(act + tonumber(ARGV[2]), tonumber(ARGV[3])) - tonumber(ARGV[4])
if life > 0 then
  redis.call('PEXPIRE', KEYS[1], string.format('%.0f', life + tonumber(ARGV[7])))
  redis.call('HSET', KEYS[1], 'act', string.format('%.0f', act))
  redis.call('PUBLISH', ARGV[5], ARGV[6])
end
return {'ok'}
