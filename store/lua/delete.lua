-- Ends a session, if the marker (or no marker) applies to it.
-- Keys:    1 record  2 claim  3 tok  4 ended
-- Args:    1 reason and time  2 now, ms  3 channel  4 event  5 longest memory of the end, ms  6 shortest, ms
--          7 'always' or 'marker'  8 marker id  9 marker time + slack, ms  10.. names of the spared group
-- Answers: {'nothing'}  {'spared'}  {'ended', app, sealed refresh token or '', index names}
-- Rule 1: deletion always wins; the reason stays for whoever holds the handle, as long as the session could have lived.
-- The comparison is that of bff.Marker.Applies, word by word: a record without a readable "began" is ended.
if redis.call('EXISTS', KEYS[1]) == 0 then
  return {'nothing'}
end
local rec = redis.call('HMGET', KEYS[1], 'app', 'rev', 'ix', 'abs', 'began', 'seen', 'grp')

local function applies()
  if ARGV[8] == (rec[6] or '') then
    return false
  end
  for i = 10, #ARGV do
    if string.find(' ' .. (rec[7] or '') .. ' ', ' ' .. ARGV[i] .. ' ', 1, true) then
      return false
    end
  end
  return (tonumber(rec[5] or '') or 0) < tonumber(ARGV[9])
end

if ARGV[7] == 'marker' and not applies() then
  return {'spared'}
end
local life = (tonumber(rec[4] or '') or 0) - tonumber(ARGV[2])
life = math.max(math.min(life, tonumber(ARGV[5])), tonumber(ARGV[6]))
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3])
redis.call('SET', KEYS[4], ARGV[1], 'PX', string.format('%.0f', life))
redis.call('PUBLISH', ARGV[3], ARGV[4])
return {'ended', rec[1] or '', rec[2] or '', rec[3] or ''}
