-- Reads a record for a handle that came with a proof of possession, and uses the proof up.
-- Keys:    1 record  2 proof
-- Args:    1 thumbprint of the proof's key  2 how long the proof is remembered, ms  3 attempt  4.. fields
-- Answers: {'gone'}  {'used'}  {'read', value, ...}  {'proven', value, ...}
-- Rule 1: only beside an existing record that is bound to this very key is anything remembered: who does not hold the key
-- cannot make Redis keep a byte. Rule 2: an attempt that finds itself has used the proof for the first time. Rule 4: what is
-- remembered has a life. Room: a deletion is the first write, so a full Redis still serves who is signed in.
if redis.call('EXISTS', KEYS[1]) == 0 then
  return {'gone'}
end
local record = redis.call('HMGET', KEYS[1], unpack(ARGV, 4))
if redis.call('HGET', KEYS[1], 'jkt') ~= ARGV[1] then
  return {'read', unpack(record)}
end
local by = redis.call('GET', KEYS[2])
if by and by ~= ARGV[3] then
  return {'used'}
end
redis.call('DEL', KEYS[2])
redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[2])
return {'proven', unpack(record)}
