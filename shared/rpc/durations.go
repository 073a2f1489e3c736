package rpc

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/semconv/v1.43.0/rpcconv"

	"boxoffice/shared/apperr"
	"boxoffice/shared/metrics"
)

// callDurations measures the operations that a server serves, by operation and code.
type callDurations struct{ *metrics.Durations[servedCall] }

// servedCall identifies a time series.
type servedCall struct {
	method string
	code   apperr.Code // codeOK if the operation succeeded
}

// codeOK is the status code of a success, beside those of apperr.Codes.
const codeOK apperr.Code = "ok"

func newCallDurations(p metric.MeterProvider) *callDurations {
	if p == nil {
		p = noop.NewMeterProvider()
	}
	var named rpcconv.ServerCallDuration
	return &callDurations{metrics.NewDurations(p, metrics.Def{
		Name: named.Name(),
		Help: "Time from the receipt of an operation's request to the end of its reply.",
	}, func(c servedCall) []attribute.KeyValue {
		return []attribute.KeyValue{semconv.RPCMethod(c.method), semconv.RPCResponseStatusCode(string(c.code))}
	})}
}

// record adds one call. sent is the error that the caller received, or nil.
func (d *callDurations) record(ctx context.Context, took time.Duration, method string, sent *apperr.Error) {
	code := codeOK
	if sent != nil {
		code = sent.Code
	}
	d.Record(ctx, took, servedCall{method, code})
}
