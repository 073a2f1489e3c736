package mongodb

import (
	"context"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"boxoffice/shared/coalesce"
)

// Matcher reads the documents of which a field has a given value. Concurrent reads share a
// command, and each gets its own documents. It is safe for concurrent use.
type Matcher[D any] struct {
	collection *Collection
	field      string
	projection bson.D
	decode     func(bson.Raw) D
	batches    *coalesce.Group[*match[D]]
}

type match[D any] struct {
	value     string
	filter    bson.D
	limit     int64
	documents []D
	err       error
}

// NewMatcher returns a Matcher for a field that contains strings. The projection must
// include the field. decode converts a document, which is only valid until decode returns.
func NewMatcher[D any](collection *Collection, field string, projection bson.D, decode func(bson.Raw) D) *Matcher[D] {
	return &Matcher[D]{collection, field, projection, decode, newBatches[*match[D]]("find", collection)}
}

// Match returns the documents whose field is value and that match filter, in no order. Calls
// that share a command use the filter of one of them, so the filters of concurrent calls may
// only differ in ways that do not matter.
//
// A command returns at most the sum of the limits of its calls. If another call of the
// command has more matches than its limit, documents may therefore be missing.
func (m *Matcher[D]) Match(ctx context.Context, value string, filter bson.D, limit int64) ([]D, error) {
	one := &match[D]{value: value, filter: filter, limit: limit}
	if err := m.batches.Do(ctx, "", m.match, one); err != nil {
		return nil, err
	}
	return one.documents, one.err
}

// match reads the documents of a batch and sets the result of each of its members.
func (m *Matcher[D]) match(ctx context.Context, batch []*match[D], _ func()) {
	members := map[string][]*match[D]{}
	values, limit := make(bson.A, 0, len(batch)), int64(0)
	for _, one := range batch {
		if members[one.value] == nil {
			values = append(values, one.value)
			limit += one.limit
		}
		members[one.value] = append(members[one.value], one)
	}
	filter := append(bson.D{{Key: m.field, Value: bson.D{{Key: "$in", Value: values}}}}, batch[0].filter...)
	err := m.collection.FindEach(ctx, filter, func(raw bson.Raw) error {
		value, _ := raw.Lookup(m.field).StringValueOK()
		d := m.decode(raw)
		for _, one := range members[value] {
			one.documents = append(one.documents, d)
		}
		return nil
	}, options.Find().SetProjection(m.projection).SetLimit(limit))
	for _, one := range batch {
		one.err = err
	}
}
