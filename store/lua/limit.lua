-- Lets one event pass or not, by the generic cell rate algorithm.
-- Keys:    1 the moment at which all of the burst is free again, ms
-- Args:    1 now, ms  2 room one event takes, ms  3 burst
-- Answers: 0 if it passes, else the wait until one would, ms
-- Rule 4: the key ends when the burst is free again. A refused event takes no room.
local now, room = tonumber(ARGV[1]), tonumber(ARGV[2])
local free = tonumber(redis.call('GET', KEYS[1]) or '') or 0
-- A minute, for instances need not agree to the millisecond, and none may win a burst by that.
if free < now or free > now + room * tonumber(ARGV[3]) + 60000 then -- later than any burst: the clock was set back meanwhile
  free = now
end
free = free + room
local wait = free - room * tonumber(ARGV[3]) - now
if wait > 0 then
  return math.ceil(wait)
end
redis.call('SET', KEYS[1], string.format('%.3f', free), 'PX', string.format('%.0f', math.ceil(free - now)))
return 0
