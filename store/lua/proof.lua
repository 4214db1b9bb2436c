-- Reads a record for a handle that came with a proof of possession, and uses the proof up.
-- Keys:    1 record  2 proof
-- Args:    1 thumbprint of the proof's key  2 how long the proof is remembered, ms  3 attempt  4.. fields
-- Answers: {'read', value, ...}  {'proven', value, ...}, of no record without values  {'used'}
-- Rule 1: only beside an existing record that is bound to this very key is anything remembered: who does not hold the key
-- cannot make Redis keep a byte. Rule 2: an attempt that finds itself has used the proof for the first time. Rule 4: what is
-- remembered has a life. Room: a deletion is the first write, so a full Redis still serves who is signed in.
local record = redis.call('HMGET', KEYS[1], 'jkt', unpack(ARGV, 4))
if record[1] ~= ARGV[1] then
  return {'read', unpack(record, 2)}
end
local by = redis.call('GET', KEYS[2])
if by and by ~= ARGV[3] then
  return {'used'}
end
redis.call('DEL', KEYS[2])
redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[2])
return {'proven', unpack(record, 2)}
