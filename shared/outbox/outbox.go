// Package outbox publishes facts that a store wrote together with the changes that
// they describe: the transactional outbox (Richardson, "Microservices Patterns",
// section 3.2.7).
//
// A store writes a fact into the document that it is about, in the same write as the
// change. Either both exist or neither does. A Relay publishes the fact afterwards: at
// once if the writer enqueues the document, otherwise when a sweep finds the fact,
// for example after a crash. Every fact is published at least once. Apart from
// repetitions, the facts of one document are published in the order of writing.
//
// # Boxes
//
// The outbox of one document is its box: a list of records, a version, a due time and a
// trim time. Every change of the list increases the version, so a relay saves a box by
// compare-and-set. A store finds boxes by each of the two times with a sparse index, which
// contains only the boxes that have such a time:
//
//   - A box with an unpublished record has a due time. It is due at once.
//   - A box that a sweep has claimed is due when the claim expires. It has no trim time.
//   - A box whose records are all published has no due time. Its trim time is when the
//     retention of its oldest record ends, one day after the record was published.
//   - An empty box has neither.
//
// A writer that adds a record to a published box sets the due time and leaves the trim
// time as it is. This is the only case in which a box has both. The next claim or save of a
// relay resolves it. A box that has a published record therefore always has a due time, or
// a trim time that is not later than the end of the oldest retention.
//
// # Sweeps
//
// A sweep does three things, one after the other. It first publishes the boxes that are
// due, then those that must be published again, and then trims boxes: it removes the
// records whose retention has ended. The sweep reads boxes page by page, oldest first, and
// publishes the boxes of a page in parallel, but the records of one box in order. Relays in
// several processes may read the same page. Each relay goes through it in a random order
// and claims each box before it publishes, so that they do different work. Trimming
// publishes nothing, so it takes no claim: the compare-and-set of the save is enough.
//
// A million bookings that were published during the last day are a million entries in the
// index of the trim times, and none in that of the due times. A sweep that finds nothing to
// do sends three queries, of which two examine one index entry at most: for the watermark, for due
// boxes and for expired records. None of them depends on the number of retained boxes. A
// sweep trims at most 9,600 boxes, with one query and three updates for 64 of them. At one
// sweep in 30 seconds, one relay trims a million boxes in less than an hour.
//
// # Publishing again
//
// Published records are retained so that they can be published again after the broker
// has lost them. The watermark is the time before which everything that was published
// counts as lost. A box that contains a record that was published before the watermark
// has a trim time less than one day after the watermark, unless it is due anyway. The
// index of the trim times therefore finds it.
package outbox

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/propagation"

	"boxoffice/shared/telemetry"
)

// Fact is an event that a store writes together with a change.
type Fact struct {
	ID      string // the same in every delivery
	Type    string
	Subject string // the id of the document
	At      time.Time
	Data    []byte // JSON
}

// AnyFact is satisfied by every type with the fields of Fact. Each domain declares such
// a type for its facts, so that it need not import this package.
type AnyFact interface {
	~struct {
		ID      string
		Type    string
		Subject string
		At      time.Time
		Data    []byte
	}
}

// Record is a fact in an outbox, published or not.
type Record struct {
	ID          string // the same in every delivery
	Type        string
	Subject     string
	At          time.Time
	Data        []byte    // JSON
	TraceParent string    // the trace of the request that wrote the fact; may be empty
	SentAt      time.Time // when it was last published; zero if it never was
}

// Box is the outbox of one document.
type Box struct {
	Document string
	Version  int64     // increases with every change of the box
	Records  []Record  // in the order of writing
	Due      time.Time // the earliest time at which a sweep publishes the box; zero means never
	Trim     time.Time // the earliest time at which a sweep trims the box; zero means never
}

// NewBox returns the box of a document that is inserted together with facts. The
// records carry the trace of ctx.
func NewBox[F AnyFact](ctx context.Context, document string, facts []F) Box {
	b := Box{Document: document}
	parent := TraceParent(ctx)
	for _, fact := range facts {
		f := Fact(fact)
		b.Records = append(b.Records, Record{
			ID: f.ID, Type: f.Type, Subject: f.Subject, At: f.At, Data: f.Data, TraceParent: parent,
		})
		if b.Due.IsZero() || f.At.Before(b.Due) {
			b.Version, b.Due = 1, f.At
		}
	}
	return b
}

// Store keeps boxes. No method of this interface adds records. The app's store adds them
// in the writes that change its documents. Such a write also increases the version of
// the box and makes it due at once. It does not change the trim time.
type Store interface {
	// Box returns the box of a document. It returns ErrNoBox if there is no such
	// document.
	Box(ctx context.Context, document string) (Box, error)
	// ClaimBox sets the due time of a box, removes its trim time and increases its version
	// by one, provided that the stored version is still b.Version. Otherwise it returns
	// ErrStale. Of several claims of the same version exactly one succeeds.
	ClaimBox(ctx context.Context, b Box, due time.Time) error
	// SaveBox replaces the records, the due time and the trim time of a box and increases
	// its version by one, provided that the stored version is still b.Version. Otherwise
	// it returns ErrStale.
	//
	// If another call has already stored the same box, SaveBox may return nil instead of
	// ErrStale. Several callers that save the same box may therefore all succeed.
	SaveBox(ctx context.Context, b Box) error
	// DueBoxes returns the boxes that are due before t, ordered by due time. It returns at
	// most limit of them.
	DueBoxes(ctx context.Context, t time.Time, limit int) ([]Box, error)
	// RetainedBoxes returns the boxes whose trim time is before t, ordered by trim time. It
	// returns at most limit of them.
	RetainedBoxes(ctx context.Context, t time.Time, limit int) ([]Box, error)
	// RaiseWatermark sets the watermark to t, unless it is already later.
	RaiseWatermark(ctx context.Context, t time.Time) error
	// Watermark returns the watermark. Everything that was published before it counts
	// as lost. The zero time means that nothing is lost.
	Watermark(ctx context.Context) (time.Time, error)
}

// Errors that a Store returns for expected conditions.
var (
	ErrNoBox = errors.New("no such outbox")
	ErrStale = errors.New("the outbox changed since it was read")
)

// ErrFuture is returned by Relay.Rewind for a time in the future.
var ErrFuture = errors.New("the time is in the future")

// Publisher publishes records on the bus. The ctx of a call carries the record's trace.
type Publisher interface {
	Publish(ctx context.Context, r Record) error
}

const traceParent = "traceparent"

// TraceParent returns the W3C traceparent of ctx, or "" if ctx has no trace. A store
// keeps it in the records that it writes.
func TraceParent(ctx context.Context) string {
	carrier := propagation.MapCarrier{}
	telemetry.Propagator().Inject(ctx, carrier)
	return carrier.Get(traceParent)
}

// withTraceOf returns ctx in the trace of a record.
func withTraceOf(ctx context.Context, r Record) context.Context {
	return telemetry.Propagator().Extract(ctx, propagation.MapCarrier{traceParent: r.TraceParent})
}
