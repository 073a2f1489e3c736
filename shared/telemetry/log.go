package telemetry

import (
	"context"
	"io"
	"log/slog"

	"go.opentelemetry.io/otel/trace"
)

// Keys of log lines. Ids of users are fine; e-mails, tokens and bodies are not.
const (
	KeyService   = "service"
	KeyInstance  = "instance"
	KeyTraceID   = "trace_id"
	KeySpanID    = "span_id"
	KeyRequestID = "request_id"
	KeyOperation = "operation"
	KeyMethod    = "method"
	KeyRoute     = "route"
	KeyStatus    = "status"
	KeyCode      = "code"
	KeyReason    = "reason"
	KeyDuration  = "duration_ms"
	KeyUserID    = "user_id"
	KeyEventID   = "event_id"
	KeyBookingID = "booking_id"
	KeyError     = "error"
)

// NewLog returns a log of JSON lines that bear the ids of the trace and span in
// the context that they are logged with.
func NewLog(w io.Writer, service, instance string) *slog.Logger {
	handler := slog.NewJSONHandler(w, nil)
	return slog.New(traced{handler}).With(KeyService, service, KeyInstance, instance)
}

type traced struct{ slog.Handler }

func (h traced) Handle(ctx context.Context, r slog.Record) error {
	if span := trace.SpanContextFromContext(ctx); span.IsValid() {
		r.AddAttrs(slog.String(KeyTraceID, span.TraceID().String()), slog.String(KeySpanID, span.SpanID().String()))
	}
	return h.Handler.Handle(ctx, r)
}

func (h traced) WithAttrs(attrs []slog.Attr) slog.Handler { return traced{h.Handler.WithAttrs(attrs)} }

func (h traced) WithGroup(name string) slog.Handler { return traced{h.Handler.WithGroup(name)} }
