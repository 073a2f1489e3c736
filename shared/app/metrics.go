package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"boxoffice/shared/lifecycle"
)

// metricsServer returns the part that serves GET /metrics on the loopback interface. An
// occupied port makes the start fail: a program whose metrics no one can read would look as if
// it were down.
func (a *App) metricsServer() lifecycle.Part {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", a.Metrics)
	p := HTTP("metrics", &http.Server{
		Addr:              net.JoinHostPort("127.0.0.1", strconv.Itoa(a.Telemetry.MetricsPort)),
		Handler:           mux,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       5 * time.Second,
		WriteTimeout:      15 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(a.Log.Handler(), slog.LevelWarn),
	})
	listen, closeServer := p.Start, p.Stop
	p.Start = func(ctx context.Context) error {
		if err := listen(ctx); err != nil {
			return fmt.Errorf("%w: set METRICS_PORT to a free port, or METRICS=off", err)
		}
		return nil
	}
	p.Stop = func(ctx context.Context) error { return errors.Join(closeServer(ctx), a.Metrics.Shutdown(ctx)) }
	return p
}
