package query

// Projections of find and of the stages $project, $addFields and $unset:
// https://www.mongodb.com/docs/manual/reference/method/db.collection.find/#projection and
// https://www.mongodb.com/docs/manual/reference/operator/aggregation/project/

import (
	"slices"
	"strings"

	"github.com/256dpi/lungo/bsonkit"
	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/internal/mongoerr"
)

// Projection is a compiled projection of a find.
type Projection struct{ shape *shape }

// CompileProjection compiles the projection of a find. A nil or empty p leaves
// documents unchanged. CompileProjection returns an error with code 31253 or
// 31254 if p mixes inclusions and exclusions.
func CompileProjection(p bson.D, vars *Vars) (*Projection, error) {
	if len(p) == 0 {
		return &Projection{}, nil
	}
	s, err := compileShape(p, vars, findShape)
	return &Projection{shape: s}, err
}

// Apply returns the projection of doc.
func (p *Projection) Apply(doc bson.D) (bson.D, error) {
	if p.shape == nil {
		return doc, nil
	}
	return p.shape.apply(doc)
}

// shape is the tree of a projection. A projection has two steps. The first
// keeps, drops or transforms the existing fields of a document, in the order of
// the document. The second adds computed fields, in the order of the
// projection. Both steps apply to the documents in an array as well.
type shape struct {
	keepsOthers bool             // keeps fields that the projection does not name
	hasComputed bool             // a field here or below is computed
	names       []string         // the fields, in the order of the projection
	parts       map[string]*part // by field
}

// part describes how a projection treats one field. At most one of its members
// is set. If none is set, the projection drops the field.
type part struct {
	include   bool
	transform func(any) (any, error)
	compute   expr
	sub       *shape
}

// shapeKind identifies where a projection appears, which determines the
// operators that it supports.
type shapeKind int

const (
	findShape    shapeKind = iota // find
	projectShape                  // $project, which lacks the $slice and $elemMatch of find
	fieldsShape                   // $addFields, in which every value is an expression
)

func (s *shape) apply(doc bson.D) (bson.D, error) {
	v, err := s.project(doc)
	if err != nil {
		return nil, err
	}
	if s.hasComputed {
		v, err = s.compute(v, newScope(doc))
	}
	out, _ := v.(bson.D)
	return out, err
}

// project is the first step of a projection. For a value that is neither a
// document nor an array, it returns v, or Missing in an inclusion.
func (s *shape) project(v any) (any, error) {
	switch v := v.(type) {
	case bson.D:
		return s.projectDoc(v)
	case bson.A:
		out := make(bson.A, 0, len(v))
		for _, e := range v {
			p, err := s.project(e)
			if err != nil {
				return nil, err
			}
			if p != bsonkit.Missing {
				out = append(out, p)
			}
		}
		return out, nil
	}
	if s.keepsOthers {
		return v, nil
	}
	return bsonkit.Missing, nil
}

func (s *shape) projectDoc(doc bson.D) (any, error) {
	out := make(bson.D, 0, len(doc))
	for _, e := range doc {
		part, named := s.parts[e.Key]
		v, err := e.Value, error(nil)
		switch {
		case !named || part.compute != nil:
			if !s.keepsOthers {
				v = bsonkit.Missing
			}
		case part.include:
		case part.sub != nil:
			v, err = part.sub.project(v)
		case part.transform != nil:
			v, err = part.transform(v)
		default:
			v = bsonkit.Missing
		}
		if err != nil {
			return nil, err
		}
		if v != bsonkit.Missing {
			out = append(out, bson.E{Key: e.Key, Value: v})
		}
	}
	return out, nil
}

