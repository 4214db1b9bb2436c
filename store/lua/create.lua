-- Writes a new record.
-- Keys:    1 record  2 ended
-- Args:    1 life, ms  2.. field, value, field, value, ...
-- Answers: {'ok'}  {'ended', reason and time}  {'taken'}
-- Rule 1: a record that was deleted never comes back: while its end is remembered, a late repetition writes nothing.
-- Rule 2: an existing record of the same login (same app, began and created) is this very write or its successor:
-- success, and nothing is written over. Anything else under the name is refused.
local ended = redis.call('GET', KEYS[2])
if ended then
  return {'ended', ended}
end
local new = {}
for i = 2, #ARGV, 2 do
  new[ARGV[i]] = ARGV[i + 1]
end
if redis.call('EXISTS', KEYS[1]) == 1 then
  local old = redis.call('HMGET', KEYS[1], 'app', 'began', 'created')
  if old[1] == new['app'] and old[2] == new['began'] and old[3] == new['created'] then
    return {'ok'}
  end
  return {'taken'}
end
for field, value in pairs(new) do
  redis.call('HSET', KEYS[1], field, value)
end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return {'ok'}
