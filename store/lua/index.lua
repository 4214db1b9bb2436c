-- Adds one session to one index.
-- Keys:    1 the index (hash: lookup -> "<end in ms>|<sealed app, groups and time>")
-- Args:    1 lookup  2 value  3 end of the session, ms  4 now, ms  5 slack, ms
-- Answers: 1
-- Rule 3: it runs before the record is written. Rule 4: the key lives as long as its longest member, set in the same
-- script on every path; each write looks at a few members and drops those whose end has passed.
-- Room: a deletion is the first write. A new session without room is refused its record.
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
local now = tonumber(ARGV[4])
local some = redis.call('HRANDFIELD', KEYS[1], 8, 'WITHVALUES') -- 8: a bounded price, yet more than one write adds
for i = 1, #some, 2 do
  local ends = tonumber(string.match(some[i + 1], '^(%d+)|') or '')
  if some[i] ~= ARGV[1] and ends and ends < now then -- what has no end to be read is a newer version's to drop
    redis.call('HDEL', KEYS[1], some[i])
  end
end
local life = math.max(tonumber(ARGV[3]) - now, 0) + tonumber(ARGV[5])
if redis.call('PTTL', KEYS[1]) < life then
  redis.call('PEXPIRE', KEYS[1], string.format('%.0f', life))
end
return 1
