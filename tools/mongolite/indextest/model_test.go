package indextest_test

import (
	"bytes"
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

// The model: documents in a slice, mongokit's matching, sorting and updating,
// and the keys of indexes as MongoDB's manual describes them.
//
// Where mongokit departs from MongoDB, internal/query follows MongoDB and is
// the model itself; deviates says where and why. Everywhere else the two have
// to agree, so that a slip of internal/query shows as well.

// tally counts how often which model decided.
type tally map[string]int

// matching returns the documents of the slice that match, in their order.
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
		reason := deviates(filter, doc)
		if reason == "" {
			want, err := mongokit.Match(&doc, &filter)
			if err != nil {
				return nil, fmt.Errorf("mongokit cannot decide %s: %w", text(filter), err)
			}
			if got != want {
				return nil, fmt.Errorf("internal/query says %v and mongokit %v to %s on %s", got, want, text(filter), text(doc))
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

func compile(filter bson.D) (*query.Filter, error) {
	vars, err := query.NewVars(time.Unix(0, 0), nil)
	if err != nil {
		return nil, err
	}
	return query.CompileFilter(filter, vars)
}

// deviates tells why mongokit cannot be asked whether filter matches doc, ""
// if it can.
func deviates(filter, doc bson.D) string {
	for _, e := range filter {
		reason := ""
		if list, ok := e.Value.(bson.A); ok && strings.HasPrefix(e.Key, "$") {
			for _, part := range list {
				reason = cmpOr(reason, deviates(part.(bson.D), doc))
			}
		} else {
			reason = pathDeviates(e.Key, doc)
			if reason == "" {
				reason = conditionDeviates(e.Value, reached(doc, e.Key))
			}
		}
		if reason != "" {
			return reason
		}
	}
	return ""
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// pathDeviates: mongokit collects what a path finds in an array of documents
// into one list and drops the documents without the field, so that it cannot
// tell null from missing there, enters arrays in arrays, and takes the number
// in a path for an index only.
func pathDeviates(path string, doc bson.D) string {
	parts := strings.Split(path, ".")
	for i := 1; i < len(parts); i++ {
		if _, ok := bsonkit.Get(&doc, strings.Join(parts[:i], ".")).(bson.A); ok {
			return "a path through an array"
		}
	}
	return ""
}

func reached(doc bson.D, path string) any { return bsonkit.Get(&doc, path) }

func conditionDeviates(arg, v any) string {
	ops, ok := arg.(bson.D)
	if !ok || len(ops) == 0 || !strings.HasPrefix(ops[0].Key, "$") {
		return ""
	}
	for _, op := range ops {
		switch op.Key {
		case "$gt", "$gte", "$lt", "$lte":
			// mongokit orders NaN below all numbers, for MongoDB no number
			// is less or greater.
			if hasNaN(op.Value) || hasNaN(v) {
				return "NaN in a range"
			}
		case "$type":
			if v == bsonkit.Missing { // mongokit takes it for a null
				return "the type of a missing field"
			}
		case "$all", "$elemMatch", "$size", "$not":
			if reason := operatorDeviates(op, v); reason != "" {
				return reason
			}
		}
	}
	return ""
}

func operatorDeviates(op bson.E, v any) string {
	arr, _ := v.(bson.A)
	switch op.Key {
	case "$not":
		return conditionDeviates(op.Value, v)
	case "$all":
		if slices.ContainsFunc(op.Value.(bson.A), isArray) {
			return "$all of arrays" // mongokit wants each in the array itself or all of them equal to it
		}
		if slices.ContainsFunc(arr, isArray) {
			return "$all over arrays in an array" // mongokit enters the inner ones
		}
	case "$elemMatch":
		if slices.ContainsFunc(arr, isArray) {
			return "$elemMatch over arrays in an array" // mongokit enters the inner ones
		}
		inner := op.Value.(bson.D)
		if len(inner) > 0 && !strings.HasPrefix(inner[0].Key, "$") {
			return "$elemMatch on fields" // mongokit lets scalars through where the field may be missing
		}
		for _, e := range arr {
			if reason := conditionDeviates(inner, e); reason != "" {
				return reason
			}
		}
	}
	return ""
}

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

// sorted returns the documents in order, ties as they were.
func sorted(spec bson.D, docs []bson.D) ([]bson.D, *query.Sort, error) {
	s, err := query.CompileSort(spec)
	if err != nil {
		return nil, nil, err
	}
	list := slices.Clone(docs)
	slices.SortStableFunc(list, s.Compare)
	for _, doc := range docs {
		for _, c := range s.Columns() {
			if pathDeviates(c.Path, doc) != "" { // mongokit sorts by indexes alone there
				return list, s, nil
			}
			if arr, ok := reached(doc, c.Path).(bson.A); ok && len(arr) == 0 {
				// MongoDB sorts an empty array before null, mongokit behind documents.
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
			return nil, nil, fmt.Errorf("internal/query sorts %s to place %d and mongokit %s", text(list[i]), i, text(*other[i]))
		}
	}
	return list, s, nil
}

// changed returns what an update makes of doc.
func changed(u, filter, doc bson.D, inserting bool, count tally) (bson.D, error) {
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
	if reason := updateDeviates(u, doc); reason != "" {
		count["update: "+reason]++
		return out, err
	}
	count["update: mongokit"]++
	other := *bsonkit.Clone(&doc)
	if _, otherErr := mongokit.Apply(&other, &filter, &u, inserting, nil); (err != nil) != (otherErr != nil) {
		return nil, fmt.Errorf("%w: internal/query says %v, mongokit %v to %s on %s", errModels, err, otherErr, text(u), text(doc))
	}
	if err == nil && !same(unordered(out), unordered(other)) {
		return nil, fmt.Errorf("%w: internal/query makes %s of %s, mongokit %s", errModels, text(out), text(doc), text(other))
	}
	return out, err
}

// upserted returns the document that a statement inserts if none matches.
func upserted(s statement, count tally) (bson.D, error) {
	f, err := compile(s.filter)
	if err != nil {
		return nil, err
	}
	base, err := query.UpsertBase(f)
	if err != nil {
		return nil, err
	}
	doc, err := changed(s.update, s.filter, base, true, count)
	if err != nil {
		return nil, err
	}
	if len(doc) == 0 || doc[0].Key != "_id" {
		return nil, errNoID
	}
	if isArray(doc[0].Value) {
		return nil, errors.New("an _id may not be an array")
	}
	return doc, nil
}

var errNoID = errors.New("a document without an _id")

var errModels = errors.New("the models disagree")

// updateDeviates tells why mongokit cannot be asked for the outcome of an
// update, "" if it can.
func updateDeviates(u, doc bson.D) string {
	for _, op := range u {
		for _, e := range op.Value.(bson.D) {
			switch {
			case op.Key == "$rename" && pathDeviates(e.Key, doc) != "":
				return "$rename through an array" // an error in MongoDB, nothing in mongokit
			case (op.Key == "$inc" || op.Key == "$mul") && (large(e.Value) || large(reached(doc, e.Key))):
				return "an overflow" // an error in MongoDB, mongokit goes on
			case op.Key == "$addToSet" && len(each(e.Value)) == 0 && at(bson.D{e}, e.Key, "$each") != nil:
				return "$addToSet of nothing" // MongoDB refuses a path that cannot be, mongokit does not look
			}
		}
	}
	return ""
}

func large(v any) bool {
	n, _ := v.(int64)
	return n == math.MinInt64 || max(n, -n) >= 1<<53-1
}

func each(arg any) bson.A {
	d, _ := arg.(bson.D)
	list, _ := at(d, "$each").(bson.A)
	return list
}

// unordered returns doc with its fields by name: mongokit adds fields in the
// order of the update, MongoDB in that of their paths.
func unordered(v any) any {
	switch v := v.(type) {
	case bson.D:
		d := make(bson.D, len(v))
		for i, e := range v {
			d[i] = bson.E{Key: e.Key, Value: unordered(e.Value)}
		}
		slices.SortFunc(d, func(a, b bson.E) int { return strings.Compare(a.Key, b.Key) })
		return d
	case bson.A:
		a := make(bson.A, len(v))
		for i, e := range v {
			a[i] = unordered(e)
		}
		return a
	}
	return v
}

func same(a, b any) bool {
	x, errX := bson.Marshal(bson.D{{Key: "v", Value: a}})
	y, errY := bson.Marshal(bson.D{{Key: "v", Value: b}})
	return errX == nil && errY == nil && bytes.Equal(x, y)
}
