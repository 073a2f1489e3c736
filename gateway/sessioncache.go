package main

import (
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/otel/metric"

	"boxoffice/shared/app"
	"boxoffice/shared/metrics"
	"boxoffice/shared/sessioncache"
)

// newSessionCache returns the session cache in the Redis that client connects to.
func newSessionCache(a *app.App, client redis.Scripter, key []byte) (*sessioncache.Cache, error) {
	rejected := newRejectedValues(a.Metrics)
	var once sync.Once
	return sessioncache.New(sessioncache.Config{
		Redis: client, Nonce: newID, Key: key, Now: time.Now,
		Rejected: func(ctx context.Context) {
			rejected.Add(ctx, 1, "")
			// Each request could cause another line.
			once.Do(func() {
				a.Log.WarnContext(ctx, "ignored cached session or user with a wrong seal: SESSION_CACHE_KEY was replaced, differs from that of auth, or Redis was tampered with")
			})
		},
	})
}

// newRejectedValues returns the counter of look-ups that ignored a cached value.
func newRejectedValues(p metric.MeterProvider) *metrics.Counter {
	return metrics.NewCounter(p, metrics.Def{
		Name: "boxoffice.session_cache.rejected", Unit: "{lookup}",
		Help: "Look-ups that ignored a cached session or user because its seal was wrong.",
	})
}
