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
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/trace"

	"boxoffice/shared/apperr"
	"boxoffice/shared/telemetry"
)

const (
	maxEventSize = 1 << 20 // bytes
	// tickTimeout limits one run of periodic work.
	tickTimeout = 25 * time.Second
	// A run that took at least backlogRun has probably left work undone.
	backlogRun = tickTimeout / 2
	// maxRuns limits the runs that follow one tick. The next tick continues the work.
	maxRuns = 10
)

// Routes registers handlers on a mux. All fields but Dropped must be set.
type Routes struct {
	Mux     *http.ServeMux // must be reachable with the app's token only
	Log     *slog.Logger
	Tracing trace.TracerProvider
	// Dropped is called for each event that HandleFacts drops, with the path to which it was
	// delivered. It may be nil.
	Dropped func(ctx context.Context, path string)
}

// Event is a CloudEvent that carries a fact.
type Event[T any] struct {
	ID   string `json:"id"`
	Type string `json:"type"`
	Data T      `json:"data"`
}

// HandleFacts registers handle for the events that a subscription delivers to path.
//
// The error of handle decides what happens to the event:
//
//   - If apperr.VerdictOf reports apperr.Refused, another delivery would be refused too.
//     HandleFacts drops the event, and the sidecar moves it to the dead letter topic.
//   - After any other error, the sidecar delivers the event again. An error of the verdict
//     apperr.Retryable means that the app is busy, not that the event is wrong.
//
// HandleFacts also drops an event that it cannot decode, or that is larger than 1 MiB. It
// refuses an event that another app sent by service invocation.
func HandleFacts[T any](routes Routes, path string, handle func(ctx context.Context, e Event[T]) error) {
	routes.Mux.Handle("POST "+path, routes.delivered("facts "+path, func(w http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		e, err := receive[T](r.Body)
		isMalformed := err != nil
		if !isMalformed {
			err = handle(ctx, e)
		}
		if err == nil {
			answer(w, "SUCCESS")
			return
		}
		detail := fmt.Sprintf("fact %s %s: %v", e.Type, e.ID, err)
		switch {
		case apperr.VerdictOf(err) != apperr.Refused:
			routes.Log.WarnContext(ctx, "event handler failed, event will be redelivered", telemetry.KeyError, detail)
			http.Error(w, "the event handler failed; deliver the event again", http.StatusInternalServerError)
			return
		case isMalformed:
			routes.Log.ErrorContext(ctx, "dropped malformed event", telemetry.KeyError, detail)
		default:
			routes.Log.ErrorContext(ctx, "dropped refused event", telemetry.KeyError, detail)
		}
		if routes.Dropped != nil {
			routes.Dropped(ctx, path)
		}
		answer(w, "DROP")
	}))
}

// answer tells the sidecar what to do with an event.
func answer(w http.ResponseWriter, status string) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"status":"`+status+`"}`) // if this fails, the sidecar delivers the event again
}

// receive reads and decodes an event. The error is a refusal if another delivery of the
// event could not be received either.
func receive[T any](body io.Reader) (e Event[T], err error) {
	data, err := io.ReadAll(io.LimitReader(body, maxEventSize+1))
	if err != nil {
		return e, fmt.Errorf("read the event: %w", err)
	}
	if len(data) > maxEventSize {
		return e, apperr.New(apperr.Invalid, "", fmt.Sprintf("The event must not be larger than %d bytes.", maxEventSize))
	}
	if err := json.Unmarshal(data, &e); err != nil {
		return e, apperr.New(apperr.Invalid, "", "The event must be a CloudEvent in JSON with the expected data.").WithCause(err)
	}
	return e, nil
}

// HandleTick registers work for the ticks of the cron component with the given name. Every
// replica of the app receives its own ticks, so work must claim what it processes. A tick
// that arrives while work runs is ignored. Errors are logged; the next tick runs work
// again. A tick that another app sent by service invocation is refused.
//
// A run may take 25 seconds. One that took at least half of that is followed by another one
// at once, up to 10 in all, so that a backlog does not wait for the next tick. The first
// run continues the trace of the tick; each further one starts a trace, with a link to it.
func (routes Routes) HandleTick(component string, work func(context.Context) error) {
	name := "tick " + component
	tracer := routes.Tracing.Tracer("boxoffice/shared/daprsub")
	run := func(ctx context.Context) (took time.Duration) {
		start := time.Now()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tickTimeout)
		defer cancel()
		if err := work(ctx); err != nil {
			routes.Log.WarnContext(ctx, "periodic work failed", telemetry.KeyOperation, component, telemetry.KeyError, err.Error())
		}
		return time.Since(start)
	}
	var running sync.Mutex
	routes.Mux.Handle("POST /"+component, routes.delivered(name, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		if !running.TryLock() {
			return
		}
		defer running.Unlock()
		ctx := r.Context()
		for took, runs := run(ctx), 1; took >= backlogRun && runs < maxRuns && ctx.Err() == nil; runs++ {
			again, span := tracer.Start(ctx, name, trace.WithNewRoot(), trace.WithLinks(trace.LinkFromContext(ctx)))
			took = run(again)
			span.End()
		}
	}))
	// The sidecar sends OPTIONS once, to find out whether the app handles the component.
	routes.Mux.HandleFunc("OPTIONS /"+component, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
}

// invocationHeaders returns the headers that a sidecar adds to the requests of other apps. It
// replaces values that the other app has set. Deliveries of facts and ticks lack them.
func invocationHeaders() []string { return []string{"Dapr-Caller-App-Id", "Dapr-Callee-App-Id"} }

// isInvocation reports whether another app sent the request by service invocation. An app that
// calls itself through its own sidecar is not recognized, but only the app itself has the API
// token that this requires.
func isInvocation(r *http.Request) bool {
	return slices.ContainsFunc(invocationHeaders(), func(name string) bool { return len(r.Header.Values(name)) > 0 })
}

// delivered returns a handler that calls fn for the deliveries of the app's own sidecar, and
// answers invocations by other apps with 403. A span continues the trace of the request.
func (routes Routes) delivered(name string, fn http.HandlerFunc) http.Handler {
	checked := func(w http.ResponseWriter, r *http.Request) {
		if isInvocation(r) {
			routes.Log.WarnContext(r.Context(), "refused the invocation of a route for deliveries", telemetry.KeyOperation, name)
			http.Error(w, "only the sidecar of this app delivers facts and ticks", http.StatusForbidden)
			return
		}
		fn(w, r)
	}
	return otelhttp.NewHandler(http.HandlerFunc(checked), name,
		otelhttp.WithTracerProvider(routes.Tracing), otelhttp.WithPropagators(telemetry.Propagator()),
		otelhttp.WithSpanNameFormatter(func(string, *http.Request) string { return name }))
}
