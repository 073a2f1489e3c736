package sessioncache

import "github.com/redis/go-redis/v9"

// tombstone is the value of a session that is over; endScript and lookScript
// write it out.
const tombstone = "t"

// lookScript: KEYS session, user (or two empty ones), then one of each bucket.
// ARGV lease, its milliseconds, then requests and microseconds of each bucket.
// Returns index, refused, remaining, full, retry, session, user; the last two are
// empty when not known.
//
// A bucket is the generic cell rate algorithm: one number, the time at which it
// would be full again.
var lookScript = redis.NewScript(`
local now = 0
if #KEYS > 2 then
  local t = redis.call('TIME')
  now = t[1] * 1000000 + t[2]
end
local next, worst, refused = {}, {0, 0, 0, 0, 0}, false
for i = 3, #KEYS do
  local requests, period = tonumber(ARGV[2 * i - 3]), tonumber(ARGV[2 * i - 2])
  local step = period / requests
  local full = math.max(now, tonumber(redis.call('GET', KEYS[i]) or 0))
  -- A bucket whose limit was lowered, or a clock that was set back, must not
  -- keep anybody out for longer than a period.
  full = math.min(full, now + period)
  local wait = full + step - now - period
  if wait > 0.5 then
    local retry = math.ceil(wait)
    if not refused or retry > worst[5] then
      worst = {i - 3, 1, 0, math.ceil(full - now), retry}
    end
    refused = true
  elseif not refused then
    next[i] = full + step
    local left = math.floor((now + period - next[i]) / step + 0.001)
    if i == 3 or left < worst[3] then
      worst = {i - 3, 0, left, math.ceil(next[i] - now), 0}
    end
  end
end
if refused then
  return {worst[1], worst[2], worst[3], worst[4], worst[5], '', ''}
end
for i = 3, #KEYS do
  redis.call('SET', KEYS[i], string.format('%.3f', next[i]), 'PX', math.max(1, math.ceil((next[i] - now) / 1000)))
end
local session, user = '', ''
if KEYS[1] ~= '' then
  session = redis.call('GET', KEYS[1]) or ''
  if session ~= 't' then
    user = redis.call('GET', KEYS[2]) or ''
    local lease = 'l:' .. ARGV[1]
    local known = string.match(session, '^v:(%d+):')
    if session == '' then
      redis.call('SET', KEYS[1], lease, 'PX', ARGV[2])
    elseif not known then
      session = ''
    end
    local version = string.match(user, '^v:(%d+):')
    if user == '' or (version and known and tonumber(version) < tonumber(known)) then
      redis.call('SET', KEYS[2], lease, 'PX', ARGV[2])
      user = ''
    elseif not version then
      user = ''
    end
  end
end
return {worst[1], worst[2], worst[3], worst[4], worst[5], session, user}
`)

// leaseScript: KEYS user. ARGV lease, its milliseconds.
var leaseScript = redis.NewScript(`
if redis.call('EXISTS', KEYS[1]) == 1 then
  return 0
end
redis.call('SET', KEYS[1], 'l:' .. ARGV[1], 'PX', ARGV[2])
return 1
`)

// fillScript: KEYS session (or an empty one), user. ARGV lease, user's version,
// session, its milliseconds, user, his milliseconds.
var fillScript = redis.NewScript(`
local lease = 'l:' .. ARGV[1]
if ARGV[1] == '' then
  lease = ''
end
if KEYS[1] ~= '' and redis.call('GET', KEYS[1]) == lease then
  redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
end
local user = redis.call('GET', KEYS[2]) or 'none'
local version = string.match(user, '^v:(%d+):')
if user == lease or (version and tonumber(version) < tonumber(ARGV[2])) then
  redis.call('SET', KEYS[2], ARGV[5], 'PX', ARGV[6])
end
return 1
`)

// endScript: KEYS sessions. ARGV milliseconds.
var endScript = redis.NewScript(`
for i = 1, #KEYS do
  redis.call('SET', KEYS[i], 't', 'PX', ARGV[1])
end
return 1
`)

// dropScript: KEYS user.
var dropScript = redis.NewScript(`
redis.call('DEL', KEYS[1])
return 1
`)
