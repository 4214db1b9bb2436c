-- Uses a name once.
-- Keys:    1 the name
-- Args:    1 attempt  2 life, ms
-- Answers: 1 for the first use, and for a repetition by the same attempt; else 0
-- Rule 2: the attempt that finds its own id has won, whatever became of the first answer.
local by = redis.call('GET', KEYS[1])
if by then
  return by == ARGV[1] and 1 or 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
