package query

// Filters: https://www.mongodb.com/docs/manual/reference/operator/query/

import (
	"slices"
	"strings"

	"github.com/256dpi/lungo/bsonkit"
	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/internal/mongoerr"
)

// Filter decides which documents a statement is about.
type Filter struct {
	source bson.D
	root   *node
}

// node is a part of a filter: a combination of others ("$and", "$or", "$nor"),
// a test of a whole document (no path), or one of the values at a path.
type node struct {
	op    string
	kids  []*node
	path  []string
	arg   any                     // of "$eq", for upserts
	whole bool                    // an array at the path's end is tested only as a whole
	test  func(any) (bool, error) // of a value; of the document if there is no path
}

// CompileFilter validates and compiles f; a nil or empty f matches everything.
// An operator that does not exist returns BadValue, one that this server has
// not NotImplemented.
func CompileFilter(f bson.D, vars *Vars) (*Filter, error) {
	if err := CheckValue(f); err != nil {
		return nil, err
	}
	root, err := (&filterCompiler{vars: vars}).document(f)
	if err != nil {
		return nil, err
	}
	return &Filter{source: f, root: root}, nil
}

// Match reports whether the filter selects doc.
func (f *Filter) Match(doc bson.D) (bool, error) { return f.root.match(doc) }

// Source returns the filter as it was given.
func (f *Filter) Source() bson.D { return f.source }

// UpsertBase returns the document an upsert starts from: the fields that the
// filter holds equal to a value, _id first. A field that is set twice returns
// NotSingleValueField.
func UpsertBase(f *Filter) (bson.D, error) {
	base := any(bson.D{})
	var set [][]string
	for _, n := range f.root.equalities(nil) {
		for _, other := range set {
			if overlap(n.path, other) {
				return nil, mongoerr.New(mongoerr.NotSingleValueField,
					"cannot infer query fields to set, path '%s' is matched twice", strings.Join(n.path, "."))
			}
		}
		set = append(set, n.path)
		var err error
		if base, err = put(base, n.path, n.arg); err != nil {
			return nil, err
		}
	}
	return idFirst(base.(bson.D)), nil
}

// overlap reports whether one path is the other or leads to it.
func overlap(a, b []string) bool {
	n := min(len(a), len(b))
	return slices.Equal(a[:n], b[:n])
}

// idFirst moves a document's _id to its front.
func idFirst(doc bson.D) bson.D {
	i := slices.IndexFunc(doc, func(e bson.E) bool { return e.Key == "_id" })
	if i <= 0 {
		return doc
	}
	return append(bson.D{doc[i]}, setField(doc, "_id", bsonkit.Missing)...)
}

func (n *node) match(v any) (bool, error) {
	switch n.op {
	case "$and", "$or", "$nor":
		for _, kid := range n.kids {
			ok, err := kid.match(v)
			if err != nil {
				return false, err
			}
			if ok != (n.op == "$and") {
				return n.op == "$or", nil
			}
		}
		return n.op != "$or", nil
	}
	if n.path == nil {
		return n.test(v)
	}
	var err error
	found := walk(v, n.path, !n.whole, func(e any) (ok bool) {
		if err == nil {
			ok, err = n.test(e)
		}
		return ok
	})
	return found, err
}

// matchElement tests one element of an array with the operators that stand in
// $elemMatch or $pull; unlike match it does not enter the element.
func (n *node) matchElement(e any) (bool, error) {
	if n.test != nil {
		return n.test(e)
	}
	for _, kid := range n.kids {
		ok, err := kid.matchElement(e)
		if err != nil {
			return false, err
		}
		if ok != (n.op == "$and") {
			return n.op == "$or", nil
		}
	}
	return n.op != "$or", nil
}

// equalities appends the tests for equality that hold for every match.
func (n *node) equalities(to []*node) []*node {
	switch {
	case n.op == "$eq":
		return append(to, n)
	case n.op == "$and", n.op == "$or" && len(n.kids) == 1:
		for _, kid := range n.kids {
			to = kid.equalities(to)
		}
	}
	return to
}

// roots appends the first parts of all paths.
func (n *node) roots(to []string) []string {
	for _, kid := range n.kids {
		to = kid.roots(to)
	}
	if len(n.path) > 0 {
		to = append(to, n.path[0])
	}
	return to
}

// touches reports whether a test reads path or something below it.
func (n *node) touches(path []string) bool {
	if len(n.path) >= len(path) && slices.Equal(n.path[:len(path)], path) {
		return true
	}
	return slices.ContainsFunc(n.kids, func(kid *node) bool { return kid.touches(path) })
}

// element returns the index of the element of the array at path by which doc
// matched, as the positional $ means it: where several conditions read the
// array, the last one decides.
func (f *Filter) element(doc bson.D, path []string) (int, bool) {
	arr, _ := get(doc, path).(bson.A)
	n := f.root
	for n != nil && n.op == "$and" {
		kids := n.kids
		n = nil
		for _, kid := range kids {
			if kid.touches(path) {
				n = kid
			}
		}
	}
	if n == nil || n.op == "$nor" || !n.touches(path) {
		return 0, false
	}
	for i, e := range arr {
		alone, err := put(doc, path, bson.A{e})
		if err != nil {
			return 0, false
		}
		if ok, err := n.match(alone); ok && err == nil {
			return i, true
		}
	}
	return 0, false
}
