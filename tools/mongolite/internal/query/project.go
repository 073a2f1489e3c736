package query

// Projections: https://www.mongodb.com/docs/manual/reference/method/db.collection.find/#projection
// and the stages $project, $addFields and $unset,
// https://www.mongodb.com/docs/manual/reference/operator/aggregation/project/

import (
	"slices"
	"strings"

	"github.com/256dpi/lungo/bsonkit"
	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/internal/mongoerr"
)

// Projection shapes documents.
type Projection struct{ shape *shape }

// CompileProjection compiles the projection of a find. A nil or empty one
// changes nothing. Inclusions mixed with exclusions return 31253 or 31254.
func CompileProjection(p bson.D, vars *Vars) (*Projection, error) {
	if len(p) == 0 {
		return &Projection{}, nil
	}
	s, err := compileShape(p, vars, findShape)
	return &Projection{shape: s}, err
}

// Apply returns doc as the projection shapes it.
func (p *Projection) Apply(doc bson.D) (bson.D, error) {
	if p.shape == nil {
		return doc, nil
	}
	return p.shape.apply(doc)
}

// shape is the tree of a projection. First the document's own fields are kept,
// dropped or transformed, in their order; then fields are computed, in the
// projection's order. Both reach through arrays.
type shape struct {
	keep     bool // the fields that are not named
	computes bool
	names    []string
	parts    map[string]*part
}

// part is what happens to a field: one of the members is set; none of them
// drops the field.
type part struct {
	include   bool
	transform func(any) (any, error)
	compute   expr
	sub       *shape
}

type shapeKind int

const (
	findShape    shapeKind = iota
	projectShape           // $project: without find's $slice and $elemMatch
	fieldsShape            // $addFields: everything is an expression
)

func (s *shape) apply(doc bson.D) (bson.D, error) {
	v, err := s.project(doc)
	if err != nil {
		return nil, err
	}
	if s.computes {
		v, err = s.compute(v, newScope(doc))
	}
	out, _ := v.(bson.D)
	return out, err
}

// project is the first step; a value that is neither document nor array has no
// fields to include.
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
	if s.keep {
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
			if !s.keep {
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

// compute is the second step; a value that can hold no field gives way to a
// document.
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
		case part.sub != nil && part.sub.computes:
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

// entry is one leaf of a projection's document.
type entry struct {
	path []string
	part part
}

type shapeCompiler struct {
	kind    shapeKind
	vars    *Vars
	entries []entry
	// What the leaves other than _id ask for; the first of both decides.
	includes, excludes, matches, computed bool
	id                                    *part // an _id included or excluded whole
}

// compileShape compiles a projection that is not empty.
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
	if c.excludes && c.computed {
		return nil, mongoerr.New(31252, "Cannot use expression other than $meta in exclusion projection")
	}
	inclusion := c.includes || c.matches || c.computed || !c.excludes && c.id != nil && c.id.include
	keep := kind == fieldsShape || !inclusion || c.excludes
	root := newShape(keep)
	for _, e := range c.entries {
		if err := root.insert(e.path, &e.part, strings.Join(e.path, ".")); err != nil {
			return nil, err
		}
	}
	_, named := root.parts["_id"]
	switch {
	case c.id != nil && named:
		return nil, mongoerr.New(mongoerr.PathCollision, "Path collision at _id")
	case c.id != nil:
		root.parts["_id"] = c.id
	case !named && !keep:
		root.parts["_id"] = &part{include: true}
	}
	return root, nil
}

func newShape(keep bool) *shape { return &shape{keep: keep, parts: map[string]*part{}} }

// insert adds a leaf; one path may not lead to or through another's end.
func (s *shape) insert(path []string, p *part, full string) error {
	s.computes = s.computes || p.compute != nil
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
		old = &part{sub: newShape(s.keep)}
		s.parts[path[0]] = old
	}
	return old.sub.insert(path[1:], p, full)
}

