-- Moves the turn of a native session for a refresh handle.
-- Keys:    1 record (field turn: "<n> <moved> <issued> <seen> <before>", times in ms; seen is 0 until a credential of n was
--          presented, before is the issued of the turn before)  2 ended
-- Args:    1 turn of the presented handle  2 now, ms  3 grace, ms
-- Answers: {'ok', turn}  {'used'}  {'reused'}  {'none'}  {'gone', reason and time or ''}
-- Rule 1: only an existing record. Rule 2: a repetition by whoever lost the answer finds the turn moved, and gets the same.
-- The current turn moves. So does one ahead of the record: the caller has checked that we gave it out, so a failover lost
-- the move. The turn before gets the same successor while nobody was seen with that, and for the grace after; so late a
-- second holder is at work. What is one older is a late duplicate for the grace after its successor was given out. All the
-- rest is reuse, however short the time since the last move: a thief moves on as often as it likes. Room: a deletion is
-- the first write.
if redis.call('EXISTS', KEYS[1]) == 0 then
  return {'gone', redis.call('GET', KEYS[2]) or ''}
end
local n, moved, issued, seen, before =
  string.match(redis.call('HGET', KEYS[1], 'turn') or '', '^([1-9]%d*) (%d+) (%d+) (%d+) (%d+)$')
if not n then
  return {'none'}
end
local current, presented, now, grace = tonumber(n), tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local turn
if presented >= current then
  turn = string.format('%.0f %s %s 0 %s', presented + 1, ARGV[2], ARGV[2], issued)
elseif presented == current - 1 and seen == '0' then
  turn = table.concat({n, moved, ARGV[2], '0', before}, ' ')
elseif presented == current - 1 and now <= tonumber(seen) + grace then
  return {'ok', table.concat({n, moved, issued, seen, before}, ' ')}
elseif presented == current - 2 and now <= tonumber(before) + grace then
  return {'used'}
else
  return {'reused'}
end
redis.call('HDEL', KEYS[1], 'turn')
redis.call('HSET', KEYS[1], 'turn', turn)
return {'ok', turn}
