-- Writes an end marker.
-- Keys:    1 the markers of one target (hash: whom they spare, '*' for nobody -> "<ms> <id> <names of the spared group>")
-- Args:    1 field  2 value  3 time of the marker, ms  4 now, ms  5 life, ms
-- Answers: 1
-- The greatest time stays. Markers that spare different groups end different sessions, so each has its own field: a
-- later one that spares somebody must not undo an earlier one that spares nobody. Those older than the longest session
-- end nothing any more and go. Rule 4: the key lives a whole life from the last write on. Room: a deletion is the first
-- write, for a sign-out must work without room too.
local function at(value)
  return tonumber(string.match(value, '^(%d+) ') or '') or 0
end
local old = redis.call('HGETALL', KEYS[1])
for i = 1, #old, 2 do
  if at(old[i + 1]) < tonumber(ARGV[4]) - tonumber(ARGV[5]) then
    redis.call('HDEL', KEYS[1], old[i])
  end
end
if at(redis.call('HGET', KEYS[1], ARGV[1]) or '') <= tonumber(ARGV[3]) then
  redis.call('HDEL', KEYS[1], ARGV[1])
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
end
redis.call('PEXPIRE', KEYS[1], ARGV[5])
return 1
