-- Gives the lease back and settles the sent mark of the attempt that ends.
-- Keys:    1 record  2 claim
-- Args:    1 attempt  2 settlement ('keep', 'good', 'doubt')  3 channel  4 event
-- Answers: 1
-- Only this attempt's lease and mark are touched: a mark is "<generation> <doubt 0|1> <ms> <attempt> <instance>".
-- What is gone stays gone (rule 1): HSET runs only where the mark was just read. Room: a deletion is the first write.
if redis.call('HGET', KEYS[2], 'a') == ARGV[1] then
  redis.call('DEL', KEYS[2])
  redis.call('PUBLISH', ARGV[3], ARGV[4])
end
local sent = redis.call('HGET', KEYS[1], 'sent')
if sent and ARGV[2] ~= 'keep' then
  local gen, at, attempt, by = string.match(sent, '^(%d+) [01] (%d+) (%S+) (.*)$')
  if attempt == ARGV[1] then
    redis.call('HDEL', KEYS[1], 'sent')
    if ARGV[2] == 'doubt' then
      redis.call('HSET', KEYS[1], 'sent', gen .. ' 1 ' .. at .. ' ' .. attempt .. ' ' .. by)
    end
  end
end
return 1
