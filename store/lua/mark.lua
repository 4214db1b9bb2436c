-- Writes the sent mark: the refresh token of this generation is about to go to the provider.
-- Keys:    1 record  2 claim  3 ended
-- Args:    1 attempt  2 generation  3 mark
-- Answers: {'ok'}  {'lost'}  {'conflict'}  {'gone', reason and time or ''}
-- Rule 1: only on an existing record. The lease must still be this attempt's and the generation the one it read:
-- otherwise nothing may be sent. Doing it twice writes the same. Room: a deletion is the first write.
if redis.call('EXISTS', KEYS[1]) == 0 then
  return {'gone', redis.call('GET', KEYS[3]) or ''}
end
if redis.call('HGET', KEYS[2], 'a') ~= ARGV[1] then
  return {'lost'}
end
if redis.call('HGET', KEYS[1], 'gen') ~= ARGV[2] then
  return {'conflict'}
end
redis.call('HDEL', KEYS[1], 'sent')
redis.call('HSET', KEYS[1], 'sent', ARGV[3])
return {'ok'}
