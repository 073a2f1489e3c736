package plan

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/256dpi/lungo/bsonkit"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"

	"boxoffice/tools/mongolite/internal/storage"
)

// condition is the restriction that one operator places on a path. The value is
// one of points, or it lies in span. Exactly one of the two fields is set.
type condition struct {
	points []any
	span   *span
}

// span is an interval of the values of one class.
type span struct {
	class  bsonkit.Class
	lo, hi storage.Edge
}

// conditions holds the conditions that every matching document satisfies, by
// path.
type conditions struct {
	// usable holds the conditions that can bound a scan.
	usable map[string][]condition
	// operators holds all operators of the filter, including those that cannot
	// bound a scan.
	operators map[string]bson.D
}

func conditionsOf(filter bson.D) conditions {
	c := conditions{map[string][]condition{}, map[string]bson.D{}}
	c.collect(filter)
	return c
}

func (c conditions) collect(filter bson.D) {
	for _, e := range filter {
		if e.Key == "$and" {
			list, _ := e.Value.(bson.A)
			for _, item := range list {
				if d, ok := item.(bson.D); ok {
					c.collect(d)
				}
			}
		}
		if strings.HasPrefix(e.Key, "$") {
			continue
		}
		for _, op := range operators(e.Value) {
			c.operators[e.Key] = append(c.operators[e.Key], op)
			if op.Key == "$elemMatch" {
				if cond, ok := elementCondition(op.Value); ok {
					c.usable[e.Key] = append(c.usable[e.Key], cond)
				}
				continue
			}
			if cond, ok := parseOperator(op.Key, op.Value); ok {
				c.usable[e.Key] = append(c.usable[e.Key], cond)
			}
		}
	}
}

// operators returns the operators in v, where {path: v} is a field of a filter.
// It returns {$eq: v} for the short form of an equality.
func operators(v any) bson.D {
	ops, ok := v.(bson.D)
	if !ok || len(ops) == 0 || !strings.HasPrefix(ops[0].Key, "$") {
		return bson.D{{Key: "$eq", Value: v}}
	}
	return ops
}

// elementCondition returns the condition that {$elemMatch: arg} places on one
// element of an array. The operators in arg apply to the same element, so their
// bounds are intersected even in a multikey index. elementCondition reports false
// if none of them can bound a scan.
// https://www.mongodb.com/docs/manual/core/multikey-index-bounds/#intersect-bounds-for-multikey-index
func elementCondition(arg any) (condition, bool) {
	ops, _ := arg.(bson.D)
	if len(ops) == 0 || !strings.HasPrefix(ops[0].Key, "$") {
		return condition{}, false // a filter on the fields of the element
	}
	var conds []condition
	for _, op := range ops {
		if cond, ok := parseOperator(op.Key, op.Value); ok {
			conds = append(conds, cond)
		}
	}
	points, interval := resolve(conds, false)
	return condition{points: points, span: interval}, len(conds) > 0
}

// parseOperator returns the condition that {op: v} places on a path. It reports
// false if the condition cannot bound a scan.
func parseOperator(op string, v any) (condition, bool) {
	if op == "$in" {
		list, ok := v.(bson.A)
		if !ok {
			return condition{}, false
		}
		for _, item := range list {
			if !isIndexable(item) {
				return condition{}, false
			}
		}
		return condition{points: append([]any{}, list...)}, true
	}
	if !isIndexable(v) {
		return condition{}, false
	}
	class, _ := bsonkit.Inspect(v)
	s := &span{class, storage.ClassBound(class), storage.ClassBound(class + 1)}
	if class == bsonkit.Number { // NaN sorts first but matches no range of numbers
		s.lo = storage.Bound{Value: math.NaN(), After: true}
	}
	f, _ := v.(float64)
	switch {
	case op == "$eq", math.IsNaN(f) && (op == "$gte" || op == "$lte"):
		return condition{points: []any{v}}, true
	case math.IsNaN(f) && (op == "$gt" || op == "$lt"):
		return condition{points: []any{}}, true
	case op == "$gt", op == "$gte":
		s.lo = storage.Bound{Value: v, After: op == "$gt"}
	case op == "$lt", op == "$lte":
		s.hi = storage.Bound{Value: v, After: op == "$lte"}
	default:
		return condition{}, false
	}
	return condition{span: s}, true
}

// isIndexable reports whether the key of v leads to every document with a value
// that equals v. It reports false for three kinds of values: an array can equal
// a field or an element of that field, a regex matches strings, and a Decimal128
// or a document that contains one has no key.
func isIndexable(v any) bool {
	switch v := v.(type) {
	case bson.A, primitive.Regex, primitive.Decimal128:
		return false
	case bson.D:
		_, err := storage.AppendKey(nil, v)
		return err == nil
	}
	return true
}

// admitsNull reports whether null, and hence a missing field, satisfies c.
func (c condition) admitsNull() bool {
	if c.span != nil {
		return c.span.class == bsonkit.Null
	}
	for _, v := range c.points {
		if class, _ := bsonkit.Inspect(v); class == bsonkit.Null {
			return true
		}
	}
	return false
}

// admits reports whether v satisfies c.
func (c condition) admits(v any) bool {
	if c.span != nil {
		return c.span.contains(v)
	}
	for _, p := range c.points {
		if bsonkit.Compare(p, v) == 0 {
			return true
		}
	}
	return false
}

