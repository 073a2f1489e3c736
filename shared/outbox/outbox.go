// Package outbox brings facts from where they are written to the bus. A store
// writes a fact into the document that it is about, in the same write as the
// change, so that neither is there without the other. The Relay publishes it
// afterwards: at once when it is fed, else when the sweep finds what a crash
// left. It publishes twice rather than never, and the records of one document in
// the order of writing, apart from repetitions.
//
// Published records stay for a day, so that they can be published again when the
// broker has lost them. All of this is one list in the document, a number that
// each change of the list raises, and a time from when the relay must look at it:
// one index serves every sweep. A box with nothing to publish is due when its
// oldest record has been there for its day, so what was sent before some time is
// found by the same index.
package outbox

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/propagation"

	"boxoffice/shared/telemetry"
)

// Fact is what a store is given to write beside a change.
type Fact struct {
	ID      string // the same for every delivery
	Type    string
	Subject string // the id of the document
	At      time.Time
	Data    []byte // JSON
}

// AnyFact is a domain's own type for a Fact.
type AnyFact interface {
	~struct {
		ID      string
		Type    string
		Subject string
		At      time.Time
		Data    []byte
	}
}

// Record is a fact that waits in its document, or was published.
type Record struct {
	ID          string // the same for every delivery
	Type        string
	Subject     string
	At          time.Time
	Data        []byte // JSON
	TraceParent string // of the request that wrote it; may be empty
	SentAt      time.Time
}

// Box is the records of one document, in the order of writing.
type Box struct {
	Document string
	Version  int64 // raised with each change of the records
	Records  []Record
	Due      time.Time // from when a sweep may take it; zero for never
}

// NewBox is the box of a document that is inserted with these facts, in ctx.
func NewBox[F AnyFact](ctx context.Context, document string, facts []F) Box {
	b := Box{Document: document}
	parent := TraceParent(ctx)
	for _, own := range facts {
		f := Fact(own)
		b.Records = append(b.Records, Record{
			ID: f.ID, Type: f.Type, Subject: f.Subject, At: f.At, Data: f.Data, TraceParent: parent,
		})
		if b.Due.IsZero() || f.At.Before(b.Due) {
			b.Version, b.Due = 1, f.At
		}
	}
	return b
}

// Store keeps boxes. Records are added by the store's own writes, which raise the
// version and make the box due at once.
type Store interface {
	// Box returns a document's box, or ErrNoBox when the document is gone.
	Box(ctx context.Context, document string) (Box, error)
	// ClaimBox sets from when a box is due, where the version is still the box's, and
	// raises it by one. It returns ErrStale when the version is another: of many, one
	// has the claim.
	ClaimBox(ctx context.Context, b Box, due time.Time) error
	// SaveBox replaces the records where the version is still the box's, raises it
	// by one and sets from when the box is due; never, when that is zero. It returns
	// ErrStale when the version is another and the box is not just as this leaves it:
	// of two who save the same, both may be told that they did.
	SaveBox(ctx context.Context, b Box, due time.Time) error
	// DueBoxes returns the documents whose boxes are due between two times, the
	// first included, the longest due first, at most limit.
	DueBoxes(ctx context.Context, from, to time.Time, limit int) ([]string, error)
	// Rewind sets Since, unless that is later already.
	Rewind(ctx context.Context, since time.Time) error
	// Since is before when all that was sent is lost; zero if nothing is.
	Since(ctx context.Context) (time.Time, error)
}

// What a Store answers that is no failure.
var (
	ErrNoBox = errors.New("no such outbox")
	ErrStale = errors.New("the outbox changed since it was read")
)

// Publisher puts a record on the bus. The context is in the record's trace.
type Publisher interface {
	Publish(ctx context.Context, r Record) error
}

const traceParent = "traceparent"

// TraceParent is what a store keeps of ctx in the records that it writes.
func TraceParent(ctx context.Context) string {
	carrier := propagation.MapCarrier{}
	telemetry.Propagator().Inject(ctx, carrier)
	return carrier.Get(traceParent)
}

// traced returns ctx in the trace of a record.
func traced(ctx context.Context, r Record) context.Context {
	return telemetry.Propagator().Extract(ctx, propagation.MapCarrier{traceParent: r.TraceParent})
}
