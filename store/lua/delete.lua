-- Ends a session, if the marker (or no marker) applies to it.
-- Keys:    1 record  2 claim  3 tok  4 ended  5 left (hash: rev, ix; of a session whose refresh token can be opened)
-- Args:    1 reason and time  2 attempt  3 now, ms  4 channel  5 event  6 longest memory of the end, ms  7 shortest, ms
--          8 life of what is left, ms  9 'ahead' or ''  10 'always' or 'marker'  11 marker id  12 marker time + slack, ms
--          13.. names of the spared group
-- Answers: {'nothing'}  {'spared'}  {'ended', app, sealed refresh token or '', index names}
-- Rule 1: deletion always wins; the reason stays for whoever holds the handle, as long as the session could have lived.
-- With 'ahead' it stays also where there is no record: one that is still on its way must find it. Rule 2: an attempt that
-- finds its own end is told what it ended. The comparison is that of bff.Marker.Applies, word by word, but where the
-- clock was set back. A record without a readable "began" is ended. Room: a deletion is the first write.
local function remember(app, life)
  redis.call('DEL', KEYS[4])
  redis.call('SET', KEYS[4], ARGV[1] .. ' ' .. ARGV[2] .. ' ' .. app, 'PX', string.format('%.0f', life))
end

if redis.call('EXISTS', KEYS[1]) == 0 then
  local by, app = string.match(redis.call('GET', KEYS[4]) or '', '^%S+ %S+ (%S+) (.*)$')
  if by == ARGV[2] and app ~= '' then
    local left = redis.call('HMGET', KEYS[5], 'rev', 'ix')
    return {'ended', app, left[1] or '', left[2] or ''}
  end
  if ARGV[9] == 'ahead' and not by then
    remember('', tonumber(ARGV[7]))
  end
  return {'nothing'}
end
local rec = redis.call('HMGET', KEYS[1], 'app', 'rev', 'ix', 'abs', 'began', 'seen', 'grp')

local function applies()
  if ARGV[11] == (rec[6] or '') then
    return false
  end
  for i = 13, #ARGV do
    if string.find(' ' .. (rec[7] or '') .. ' ', ' ' .. ARGV[i] .. ' ', 1, true) then
      return false
    end
  end
  -- What is there began before now, whatever it says: Redis's clock was set back, and nobody escapes a sign-out by that.
  local began = math.min(tonumber(rec[5] or '') or 0, tonumber(ARGV[3]))
  return began < tonumber(ARGV[12])
end

if ARGV[10] == 'marker' and not applies() then
  return {'spared'}
end
local life = (tonumber(rec[4] or '') or 0) - tonumber(ARGV[3])
life = math.max(math.min(life, tonumber(ARGV[6])), tonumber(ARGV[7]))
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3])
remember(rec[1] or '', life)
if rec[2] then
  redis.call('HSET', KEYS[5], 'rev', rec[2], 'ix', rec[3] or '')
  redis.call('PEXPIRE', KEYS[5], ARGV[8])
end
redis.call('PUBLISH', ARGV[4], ARGV[5])
return {'ended', rec[1] or '', rec[2] or '', rec[3] or ''}
