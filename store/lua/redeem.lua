-- Takes the login that waits under a code.
-- Keys:    1 the login, sealed  2 who redeemed it
-- Args:    1 who redeems it now  2 memory of that, ms  3 life of a redeemed login, ms
-- Answers: {'ok'}  {'redeemed', by whom}  {'gone'}
-- Rule 2: a repetition by the same redeemer is the same success, as long as the login is there; nobody else ever has one.
-- Rule 4: the memory has its life from the first use on, and the login a short one from then.
local by = redis.call('GET', KEYS[2])
if by and by ~= ARGV[1] then
  return {'redeemed', by}
end
if redis.call('EXISTS', KEYS[1]) == 0 then
  return {'gone'}
end
if not by then
  redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
return {'ok'}
