package transport

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/trace"

	"boxoffice/apps/event/internal/event"
	"boxoffice/shared/apperr"
	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/telemetry"
)

// FactsPath is where dapr/event-facts.yaml sends the booking app's facts.
const FactsPath = "/facts/bookings"

const maxFact = 1 << 20

// Inlet is what the sidecar brings besides operations: facts, and the ticks of
// the cron components.
type Inlet struct {
	Service *event.Service
	Log     *slog.Logger
	Tracing trace.TracerProvider
}

// Subscribe takes the booking app's facts. One that cannot be understood goes to
// the dead letters; after a failure the sidecar delivers it again.
func (in Inlet) Subscribe(mux *http.ServeMux) {
	mux.Handle("POST "+FactsPath, in.traced("facts "+bookingapi.Topic, in.deliver))
}

func (in Inlet) deliver(w http.ResponseWriter, r *http.Request) {
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxFact))
	if err != nil {
		http.Error(w, "the fact could not be read", http.StatusInternalServerError)
		return
	}
	status := "SUCCESS"
	switch err := in.take(r.Context(), data); {
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
}

// take does what a CloudEvent asks for. Types that it does not know are others'.
func (in Inlet) take(ctx context.Context, data []byte) error {
	var e struct {
		ID   string          `json:"id"`
		Type string          `json:"type"`
		Data bookingapi.Fact `json:"data"`
	}
	if err := json.Unmarshal(data, &e); err != nil {
		return apperr.New(apperr.Invalid, "", "The fact is not valid.").Because(err)
	}
	var do func(context.Context, bookingapi.Fact) error
	switch e.Type {
	case bookingapi.FactCreated:
		do = in.Service.OnBookingCreated
	case bookingapi.FactConfirmed:
		do = in.Service.OnBookingConfirmed
	case bookingapi.FactCancelled:
		do = in.Service.OnBookingCancelled
	case bookingapi.FactExpired:
		do = in.Service.OnBookingExpired
	default:
		return nil
	}
	if b := e.Data.Resource; b.HoldID == "" || b.EventID == "" || b.UserID == "" || b.Quantity <= 0 {
		return apperr.New(apperr.Invalid, "", "The fact names no hold.")
	}
	if err := do(ctx, e.Data); err != nil {
		return fmt.Errorf("fact %s %s: %w", e.Type, e.ID, err)
	}
	return nil
}

// traced puts a handler into the trace of what the sidecar brings.
func (in Inlet) traced(name string, fn http.HandlerFunc) http.Handler {
	return otelhttp.NewHandler(fn, name,
		otelhttp.WithTracerProvider(in.Tracing), otelhttp.WithPropagators(telemetry.Propagator()),
		otelhttp.WithSpanNameFormatter(func(string, *http.Request) string { return name }))
}