// compute is the second step of a projection. It replaces a value that is
// neither a document nor an array with a new document.
func (s *shape) compute(v any, at *scope) (any, error) {
	if arr, ok := v.(bson.A); ok {
		out := make(bson.A, len(arr))
		for i, e := range arr {
			var err error
			if out[i], err = s.compute(e, at); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	doc, _ := v.(bson.D)
	if doc == nil {
		doc = bson.D{}
	}
	for _, name := range s.names {
		part := s.parts[name]
		var value any
		var err error
		switch {
		case part.compute != nil:
			value, err = part.compute(at)
		case part.sub != nil && part.sub.hasComputed:
			value, err = part.sub.compute(field(doc, name), at)
		default:
			continue
		}
		if err != nil {
			return nil, err
		}
		doc = setField(doc, name, value)
	}
	return doc, nil
}

// leaf is one leaf in the document of a projection.
type leaf struct {
	path []string
	part part
}

// shapeCompiler collects the leaves of a projection.
type shapeCompiler struct {
	kind   shapeKind
	vars   *Vars
	leaves []leaf
	// The kinds of leaves seen so far. An _id that is included or excluded as a
	// whole does not count.
	hasInclusion, hasExclusion, hasElemMatch, hasComputed bool
	id                                                    *part // an _id that is included or excluded as a whole
}

// compileShape compiles a projection. It returns an error if p is empty.
func compileShape(p bson.D, vars *Vars, kind shapeKind) (*shape, error) {
	if err := CheckValue(p); err != nil {
		return nil, err
	}
	if len(p) == 0 {
		if kind == fieldsShape {
			return nil, mongoerr.New(40177, "specification must have at least one field")
		}
		return nil, mongoerr.New(51272, "projection specification must have at least one field")
	}
	c := &shapeCompiler{kind: kind, vars: vars}
	if err := c.collect(nil, p); err != nil {
		return nil, err
	}
	if c.hasExclusion && c.hasComputed {
		return nil, mongoerr.New(31252, "Cannot use expression other than $meta in exclusion projection")
	}
	inclusion := c.hasInclusion || c.hasElemMatch || c.hasComputed || !c.hasExclusion && c.id != nil && c.id.include
	keepsOthers := kind == fieldsShape || !inclusion || c.hasExclusion
	root := newShape(keepsOthers)
	for _, l := range c.leaves {
		if err := root.insert(l.path, &l.part, strings.Join(l.path, ".")); err != nil {
			return nil, err
		}
	}
	_, named := root.parts["_id"]
	switch {
	case c.id != nil && named:
		return nil, mongoerr.New(mongoerr.PathCollision, "Path collision at _id")
	case c.id != nil:
		root.parts["_id"] = c.id
	case !named && !keepsOthers:
		root.parts["_id"] = &part{include: true}
	}
	return root, nil
}

func newShape(keepsOthers bool) *shape {
	return &shape{keepsOthers: keepsOthers, parts: map[string]*part{}}
}

// insert adds a leaf at path. It returns PathCollision if another leaf is at the
// same path, above it or below it. The parameter full is the complete path of
// the leaf, for the error.
func (s *shape) insert(path []string, p *part, full string) error {
	s.hasComputed = s.hasComputed || p.compute != nil
	old := s.parts[path[0]]
	if old != nil && (len(path) == 1 || old.sub == nil) {
		return mongoerr.New(mongoerr.PathCollision, "Path collision at %s remaining portion %s", full, strings.Join(path, "."))
	}
	if old == nil {
		s.names = append(s.names, path[0])
	}
	if len(path) == 1 {
		s.parts[path[0]] = p
		return nil
	}
	if old == nil {
		old = &part{sub: newShape(s.keepsOthers)}
		s.parts[path[0]] = old
	}
	return old.sub.insert(path[1:], p, full)
}

// collect adds the leaves of d, the part of the projection at the path prefix.
func (c *shapeCompiler) collect(prefix []string, d bson.D) error {
	for _, e := range d {
		if e.Key == "$" || strings.HasSuffix(e.Key, ".$") {
			return mongoerr.Unsupported("the positional projection '%s'", e.Key)
		}
		parts, err := parseFieldPath(e.Key)
		if err != nil {
			return err
		}
		if c.kind == fieldsShape && len(prefix) > 0 && len(parts) > 1 {
			return mongoerr.New(40183, "cannot use dotted field name '%s' in a sub object", e.Key)
		}
		path := slices.Concat(prefix, parts)
		if sub, ok := e.Value.(bson.D); ok && (len(sub) == 0 || !strings.HasPrefix(sub[0].Key, "$")) {
			if len(sub) == 0 {
				return mongoerr.New(40180, "an empty object is not a valid value. Found empty object at path %s", strings.Join(path, "."))
			}
			err = c.collect(path, sub)
		} else {
			err = c.addLeaf(path, e.Value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *shapeCompiler) addLeaf(path []string, v any) error {
	if c.kind != fieldsShape {
		switch v := v.(type) {
		case bool, int32, int64, float64:
			return c.addChoice(path, truthy(v))
		case bson.D:
			if done, err := c.addFindOperator(path, v); done || err != nil {
				return err
			}
		default:
			if isNumber(v) {
				return c.addChoice(path, truthy(v))
			}
		}
	}
	ex, err := compileExpr(v, c.vars)
	c.hasComputed = true
	c.leaves = append(c.leaves, leaf{path, part{compute: ex}})
	return err
}

// addChoice includes or excludes a field. It returns an error if the other
// fields make the opposite choice, unless the field is _id.
func (c *shapeCompiler) addChoice(path []string, include bool) error {
	name := strings.Join(path, ".")
	switch {
	case name == "_id":
		if c.id != nil {
			return mongoerr.New(mongoerr.PathCollision, "Path collision at _id")
		}
		c.id = &part{include: include}
		return nil
	case include && c.hasExclusion:
		return mongoerr.New(31253, "Cannot do inclusion on field %s in exclusion projection", name)
	case !include && (c.hasInclusion || c.hasElemMatch):
		return mongoerr.New(mongoerr.ProjectionMixed, "Cannot do exclusion on field %s in inclusion projection", name)
	}
	c.hasInclusion, c.hasExclusion = c.hasInclusion || include, c.hasExclusion || !include
	c.leaves = append(c.leaves, leaf{path, part{include: include}})
	return nil
}

// addFindOperator adds v if it is an operator that only a find has. It reports
// whether v is one.
func (c *shapeCompiler) addFindOperator(path []string, v bson.D) (bool, error) {
	switch op, arg := v[0].Key, v[0].Value; {
	case op == "$meta":
		return true, mongoerr.Unsupported("the projection operator $meta")
	case c.kind != findShape || len(v) != 1:
	case op == "$slice" && isFindSlice(arg):
		return true, c.addSlice(path, arg)
	case op == "$elemMatch":
		return true, c.addElemMatch(path, arg)
	}
	return false, nil
}

// isFindSlice reports whether arg is the argument of the $slice of a find, which
// is n or [skip, n]. Otherwise $slice is the expression {$slice: [array, n]}.
func isFindSlice(arg any) bool {
	list := asList(arg)
	return len(list) > 0 && isNumber(list[0])
}

func (c *shapeCompiler) addSlice(path []string, arg any) error {
	list := asList(arg)
	nums := make([]int64, len(list))
	for i, v := range list {
		if !isNumber(v) {
			return mongoerr.New(28724, "$slice in a projection requires a number or an array of two numbers")
		}
		nums[i], _ = wholeNumber(roundTo(v, 0, false))
	}
	_, pair := arg.(bson.A)
	if pair && (len(nums) != 2 || nums[1] <= 0) {
		return mongoerr.New(28724, "$slice in a projection requires [skip, limit] with a positive limit")
	}
	c.leaves = append(c.leaves, leaf{path, part{transform: func(v any) (any, error) {
		arr, ok := v.(bson.A)
		switch {
		case !ok:
			return v, nil
		case pair:
			return sliceOf(arr, &nums[0], nums[1]), nil
		}
		return sliceOf(arr, nil, nums[0]), nil
	}}})
	return nil
}

func (c *shapeCompiler) addElemMatch(path []string, arg any) error {
	cond, ok := arg.(bson.D)
	switch {
	case !ok:
		return mongoerr.New(mongoerr.BadValue, "elemMatch: Invalid argument, object required, but got %s", typeName(arg))
	case len(path) > 1:
		return mongoerr.New(mongoerr.BadValue, "Cannot use $elemMatch projection on a nested field: %s", strings.Join(path, "."))
	case c.hasExclusion:
		return mongoerr.New(31253, "Cannot do inclusion on field %s in exclusion projection", path[0])
	}
	match, err := (&filterCompiler{vars: c.vars}).element(cond)
	c.hasElemMatch = true
	c.leaves = append(c.leaves, leaf{path, part{transform: func(v any) (any, error) {
		arr, _ := v.(bson.A)
		for _, e := range arr {
			if ok, err := match(e); ok || err != nil {
				return bson.A{e}, err
			}
		}
		return bsonkit.Missing, nil
	}}})
	return err
}
