package sessioncache

import (
	"github.com/redis/go-redis/v9"

	"boxoffice/shared/ratelimit"
)

// tombstone is the value of a session that has ended. lookupScript and endScript
// contain it as a literal.
const tombstone = "t"

// sessionKeys and sessionArgs are the numbers of keys and arguments of lookupScript
// before those of the limits.
const (
	sessionKeys = 2
	sessionArgs = 2
)

// lookupScript counts a request and, unless a limit refuses it, reads its session and
// user. If either is missing, it writes the lease in its place. It does the same if the
// user's version is older than the one stored with the session. It does not replace
// another lease.
//
//	KEYS  session, user (both empty: no session), then those of ratelimit.Append
//	ARGV  lease, its TTL in ms, then those of ratelimit.Append
//
// It returns the numbers that ratelimit.Parse reads, then session and user. Each of the
// two is empty if it is not cached. Neither is checked: Go code checks the seals.
var lookupScript = redis.NewScript(ratelimit.Script + `
local reply = ratelimit_take(3, 3)
reply[6], reply[7] = '', ''
if reply[2] == 1 or KEYS[1] == '' then
  return reply
end
local session, user = redis.call('GET', KEYS[1]) or '', ''
if session ~= 't' then
  user = redis.call('GET', KEYS[2]) or ''
  local lease = 'l:' .. ARGV[1]
  local atLeast = tonumber(string.match(session, '^v:(%d+):') or '')
  if session == '' then
    redis.call('SET', KEYS[1], lease, 'PX', ARGV[2])
  elseif string.sub(session, 1, 2) == 'l:' then
    session = ''
  end
  local version = tonumber(string.match(user, '^v:(%d+):') or '')
  if user == '' or (version and atLeast and version < atLeast) then
    redis.call('SET', KEYS[2], lease, 'PX', ARGV[2])
    user = ''
  elseif string.sub(user, 1, 2) == 'l:' then
    user = ''
  end
end
reply[6], reply[7] = session, user
return reply
`)

// replaceScript writes the lease in place of values that are still the same.
//
//	KEYS  sessions or users
//	ARGV  lease, its TTL in ms, then the value of each key
var replaceScript = redis.NewScript(`
for i = 1, #KEYS do
  if redis.call('GET', KEYS[i]) == ARGV[i + 2] then
    redis.call('SET', KEYS[i], 'l:' .. ARGV[1], 'PX', ARGV[2])
  end
end
return 1
`)

// leaseScript writes a lease unless the key exists. It returns 1 if it did, and 0
// otherwise.
//
//	KEYS  user
//	ARGV  lease, its TTL in ms
var leaseScript = redis.NewScript(`
if redis.call('EXISTS', KEYS[1]) == 1 then
  return 0
end
redis.call('SET', KEYS[1], 'l:' .. ARGV[1], 'PX', ARGV[2])
return 1
`)

// fillScript writes session and user, each only in place of the lease. It also replaces
// a user with an older version.
//
//	KEYS  session (empty: only the user), user
//	ARGV  lease, version of the user, session, its TTL in ms, user, its TTL in ms
var fillScript = redis.NewScript(`
local lease = 'l:' .. ARGV[1]
if ARGV[1] == '' then
  lease = ''
end
if KEYS[1] ~= '' and redis.call('GET', KEYS[1]) == lease then
  redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
end
local user = redis.call('GET', KEYS[2]) or 'none'
local version = tonumber(string.match(user, '^v:(%d+):') or '')
if user == lease or (version and version < tonumber(ARGV[2])) then
  redis.call('SET', KEYS[2], ARGV[5], 'PX', ARGV[6])
end
return 1
`)

// endScript writes a tombstone for each session.
//
//	KEYS  sessions
//	ARGV  TTL of the tombstones in ms
var endScript = redis.NewScript(`
for i = 1, #KEYS do
  redis.call('SET', KEYS[i], 't', 'PX', ARGV[1])
end
return 1
`)

// dropScript deletes a user, or the lease in its place.
//
//	KEYS  user
var dropScript = redis.NewScript(`
redis.call('DEL', KEYS[1])
return 1
`)
