package ratelimit_test

import (
	"context"
	"fmt"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"boxoffice/shared/ratelimit"
)

func ExampleLocal() {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	local := ratelimit.NewLocal(func() time.Time { return now }, 1000)
	logIns := ratelimit.Limit{Bucket: "login", Subject: "address:192.0.2.7", Requests: 2, Period: time.Minute}
	for range 3 {
		d := local.Take(logIns)
		fmt.Printf("refused %t, remaining %d, reset in %s, retry in %s\n", d.Refused, d.Remaining, d.ResetIn, d.RetryIn)
	}
	// Output:
	// refused false, remaining 1, reset in 30s, retry in 0s
	// refused false, remaining 0, reset in 1m0s, retry in 0s
	// refused true, remaining 0, reset in 1m0s, retry in 30s
}

// A script counts a request and does other work in the same round trip. This one also
// reads a greeting, unless the request is refused.
func Example_script() {
	server, err := miniredis.Run()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	client := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer client.Close()
	_ = server.Set("greeting", "hello")

	script := redis.NewScript(ratelimit.Script + `
local reply = ratelimit_take(2, 1)
reply[6] = reply[2] == 0 and redis.call('GET', KEYS[1]) or ''
return reply`)
	limit := ratelimit.Limit{Bucket: "browse", Subject: "user:u1", Requests: 1, Period: time.Minute}
	for range 2 {
		keys, args, err := ratelimit.Append([]string{"greeting"}, nil, []ratelimit.Limit{limit})
		if err != nil {
			fmt.Println(err)
			return
		}
		reply, err := script.Run(context.Background(), client, keys, args...).Slice()
		if err != nil {
			fmt.Println(err)
			return
		}
		decision, err := ratelimit.Parse(reply)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("refused %t, greeting %q\n", decision.Refused, reply[ratelimit.Numbers])
	}
	// Output:
	// refused false, greeting "hello"
	// refused true, greeting ""
}
