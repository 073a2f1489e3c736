// Package daprsub takes what an app's sidecar brings besides operations: facts from
// the bus, and the ticks of cron components.
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
	maxFact = 1 << 20
	// tickFor bounds one run of periodic work; what it did not reach waits for the
	// next.
	tickFor = 25 * time.Second
)

// Routes is where things come in. All fields must be set.
type Routes struct {
	Mux     *http.ServeMux // behind the check of the app's token
	Log     *slog.Logger
	Tracing trace.TracerProvider
}

// Event is a CloudEvent with a fact in it.
type Event[T any] struct {
	ID   string `json:"id"`
	Type string `json:"type"`
	Data T      `json:"data"`
}

// HandleFacts takes the events that a subscription sends to path. After a failure the
// sidecar delivers an event again; one that take refuses, with an *apperr.Error
// that is no failure, or that cannot be read goes to the dead letters.
func HandleFacts[T any](in Routes, path string, take func(ctx context.Context, e Event[T]) error) {
	in.Mux.Handle("POST "+path, in.traced("facts "+path, func(w http.ResponseWriter, r *http.Request) {
		data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxFact))
		if err != nil {
			http.Error(w, "the fact could not be read", http.StatusInternalServerError)
			return
		}
		status := "SUCCESS"
		switch err := deliver(r.Context(), data, take); {
		case err == nil:
		case apperr.From(err).Failure():
			in.Log.WarnContext(r.Context(), "a fact waits", telemetry.KeyError, err.Error())
			http.Error(w, "not now", http.StatusInternalServerError)
			return
		default:
			in.Log.ErrorContext(r.Context(), "a fact makes no sense", telemetry.KeyError, err.Error())
			status = "DROP"
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"status":"`+status+`"}`) // a sidecar that is gone delivers again
	}))
}

func deliver[T any](ctx context.Context, data []byte, take func(ctx context.Context, e Event[T]) error) error {
	var e Event[T]
	if err := json.Unmarshal(data, &e); err != nil {
		return apperr.New(apperr.Invalid, "", "The fact is not valid.").WithCause(err)
	}
	if err := take(ctx, e); err != nil {
		return fmt.Errorf("fact %s %s: %w", e.Type, e.ID, err)
	}
	return nil
}

// HandleTick does work each time the cron component of that name ticks, in every
// replica: the work claims what it works on. A tick that meets the one before
// does nothing.
func (in Routes) HandleTick(component string, work func(context.Context) error) {
	var running sync.Mutex
	in.Mux.Handle("POST /"+component, in.traced("tick "+component, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		if !running.TryLock() {
			return
		}
		defer running.Unlock()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), tickFor)
		defer cancel()
		if err := work(ctx); err != nil {
			// The next tick does it again, so the sidecar need not know.
			in.Log.WarnContext(ctx, "periodic work failed", telemetry.KeyOperation, component, telemetry.KeyError, err.Error())
		}
	}))
	// The sidecar asks once whether the program takes the component's ticks.
	in.Mux.HandleFunc("OPTIONS /"+component, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
}

// traced puts a handler into the trace of what the sidecar brings.
func (in Routes) traced(name string, fn http.HandlerFunc) http.Handler {
	return otelhttp.NewHandler(fn, name,
		otelhttp.WithTracerProvider(in.Tracing), otelhttp.WithPropagators(telemetry.Propagator()),
		otelhttp.WithSpanNameFormatter(func(string, *http.Request) string { return name }))
}
