package main

import (
	"context"
	"log/slog"
	"time"

	"boxoffice/shared/lifecycle"
	"boxoffice/shared/telemetry"
)

// sweep is work that is done again and again. It claims what it works on, so that
// any number of replicas may do it.
type sweep struct {
	name string
	run  func(context.Context) error
}

// sweeps does each at once, for what a crash left, and then in that interval.
func sweeps(log *slog.Logger, every time.Duration, all ...sweep) lifecycle.Part {
	return lifecycle.Part{Name: "sweeps", Run: func(ctx context.Context) error {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			for _, s := range all {
				if err := s.run(ctx); err != nil && ctx.Err() == nil {
					log.WarnContext(ctx, "a sweep failed", "sweep", s.name, telemetry.KeyError, err.Error())
				}
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}}
}
