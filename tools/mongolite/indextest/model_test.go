package indextest_test

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/256dpi/lungo/bsonkit"
	"github.com/256dpi/lungo/mongokit"
	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/internal/query"
)

// The model consists of documents in a slice, mongokit's matching, sorting and
// updating, and index keys as MongoDB's manual describes them.
//
// mongokit deviates from MongoDB in some cases, which matchDeviation and
// updateDeviation name. In these cases internal/query is the model, because it
// follows MongoDB. In all other cases internal/query and mongokit must agree, so
// that the test also finds errors in internal/query.

// tally counts events by name: which model decided a case, or how a query was
// planned.
type tally map[string]int

// matching returns the documents that match filter, in their original order. It
// returns an error if the models disagree.
func matching(filter bson.D, docs []bson.D, count tally) ([]bson.D, error) {
	compiled, err := compile(filter)
	if err != nil {
		return nil, err
	}
	var list []bson.D
	for _, doc := range docs {
		got, err := compiled.Match(doc)
		if err != nil {
			return nil, err
		}
		reason := matchDeviation(filter, doc)
		if reason == "" {
			want, err := mongokit.Match(&doc, &filter)
			if err != nil {
				return nil, fmt.Errorf("mongokit: match %s: %w", extJSON(filter), err)
			}
			if got != want {
				return nil, fmt.Errorf("match %s with %s: internal/query returns %v, mongokit %v", extJSON(filter), extJSON(doc), got, want)
			}
			reason = "mongokit"
		}
		count[reason]++
		if got {
			list = append(list, doc)
		}
	}
	return list, nil
}

// compile compiles a filter with internal/query.
func compile(filter bson.D) (*query.Filter, error) {
	vars, err := query.NewVars(time.Unix(0, 0), nil)
	if err != nil {
		return nil, err
	}
	return query.CompileFilter(filter, vars)
}

// matchDeviation returns why mongokit and MongoDB may disagree on whether filter
// matches doc. It returns "" if they agree.
func matchDeviation(filter, doc bson.D) string {
	for _, e := range filter {
		reason := ""
		if list, ok := e.Value.(bson.A); ok && strings.HasPrefix(e.Key, "$") {
			for _, part := range list {
				reason = cmp.Or(reason, matchDeviation(part.(bson.D), doc))
			}
		} else {
			reason = pathDeviation(e.Key, doc)
			if reason == "" {
				reason = conditionDeviation(e.Value, valueAt(doc, e.Key))
			}
		}
		if reason != "" {
			return reason
		}
	}
	return ""
}

// pathDeviation returns why mongokit and MongoDB may disagree on the values that
// path reaches in doc. They may disagree if the path leads through an array,
// because there mongokit deviates in three ways:
//
//   - mongokit collects the values into one list and drops documents without the
//     field, so that it does not distinguish null from missing;
//   - it descends into arrays in arrays; and
//   - it takes a number in a path only as an array position, not as a field name.
func pathDeviation(path string, doc bson.D) string {
	parts := strings.Split(path, ".")
	for i := 1; i < len(parts); i++ {
		if _, ok := bsonkit.Get(&doc, strings.Join(parts[:i], ".")).(bson.A); ok {
			return "a path through an array"
		}
	}
	return ""
}

// valueAt returns the value at a path that leads through no array.
func valueAt(doc bson.D, path string) any { return bsonkit.Get(&doc, path) }

// conditionDeviation returns why mongokit and MongoDB may disagree on whether the
// value v meets the condition arg.
func conditionDeviation(arg, v any) string {
	ops, ok := arg.(bson.D)
	if !ok || len(ops) == 0 || !strings.HasPrefix(ops[0].Key, "$") {
		return ""
	}
	for _, op := range ops {
		switch op.Key {
		case "$gt", "$gte", "$lt", "$lte":
			// mongokit orders NaN below all numbers. In MongoDB no number is less or
			// greater than NaN.
			if hasNaN(op.Value) || hasNaN(v) {
				return "NaN in a range"
			}
		case "$type":
			if v == bsonkit.Missing { // mongokit treats it as null
				return "the type of a missing field"
			}
		case "$all", "$elemMatch", "$size", "$not":
			if reason := operatorDeviation(op, v); reason != "" {
				return reason
			}
		}
	}
	return ""
}

