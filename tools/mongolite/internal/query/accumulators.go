package query

// Accumulators: https://www.mongodb.com/docs/manual/reference/operator/aggregation/group/#accumulator-operator

import (
	"github.com/256dpi/lungo/bsonkit"
	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/internal/mongoerr"
)

// accumulator computes a result from a series of values. A value may be Missing.
type accumulator interface {
	add(v any) error
	result() any
}

// newAccumulator returns a new accumulator with the given name, or nil if there
// is none.
func newAccumulator(op string) accumulator {
	switch op {
	case "$sum", "$count":
		return &sum{total: int32(0)}
	case "$avg":
		return &avg{sum: sum{total: int32(0)}}
	case "$min":
		return &extremum{sign: -1}
	case "$max":
		return &extremum{sign: 1}
	case "$first":
		return &firstOrLast{first: true}
	case "$last":
		return &firstOrLast{}
	case "$push":
		return &collector{values: bson.A{}}
	case "$addToSet":
		return &collector{values: bson.A{}, seen: map[string]bool{}}
	case "$mergeObjects":
		return &merger{doc: bson.D{}}
	}
	return nil
}

// sum implements $sum. It ignores values that are not numbers.
type sum struct {
	total any
	count int64
}

func (s *sum) add(v any) error {
	if isNumber(v) {
		s.total, _ = add(s.total, v)
		s.count++
	}
	return nil
}

func (s *sum) result() any { return s.total }

// avg implements $avg. It ignores values that are not numbers.
type avg struct{ sum }

func (a *avg) result() any {
	if a.count == 0 {
		return nil
	}
	v, _ := exprDivide("$avg", []any{a.total, a.count})
	return v
}

// extremum implements $min and $max. It ignores null and Missing.
type extremum struct {
	sign int
	best any
}

func (x *extremum) add(v any) error {
	if !nullish(v) && (x.best == nil || compare(v, x.best)*x.sign > 0) {
		x.best = v
	}
	return nil
}

func (x *extremum) result() any { return x.best }

// firstOrLast implements $first and $last.
type firstOrLast struct {
	first, set bool
	value      any
}

func (f *firstOrLast) add(v any) error {
	if v == bsonkit.Missing {
		v = nil
	}
	if !f.first || !f.set {
		f.value, f.set = v, true
	}
	return nil
}

func (f *firstOrLast) result() any { return f.value }

// collector implements $push and $addToSet. It ignores Missing.
type collector struct {
	values bson.A
	seen   map[string]bool // nil for $push, which keeps duplicates
}

func (c *collector) add(v any) error {
	if v == bsonkit.Missing {
		return nil
	}
	if c.seen != nil {
		k := hashKey(v)
		if c.seen[k] {
			return nil
		}
		c.seen[k] = true
	}
	c.values = append(c.values, v)
	return nil
}

func (c *collector) result() any { return c.values }

// merger implements $mergeObjects. It ignores null and Missing.
type merger struct{ doc bson.D }

func (m *merger) add(v any) error {
	if nullish(v) {
		return nil
	}
	d, ok := v.(bson.D)
	if !ok {
		return mongoerr.New(40400, "$mergeObjects requires object inputs, but input is of type %s", typeName(v))
	}
	for _, e := range d {
		m.doc = setField(m.doc, e.Key, e.Value)
	}
	return nil
}

func (m *merger) result() any { return m.doc }
