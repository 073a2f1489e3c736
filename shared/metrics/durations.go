package metrics

import (
	"context"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// maxKeys limits the attribute sets that Durations keeps. It is the SDK's own limit on the
// series of an instrument, beyond which it counts a measurement in one series for all others.
const maxKeys = 2000

// Durations is a histogram of durations with several labels. K identifies one combination of
// their values. A measurement with a known K does not allocate.
type Durations[K comparable] struct {
	histogram  metric.Float64Histogram
	attributes func(K) []attribute.KeyValue

	mu      sync.Mutex                                  // serializes the writers of options
	options atomic.Pointer[map[K][]metric.RecordOption] // replaced as a whole, because nearly all accesses read
}

// NewDurations returns a histogram in seconds; see Seconds. d has no Unit and no Label:
// attributes returns the labels of a K.
func NewDurations[K comparable](p metric.MeterProvider, d Def, attributes func(K) []attribute.KeyValue) *Durations[K] {
	d.Unit = "s"
	h := &Durations[K]{histogram: newHistogram(p, d, Seconds()), attributes: attributes}
	h.options.Store(&map[K][]metric.RecordOption{})
	return h
}

// Record adds a duration. If ctx belongs to a sampled trace, the trace may become the exemplar
// of the duration's bucket.
func (h *Durations[K]) Record(ctx context.Context, d time.Duration, key K) {
	opts, ok := (*h.options.Load())[key]
	if !ok {
		opts = h.add(key)
	}
	h.histogram.Record(ctx, d.Seconds(), opts...)
}

// add returns the options for key, and keeps them unless there are too many.
func (h *Durations[K]) add(key K) []metric.RecordOption {
	h.mu.Lock()
	defer h.mu.Unlock()
	known := *h.options.Load()
	if opts, ok := known[key]; ok {
		return opts
	}
	opts := []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(h.attributes(key)...))}
	if len(known) < maxKeys {
		more := maps.Clone(known)
		more[key] = opts
		h.options.Store(&more)
	}
	return opts
}