// operatorDeviation is conditionDeviation for operators on arrays and $not.
func operatorDeviation(op bson.E, v any) string {
	arr, _ := v.(bson.A)
	switch op.Key {
	case "$not":
		return conditionDeviation(op.Value, v)
	case "$all":
		if slices.ContainsFunc(op.Value.(bson.A), isArray) {
			// mongokit requires that the array contains every operand, or that every
			// operand equals the array.
			return "$all of arrays"
		}
		if slices.ContainsFunc(arr, isArray) {
			return "$all over arrays in an array" // mongokit descends into the inner arrays
		}
	case "$elemMatch":
		if slices.ContainsFunc(arr, isArray) {
			return "$elemMatch over arrays in an array" // mongokit descends into the inner arrays
		}
		inner := op.Value.(bson.D)
		if len(inner) > 0 && !strings.HasPrefix(inner[0].Key, "$") {
			return "$elemMatch on fields" // mongokit accepts scalars if the field may be missing
		}
		for _, e := range arr {
			if reason := conditionDeviation(inner, e); reason != "" {
				return reason
			}
		}
	}
	return ""
}

// hasNaN reports whether v is NaN or contains it.
func hasNaN(v any) bool {
	switch v := v.(type) {
	case float64:
		return math.IsNaN(v)
	case bson.A:
		return slices.ContainsFunc(v, hasNaN)
	case bson.D:
		return slices.ContainsFunc(v, func(e bson.E) bool { return hasNaN(e.Value) })
	}
	return false
}

// sorted returns the documents in the order of spec, and the compiled spec. The
// sort is stable. It returns an error if the models disagree.
func sorted(spec bson.D, docs []bson.D) ([]bson.D, *query.Sort, error) {
	s, err := query.CompileSort(spec)
	if err != nil {
		return nil, nil, err
	}
	list := slices.Clone(docs)
	slices.SortStableFunc(list, s.Compare)
	for _, doc := range docs {
		for _, c := range s.Columns() {
			if pathDeviation(c.Path, doc) != "" { // mongokit's sort enters an array only at a numeric position
				return list, s, nil
			}
			if arr, ok := valueAt(doc, c.Path).(bson.A); ok && len(arr) == 0 {
				// MongoDB sorts an empty array before null, mongokit after documents.
				return list, s, nil
			}
		}
	}
	refs := make(bsonkit.List, len(docs))
	for i := range docs {
		refs[i] = &docs[i]
	}
	other, err := mongokit.Sort(refs, &spec)
	if err != nil {
		return nil, nil, err
	}
	for i := range list {
		if bsonkit.Compare(list[i], *other[i]) != 0 {
			return nil, nil, fmt.Errorf("position %d of the sorted documents: internal/query returns %s, mongokit %s", i, extJSON(list[i]), extJSON(*other[i]))
		}
	}
	return list, s, nil
}

