package ratelimit

import (
	"fmt"
	"time"
)

// Script defines the Lua function
//
//	ratelimit_take(firstKey, firstArg)
//
// The function counts one request against the limits that [Append] encoded, except
// those with Peek, which may only refuse it. Their keys must be the last in KEYS and begin at KEYS[firstKey]. Their arguments must be
// the last in ARGV and begin at ARGV[firstArg]. The function returns a table of
// [Numbers] integers, which [Parse] reads: index, refused (0 or 1), remaining, and the
// reset and retry times in microseconds. If any limit refuses the request, no counter
// changes.
const Script = `
local function ratelimit_take(firstKey, firstArg)
  local decision, decided, refused = {0, 0, 0, 0, 0}, false, false
  if #KEYS < firstKey then
    return decision
  end
  local t = redis.call('TIME')
  local now = t[1] * 1000000 + t[2]
  local next = {}
  for i = firstKey, #KEYS do
    local index = i - firstKey
    local arg = firstArg + 3 * index
    local requests, period = tonumber(ARGV[arg]), tonumber(ARGV[arg + 1])
    local step = period / requests
    local full = math.max(now, tonumber(redis.call('GET', KEYS[i]) or 0))
    -- If a limit was lowered or the clock was set back, the stored time may be more
    -- than a period ahead. Requests must not be refused for longer than a period.
    full = math.min(full, now + period)
    local wait = full + step - now - period
    if wait > 0.5 then
      local retry = math.ceil(wait)
      if not refused or retry > decision[5] then
        decision = {index, 1, 0, math.ceil(full - now), retry}
      end
      refused = true
    elseif not refused and ARGV[arg + 2] == '1' then
      next[i] = full + step
      local remaining = math.floor((now + period - next[i]) / step + 0.001)
      if not decided or remaining < decision[3] then
        decided = true
        decision = {index, 0, remaining, math.ceil(next[i] - now), 0}
      end
    end
  end
  if not refused then
    for i, full in pairs(next) do
      redis.call('SET', KEYS[i], string.format('%.3f', full), 'PX', math.max(1, math.ceil((full - now) / 1000)))
    end
  end
  return decision
end
`

// Numbers is the length of the table that ratelimit_take returns.
const Numbers = 5

// Append appends the limits to keys and args in the form that ratelimit_take reads:
// one key and three arguments for each limit. It returns an error if a limit allows no
// requests or its period is shorter than a millisecond.
func Append(keys []string, args []any, limits []Limit) ([]string, []any, error) {
	for _, l := range limits {
		if l.Requests < 1 || l.Period < time.Millisecond {
			return nil, nil, fmt.Errorf("limit %s: got %d requests in %s, want at least 1 request and 1ms", l.Bucket, l.Requests, l.Period)
		}
		keys = append(keys, "limit:"+l.Bucket+":"+l.Subject)
		counts := 1
		if l.Peek {
			counts = 0
		}
		args = append(args, l.Requests, l.Period.Microseconds(), counts)
	}
	return keys, args, nil
}

// Parse parses the first Numbers elements of reply, the result of ratelimit_take as
// the Redis client decoded it.
func Parse(reply []any) (Decision, error) {
	if len(reply) < Numbers {
		return Decision{}, fmt.Errorf("rate limit: reply has %d elements, want at least %d", len(reply), Numbers)
	}
	var n [Numbers]int64
	for i := range n {
		var ok bool
		if n[i], ok = reply[i].(int64); !ok {
			return Decision{}, fmt.Errorf("rate limit: element %d of the reply is a %T, want int64", i, reply[i])
		}
	}
	return Decision{
		Index: int(n[0]), Refused: n[1] == 1, Remaining: int(n[2]),
		ResetIn: time.Duration(n[3]) * time.Microsecond, RetryIn: time.Duration(n[4]) * time.Microsecond,
	}, nil
}