func (s *span) contains(v any) bool {
	class, _ := bsonkit.Inspect(v)
	if class != s.class {
		return false
	}
	if b, ok := s.lo.(storage.Bound); ok {
		if c := bsonkit.Compare(v, b.Value); c < 0 || c == 0 && b.After {
			return false
		}
	}
	if b, ok := s.hi.(storage.Bound); ok {
		if c := bsonkit.Compare(v, b.Value); c > 0 || c == 0 && !b.After {
			return false
		}
	}
	return true
}

// isWithin reports whether every value in s is also in o.
func (s *span) isWithin(o *span) bool {
	if s.class != o.class {
		return false
	}
	inside := func(edge, limit storage.Edge, low bool) bool {
		l, ok := limit.(storage.Bound)
		if !ok {
			return true
		}
		e, ok := edge.(storage.Bound)
		if !ok {
			return false
		}
		c := bsonkit.Compare(e.Value, l.Value)
		if c == 0 {
			return e.After == l.After || e.After == low
		}
		return (c > 0) == low
	}
	return inside(s.lo, o.lo, true) && inside(s.hi, o.hi, false)
}

// resolve merges the conditions on one path into points or a span. It returns
// nil for both if there are no conditions. If the path is multikey, each condition
// may be satisfied by a different element, so only one of them bounds the scan.
func resolve(conds []condition, multikey bool) ([]any, *span) {
	if len(conds) == 0 {
		return nil, nil
	}
	chosen := conds[0]
	for _, c := range conds[1:] {
		if c.points != nil && (chosen.points == nil || len(c.points) < len(chosen.points)) {
			chosen = c
		}
	}
	if multikey {
		return chosen.points, chosen.span
	}
	if chosen.points != nil {
		kept := []any{}
		for _, v := range chosen.points {
			all := true
			for _, c := range conds {
				all = all && c.admits(v)
			}
			if all {
				kept = append(kept, v)
			}
		}
		return kept, nil
	}
	merged := *chosen.span
	for _, c := range conds[1:] {
		if c.span.class != merged.class { // a value has only one class
			return []any{}, nil
		}
		merged.lo = tighter(merged.lo, c.span.lo, true)
		merged.hi = tighter(merged.hi, c.span.hi, false)
	}
	return nil, &merged
}

// tighter returns whichever of two edges leaves fewer values. The edges are
// lower edges if low is set, else upper edges.
func tighter(a, b storage.Edge, low bool) storage.Edge {
	x, ok := a.(storage.Bound)
	if !ok {
		return b
	}
	y, ok := b.(storage.Bound)
	if !ok {
		return a
	}
	c := bsonkit.Compare(x.Value, y.Value)
	if c == 0 && x.After != y.After {
		if x.After == low {
			return a
		}
		return b
	}
	if (c > 0) == low {
		return a
	}
	return b
}

// implied reports whether every document that satisfies conds also matches
// partial, the filter of a partial index.
// https://www.mongodb.com/docs/manual/core/index-partial/#query-coverage
func implied(partial bson.D, conds conditions) bool {
	for _, e := range partial {
		if e.Key == "$and" {
			list, _ := e.Value.(bson.A)
			for _, item := range list {
				if d, ok := item.(bson.D); !ok || !implied(d, conds) {
					return false
				}
			}
			continue
		}
		for _, op := range operators(e.Value) {
			if !impliedBy(op, conds.usable[e.Key]) && !containsOperator(conds.operators[e.Key], op) {
				return false
			}
		}
	}
	return true
}

// containsOperator reports whether ops contains op with an equal argument.
func containsOperator(ops bson.D, op bson.E) bool {
	return slices.ContainsFunc(ops, func(o bson.E) bool {
		return o.Key == op.Key && bsonkit.Compare(o.Value, op.Value) == 0
	})
}

// impliedBy reports whether one of the conditions on a path implies op.
func impliedBy(op bson.E, conds []condition) bool {
	need, usable := parseOperator(op.Key, op.Value)
	exists := op.Key == "$exists" && bsonkit.Compare(op.Value, true) == 0
	for _, c := range conds {
		switch {
		case exists && !c.admitsNull():
			return true
		case !usable:
		case c.points != nil:
			all := true
			for _, v := range c.points {
				all = all && need.admits(v)
			}
			if all {
				return true
			}
		case need.span != nil && c.span.isWithin(need.span):
			return true
		}
	}
	return false
}

// describePoints returns the text that explain shows for points.
func describePoints(points []any) bson.A {
	list := make(bson.A, len(points))
	for i, v := range points {
		list[i] = fmt.Sprintf("[%v, %v]", v, v)
	}
	return list
}

// describe returns the text that explain shows for s.
func (s *span) describe() bson.A {
	lo, hi := "(class start", "class end)"
	if b, ok := s.lo.(storage.Bound); ok {
		lo = "[" + fmt.Sprint(b.Value)
		if b.After {
			lo = "(" + fmt.Sprint(b.Value)
		}
	}
	if b, ok := s.hi.(storage.Bound); ok {
		hi = fmt.Sprint(b.Value) + ")"
		if b.After {
			hi = fmt.Sprint(b.Value) + "]"
		}
	}
	return bson.A{lo + ", " + hi}
}
