-- Prolongs a lease.
-- Keys:    1 claim
-- Args:    1 attempt  2 lease, ms
-- Answers: 1 if it is still this attempt's, else 0
-- Rule 4: the claim keeps a life of its own; one that ran out is not taken again here.
if redis.call('HGET', KEYS[1], 'a') ~= ARGV[1] then
  return 0
end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