// updated returns doc after the update u. It returns errModelsDisagree if the
// models disagree, and another error if the update must be refused.
func updated(u, filter, doc bson.D, inserting bool, count tally) (bson.D, error) {
	f, err := compile(filter)
	if err != nil {
		return nil, err
	}
	vars, err := query.NewVars(time.Unix(0, 0), nil)
	if err != nil {
		return nil, err
	}
	compiled, err := query.CompileUpdate(u, nil, vars)
	if err != nil {
		return nil, err
	}
	out, err := compiled.Apply(doc, f, inserting)
	if compiled.Kind() != query.OperatorUpdate {
		return out, err
	}
	if reason := updateDeviation(u, doc); reason != "" {
		count["update: "+reason]++
		return out, err
	}
	count["update: mongokit"]++
	other := *bsonkit.Clone(&doc)
	if _, otherErr := mongokit.Apply(&other, &filter, &u, inserting, nil); (err != nil) != (otherErr != nil) {
		return nil, fmt.Errorf("%w: update %s of %s: internal/query returns the error %v, mongokit %v", errModelsDisagree, extJSON(u), extJSON(doc), err, otherErr)
	}
	if err == nil && !same(withSortedFields(out), withSortedFields(other)) {
		return nil, fmt.Errorf("%w: update %s of %s: internal/query returns %s, mongokit %s", errModelsDisagree, extJSON(u), extJSON(doc), extJSON(out), extJSON(other))
	}
	return out, err
}

// upserted returns the document that an upsert inserts if no document matches. It
// returns errNoID if the statement does not determine the document's _id,
// errModelsDisagree if the models disagree, and another error if the statement
// must be refused.
func upserted(s statement, count tally) (bson.D, error) {
	f, err := compile(s.filter)
	if err != nil {
		return nil, err
	}
	base, err := query.UpsertBase(f)
	if err != nil {
		return nil, err
	}
	doc, err := updated(s.update, s.filter, base, true, count)
	if err != nil {
		return nil, err
	}
	if len(doc) == 0 || doc[0].Key != "_id" {
		return nil, errNoID
	}
	if isArray(doc[0].Value) {
		return nil, errors.New("the _id must not be an array")
	}
	return doc, nil
}

var errNoID = errors.New("the document has no _id")

var errModelsDisagree = errors.New("the models disagree")

// updateDeviation returns why mongokit and MongoDB may disagree on the outcome of
// an update. It returns "" if they agree.
func updateDeviation(u, doc bson.D) string {
	for _, op := range u {
		for _, e := range op.Value.(bson.D) {
			switch {
			case op.Key == "$rename" && pathDeviation(e.Key, doc) != "":
				return "$rename through an array" // an error in MongoDB, ignored by mongokit
			case (op.Key == "$inc" || op.Key == "$mul") && (isLarge(e.Value) || isLarge(valueAt(doc, e.Key))):
				return "an overflow" // an error in MongoDB, but not in mongokit
			case op.Key == "$addToSet" && len(eachOperands(e.Value)) == 0 && lookup(bson.D{e}, e.Key, "$each") != nil:
				return "$addToSet of nothing" // MongoDB checks the path, mongokit does not
			}
		}
	}
	return ""
}

// isLarge reports whether v is an int64 that a double may not represent exactly.
func isLarge(v any) bool {
	n, _ := v.(int64)
	return n == math.MinInt64 || max(n, -n) >= 1<<53-1
}

// eachOperands returns the operands of the modifier $each, nil if there is none.
func eachOperands(arg any) bson.A {
	d, _ := arg.(bson.D)
	list, _ := lookup(d, "$each").(bson.A)
	return list
}

// withSortedFields returns v with the fields of all documents sorted by name. An
// update adds fields in the order of their paths in MongoDB, but in the order of
// the update in mongokit.
func withSortedFields(v any) any {
	switch v := v.(type) {
	case bson.D:
		d := make(bson.D, len(v))
		for i, e := range v {
			d[i] = bson.E{Key: e.Key, Value: withSortedFields(e.Value)}
		}
		slices.SortFunc(d, func(a, b bson.E) int { return strings.Compare(a.Key, b.Key) })
		return d
	case bson.A:
		a := make(bson.A, len(v))
		for i, e := range v {
			a[i] = withSortedFields(e)
		}
		return a
	}
	return v
}

// same reports whether a and b have the same BSON encoding.
func same(a, b any) bool {
	x, errX := bson.Marshal(bson.D{{Key: "v", Value: a}})
	y, errY := bson.Marshal(bson.D{{Key: "v", Value: b}})
	return errX == nil && errY == nil && bytes.Equal(x, y)
}
