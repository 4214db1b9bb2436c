-- Notes that a credential of the current turn was presented.
-- Keys:    1 record (field turn: see turn.lua)  2 ended
-- Args:    1 turn  2 now, ms
-- Answers: {'ok'}  {'gone', reason and time or ''}
-- Rule 1: only on an existing record. The first note stays: it begins the grace of the turn before. Doing it twice, or for
-- a turn that is not the current one, changes nothing. Room: a deletion is the first write.
if redis.call('EXISTS', KEYS[1]) == 0 then
  return {'gone', redis.call('GET', KEYS[2]) or ''}
end
local n, moved, issued, seen, before =
  string.match(redis.call('HGET', KEYS[1], 'turn') or '', '^(%d+) (%d+) (%d+) (%d+) (%d+)$')
if n == ARGV[1] and seen == '0' then
  redis.call('HDEL', KEYS[1], 'turn')
  redis.call('HSET', KEYS[1], 'turn', table.concat({n, moved, issued, ARGV[2], before}, ' '))
end
return {'ok'}
