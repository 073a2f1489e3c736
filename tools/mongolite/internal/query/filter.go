package query

// Filters: https://www.mongodb.com/docs/manual/reference/operator/query/

import (
	"slices"
	"strings"

	"github.com/256dpi/lungo/bsonkit"
	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/internal/mongoerr"
)

// Filter is a compiled filter. It selects documents.
type Filter struct {
	source bson.D
	root   *node
}

// node is a node in the tree of a filter. It is one of three kinds: a
// combination of its children ($and, $or, $nor), a test of the whole document
// (path is nil), or a test of the values at a path.
type node struct {
	op         string
	children   []*node
	path       []string
	arg        any                     // the argument of $eq, for upserts
	wholeArray bool                    // tests an array at the end of the path but not its elements
	test       func(any) (bool, error) // tests a value, or the document if path is nil
}

// CompileFilter validates and compiles f. A nil or empty f matches every
// document. CompileFilter returns BadValue for an unknown operator, and
// NotImplemented for one that this server does not support.
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

// Source returns the document that the filter was compiled from.
func (f *Filter) Source() bson.D { return f.source }

// UpsertBase returns the document to which an upsert applies its update. It
// contains the fields that the filter requires to equal a value, with _id
// first. UpsertBase returns NotSingleValueField if two of these fields are the
// same or one contains the other.
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

// overlap reports whether a and b are equal or one is a prefix of the other.
func overlap(a, b []string) bool {
	n := min(len(a), len(b))
	return slices.Equal(a[:n], b[:n])
}

// idFirst returns doc with its _id as the first field.
func idFirst(doc bson.D) bson.D {
	i := slices.IndexFunc(doc, func(e bson.E) bool { return e.Key == "_id" })
	if i <= 0 {
		return doc
	}
	return append(bson.D{doc[i]}, setField(doc, "_id", bsonkit.Missing)...)
}

// match reports whether the document v matches the node.
func (n *node) match(v any) (bool, error) {
	switch n.op {
	case "$and", "$or", "$nor":
		for _, child := range n.children {
			ok, err := child.match(v)
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
	found := walk(v, n.path, !n.wholeArray, func(e any) (ok bool) {
		if err == nil {
			ok, err = n.test(e)
		}
		return ok
	})
	return found, err
}

// matchElement applies operators inside $elemMatch or $pull to one element of an
// array. Unlike match, it does not look at the elements of e if e is an array.
func (n *node) matchElement(e any) (bool, error) {
	if n.test != nil {
		return n.test(e)
	}
	for _, child := range n.children {
		ok, err := child.matchElement(e)
		if err != nil {
			return false, err
		}
		if ok != (n.op == "$and") {
			return n.op == "$or", nil
		}
	}
	return n.op != "$or", nil
}

// equalities appends to dst the $eq nodes that every matching document
// satisfies.
func (n *node) equalities(dst []*node) []*node {
	switch {
	case n.op == "$eq":
		return append(dst, n)
	case n.op == "$and", n.op == "$or" && len(n.children) == 1:
		for _, child := range n.children {
			dst = child.equalities(dst)
		}
	}
	return dst
}

// rootFields appends to dst the first part of every path.
func (n *node) rootFields(dst []string) []string {
	for _, child := range n.children {
		dst = child.rootFields(dst)
	}
	if len(n.path) > 0 {
		dst = append(dst, n.path[0])
	}
	return dst
}

// reads reports whether a test in the node reads path or a path below it.
func (n *node) reads(path []string) bool {
	if len(n.path) >= len(path) && slices.Equal(n.path[:len(path)], path) {
		return true
	}
	return slices.ContainsFunc(n.children, func(child *node) bool { return child.reads(path) })
}

// matchedElement returns the array index that the positional operator $ stands
// for. It is the index of the first element that satisfies the filter's
// condition on the array at path. If several conditions read the array, the last
// one decides. matchedElement reports false if there is no such element.
func (f *Filter) matchedElement(doc bson.D, path []string) (int, bool) {
	arr, _ := get(doc, path).(bson.A)
	n := f.root
	for n != nil && n.op == "$and" {
		children := n.children
		n = nil
		for _, child := range children {
			if child.reads(path) {
				n = child
			}
		}
	}
	if n == nil || n.op == "$nor" || !n.reads(path) {
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
