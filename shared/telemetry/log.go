package telemetry

import (
	"context"
	"io"
	"log/slog"

	"go.opentelemetry.io/otel/trace"
)

// Keys of log attributes. User ids may be logged. E-mail addresses, tokens and request
// bodies must never be logged.
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
	// KeyAccountHash and KeyAddressHash are keyed hashes of an e-mail address and of a
	// client's address.
	KeyAccountHash = "account_hash"
	KeyAddressHash = "address_hash"
	KeyEventID     = "event_id"
	KeyBookingID   = "booking_id"
	KeyError       = "error"
)

// NewLog returns a logger that writes JSON lines to w. Each line has the names of the
// service and of its instance. A line that is logged with the context of a span also
// has the ids of the trace and of the span.
func NewLog(w io.Writer, service, instance string) *slog.Logger {
	handler := slog.NewJSONHandler(w, nil)
	return slog.New(traceHandler{handler}).With(KeyService, service, KeyInstance, instance)
}

// traceHandler adds the trace and span ids of a record's context.
type traceHandler struct{ slog.Handler }

// Handle implements slog.Handler.
func (h traceHandler) Handle(ctx context.Context, r slog.Record) error {
	if span := trace.SpanContextFromContext(ctx); span.IsValid() {
		r.AddAttrs(slog.String(KeyTraceID, span.TraceID().String()), slog.String(KeySpanID, span.SpanID().String()))
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h traceHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return traceHandler{h.Handler.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h traceHandler) WithGroup(name string) slog.Handler {
	return traceHandler{h.Handler.WithGroup(name)}
}
