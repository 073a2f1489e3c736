// Package daprsub handles two kinds of requests from an app's sidecar: facts from the bus,
// and the ticks of cron components. Package rpc handles the third kind, operations.
package daprsub

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/trace"

	"boxoffice/shared/apperr"
	"boxoffice/shared/telemetry"
)

const (
	maxEventSize = 1 << 20 // bytes
	// tickTimeout limits one run of periodic work. The next tick continues it.
	tickTimeout = 25 * time.Second
)

// Routes registers handlers on a mux. All fields must be set.
type Routes struct {
	Mux     *http.ServeMux // must be reachable with the app's token only
	Log     *slog.Logger
	Tracing trace.TracerProvider
}

// Event is a CloudEvent that carries a fact.
type Event[T any] struct {
	ID   string `json:"id"`
	Type string `json:"type"`
	Data T      `json:"data"`
}

// HandleFacts registers handle for the events that a subscription delivers to path.
//
// If handle fails, the sidecar delivers the event again. The sidecar moves the event to
// the dead letter topic if it cannot be decoded, or if handle refuses it by returning an
// *apperr.Error that is not a Failure.
func HandleFacts[T any](routes Routes, path string, handle func(ctx context.Context, e Event[T]) error) {
	routes.Mux.Handle("POST "+path, routes.traced("facts "+path, func(w http.ResponseWriter, r *http.Request) {
		data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxEventSize))
		if err != nil {
			http.Error(w, "the event could not be read", http.StatusInternalServerError)
			return
		}
		status := "SUCCESS"
		switch err := dispatch(r.Context(), data, handle); {
		case err == nil:
		case apperr.From(err).Failure():
			routes.Log.WarnContext(r.Context(), "event handler failed, event will be redelivered", telemetry.KeyError, err.Error())
			http.Error(w, "the event handler failed; deliver the event again", http.StatusInternalServerError)
			return
		default:
			routes.Log.ErrorContext(r.Context(), "dropped malformed event", telemetry.KeyError, err.Error())
			status = "DROP"
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"status":"`+status+`"}`) // if this fails, the sidecar delivers the event again
	}))
}

// dispatch decodes an event and calls handle.
func dispatch[T any](ctx context.Context, data []byte, handle func(ctx context.Context, e Event[T]) error) error {
	var e Event[T]
	if err := json.Unmarshal(data, &e); err != nil {
		return apperr.New(apperr.Invalid, "", "The event must be a CloudEvent in JSON with the expected data.").WithCause(err)
	}
	if err := handle(ctx, e); err != nil {
		return fmt.Errorf("fact %s %s: %w", e.Type, e.ID, err)
	}
	return nil
}

// HandleTick registers work for the ticks of the cron component with the given name. Every
// replica of the app receives its own ticks, so work must claim what it processes. A tick
// that arrives while work runs is ignored. Errors are logged; the next tick runs work
// again.
func (routes Routes) HandleTick(component string, work func(context.Context) error) {
	var running sync.Mutex
	routes.Mux.Handle("POST /"+component, routes.traced("tick "+component, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		if !running.TryLock() {
			return
		}
		defer running.Unlock()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), tickTimeout)
		defer cancel()
		if err := work(ctx); err != nil {
			routes.Log.WarnContext(ctx, "periodic work failed", telemetry.KeyOperation, component, telemetry.KeyError, err.Error())
		}
	}))
	// The sidecar sends OPTIONS once, to find out whether the app handles the component.
	routes.Mux.HandleFunc("OPTIONS /"+component, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
}

// traced wraps fn in a span that continues the trace of the request.
func (routes Routes) traced(name string, fn http.HandlerFunc) http.Handler {
	return otelhttp.NewHandler(fn, name,
		otelhttp.WithTracerProvider(routes.Tracing), otelhttp.WithPropagators(telemetry.Propagator()),
		otelhttp.WithSpanNameFormatter(func(string, *http.Request) string { return name }))
}