func (c *shapeCompiler) collect(prefix []string, d bson.D) error {
	for _, e := range d {
		if e.Key == "$" || strings.HasSuffix(e.Key, ".$") {
			return mongoerr.Unsupported("the positional projection '%s'", e.Key)
		}
		parts, err := fieldPath(e.Key)
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
			err = c.leaf(path, e.Value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *shapeCompiler) leaf(path []string, v any) error {
	if c.kind != fieldsShape {
		switch v := v.(type) {
		case bool, int32, int64, float64:
			return c.choose(path, truthy(v))
		case bson.D:
			if done, err := c.findOperator(path, v); done || err != nil {
				return err
			}
		default:
			if isNumber(v) {
				return c.choose(path, truthy(v))
			}
		}
	}
	ex, err := compileExpr(v, c.vars)
	c.computed = true
	c.entries = append(c.entries, entry{path, part{compute: ex}})
	return err
}

// choose includes or excludes a field. Only _id may differ from the rest.
func (c *shapeCompiler) choose(path []string, include bool) error {
	name := strings.Join(path, ".")
	switch {
	case name == "_id":
		if c.id != nil {
			return mongoerr.New(mongoerr.PathCollision, "Path collision at _id")
		}
		c.id = &part{include: include}
		return nil
	case include && c.excludes:
		return mongoerr.New(31253, "Cannot do inclusion on field %s in exclusion projection", name)
	case !include && (c.includes || c.matches):
		return mongoerr.New(mongoerr.ProjectionMixed, "Cannot do exclusion on field %s in inclusion projection", name)
	}
	c.includes, c.excludes = c.includes || include, c.excludes || !include
	c.entries = append(c.entries, entry{path, part{include: include}})
	return nil
}

// findOperator handles the operators that a find has besides expressions, and
// reports whether v was one.
func (c *shapeCompiler) findOperator(path []string, v bson.D) (bool, error) {
	switch op, arg := v[0].Key, v[0].Value; {
	case op == "$meta":
		return true, mongoerr.Unsupported("the projection operator $meta")
	case c.kind != findShape || len(v) != 1:
	case op == "$slice" && isFindSlice(arg):
		return true, c.slice(path, arg)
	case op == "$elemMatch":
		return true, c.elemMatch(path, arg)
	}
	return false, nil
}

// isFindSlice tells find's {$slice: n} and {$slice: [skip, n]} from the
// expression {$slice: [array, n]}.
func isFindSlice(arg any) bool {
	list := asList(arg)
	return len(list) > 0 && isNumber(list[0])
}

func (c *shapeCompiler) slice(path []string, arg any) error {
	list := asList(arg)
	nums := make([]int64, len(list))
	for i, v := range list {
		if !isNumber(v) {
			return mongoerr.New(28724, "$slice in a projection takes a number or two of them")
		}
		nums[i], _ = wholeNumber(roundTo(v, 0, false))
	}
	_, pair := arg.(bson.A)
	if pair && (len(nums) != 2 || nums[1] <= 0) {
		return mongoerr.New(28724, "$slice in a projection takes [skip, limit], with a positive limit")
	}
	c.entries = append(c.entries, entry{path, part{transform: func(v any) (any, error) {
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

func (c *shapeCompiler) elemMatch(path []string, arg any) error {
	cond, ok := arg.(bson.D)
	switch {
	case !ok:
		return mongoerr.New(mongoerr.BadValue, "elemMatch: Invalid argument, object required, but got %s", typeName(arg))
	case len(path) > 1:
		return mongoerr.New(mongoerr.BadValue, "Cannot use $elemMatch projection on a nested field: %s", strings.Join(path, "."))
	case c.excludes:
		return mongoerr.New(31253, "Cannot do inclusion on field %s in exclusion projection", path[0])
	}
	match, err := (&filterCompiler{vars: c.vars}).element(cond)
	c.matches = true
	c.entries = append(c.entries, entry{path, part{transform: func(v any) (any, error) {
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
