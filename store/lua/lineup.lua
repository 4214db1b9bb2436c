-- Puts a session at the end of the line of its subject's sessions at its app.
-- Keys:    1 the line (list of lookups, the longest there first)
-- Args:    1 lookup  2 life of the session with slack, ms  3 longest line
-- Answers: the lookups before it
-- One key orders all of them, so of two sessions the later finds the earlier, and not the other way round. Rule 2: a
-- repetition stands at the end again. Rule 4: the line lives as long as the longest session that ever joined it.
redis.call('LREM', KEYS[1], 0, ARGV[1])
local before = redis.call('LRANGE', KEYS[1], 0, -1)
redis.call('RPUSH', KEYS[1], ARGV[1])
redis.call('LTRIM', KEYS[1], -tonumber(ARGV[3]), -1)
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[2]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return before
