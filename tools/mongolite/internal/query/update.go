package query

// Updates: https://www.mongodb.com/docs/manual/reference/command/update/#update-statement and
// https://www.mongodb.com/docs/manual/tutorial/update-documents-with-aggregation-pipeline/

import (
	"cmp"
	"slices"
	"strings"

	"github.com/256dpi/lungo/bsonkit"
	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/internal/mongoerr"
)

// UpdateKind is the kind of an update.
type UpdateKind int

// Kinds of updates.
const (
	OperatorUpdate    UpdateKind = iota // a document of update operators
	ReplacementUpdate                   // a replacement document
	PipelineUpdate                      // an aggregation pipeline
)

// Update is a compiled update.
type Update struct {
	kind        UpdateKind
	changes     []change           // of an OperatorUpdate, sorted by path
	filters     map[string]*Filter // array filters by identifier
	replacement bson.D             // of a ReplacementUpdate
	stages      []stage            // of a PipelineUpdate
}

// change is the application of one operator to one path. The path may contain
// positional operators.
type change struct {
	op       string
	path     []string
	modify   modifier // nil for $rename
	renameTo []string // nil except for $rename
}

// CompileUpdate compiles an update. A bson.A is a pipeline. A bson.D is a
// document of operators if its first field begins with '$', and otherwise a
// replacement, which may be empty.
func CompileUpdate(u any, arrayFilters bson.A, vars *Vars) (*Update, error) {
	if err := CheckValue(u); err != nil {
		return nil, err
	}
	if err := CheckValue(arrayFilters); err != nil {
		return nil, err
	}
	out := &Update{}
	var err error
	switch u := u.(type) {
	case bson.A:
		out.kind = PipelineUpdate
		err = out.compilePipeline(u, vars)
	case bson.D:
		out.kind = ReplacementUpdate
		if len(u) > 0 && strings.HasPrefix(u[0].Key, "$") {
			out.kind = OperatorUpdate
			return out, out.compileOperators(u, arrayFilters, vars)
		}
		err = out.compileReplacement(u)
	default:
		err = mongoerr.New(mongoerr.FailedToParse, "Update argument must be either an object or an array")
	}
	if err == nil && len(arrayFilters) > 0 {
		err = mongoerr.New(mongoerr.FailedToParse, "Cannot specify arrayFilters with a %s-style update", out.kind)
	}
	return out, err
}

// String returns the name of the kind, as error messages show it.
func (k UpdateKind) String() string {
	switch k {
	case OperatorUpdate:
		return "operator"
	case ReplacementUpdate:
		return "replacement"
	case PipelineUpdate:
	}
	return "pipeline"
}

// Kind returns the kind of the update.
func (u *Update) Kind() UpdateKind { return u.kind }

// Apply returns the updated document, with _id as its first field. It does not
// modify doc.
//
// The filter f is the one that matched doc. It resolves the positional operator
// $, and may be nil if the update does not use that operator. The argument
// inserting reports whether an upsert inserts the document. Only then does
// $setOnInsert have an effect. Apply returns ImmutableField if the update
// changes the _id of doc. It may add an _id if doc has none.
func (u *Update) Apply(doc bson.D, f *Filter, inserting bool) (bson.D, error) {
	out, err := u.apply(doc, f, inserting)
	if err != nil {
		return nil, err
	}
	before, after := field(doc, "_id"), field(out, "_id")
	switch {
	case before == bsonkit.Missing:
	case after == bsonkit.Missing && u.kind != OperatorUpdate:
		out = setField(out, "_id", before)
	case after == bsonkit.Missing, bsonkit.Compare(before, after) != 0:
		if u.kind == OperatorUpdate {
			return nil, mongoerr.New(mongoerr.ImmutableField, "Performing an update on the path '_id' would modify the immutable field '_id'")
		}
		return nil, mongoerr.New(mongoerr.ImmutableField, "After applying the update, the (immutable) field '_id' was found to have been altered to _id: %s", describe(after))
	}
	return idFirst(out), checkValue(out, 0)
}

func (u *Update) apply(doc bson.D, f *Filter, inserting bool) (bson.D, error) {
	switch u.kind {
	case ReplacementUpdate:
		return slices.Clone(u.replacement), nil
	case PipelineUpdate:
		for _, s := range u.stages {
			var err error
			if doc, err = s.mapDoc(doc); err != nil {
				return nil, err
			}
		}
		return doc, nil
	case OperatorUpdate:
	}
	out := any(doc)
	for i := range u.changes {
		c := &u.changes[i]
		if c.op == "$setOnInsert" && !inserting {
			continue
		}
		var err error
		if out, err = u.applyChange(out, c, doc, f); err != nil {
			return nil, err
		}
	}
	return out.(bson.D), nil
}

// applyChange returns out with one change applied. The original document doc and
// the filter f resolve positional operators.
func (u *Update) applyChange(out any, c *change, doc bson.D, f *Filter) (any, error) {
	if c.renameTo != nil {
		return rename(out, c.path, c.renameTo)
	}
	paths, err := u.resolvePath(out, c.path, 0, doc, f)
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		old := get(out, path)
		v, err := c.modify(old)
		if err != nil {
			return nil, withPath(err, path)
		}
		if v == bsonkit.Missing && old == bsonkit.Missing {
			continue
		}
		if out, err = put(out, path, v); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// withPath adds the path of the field to the error of an operator.
func withPath(err error, path []string) error {
	e := mongoerr.From(err)
	return mongoerr.New(e.Code, "%s, at the path '%s'", e.Message, strings.Join(path, "."))
}

func (u *Update) compileReplacement(d bson.D) error {
	for _, e := range d {
		if strings.HasPrefix(e.Key, "$") {
			return mongoerr.New(mongoerr.DollarPrefixedFieldName, "The dollar ($) prefixed field '%s' in '%s' is not allowed in the context of an update's replacement document.", e.Key, e.Key)
		}
	}
	u.replacement = d
	return nil
}

func (u *Update) compilePipeline(stages bson.A, vars *Vars) error {
	for _, v := range stages {
		name, spec, err := stageSpec(v)
		if err != nil {
			return err
		}
		s, err := compileStage(name, spec, vars)
		if err != nil {
			return err
		}
		if s.mapDoc == nil {
			return mongoerr.New(mongoerr.InvalidOptions, "%s is not allowed to be used within an update", name)
		}
		u.stages = append(u.stages, s)
	}
	return nil
}

func (u *Update) compileOperators(d bson.D, arrayFilters bson.A, vars *Vars) error {
	if err := u.compileArrayFilters(arrayFilters, vars); err != nil {
		return err
	}
	for _, e := range d {
		compile := modifierFor(e.Key)
		if compile == nil && e.Key != "$rename" {
			return mongoerr.New(mongoerr.FailedToParse, "Unknown modifier: %s. Expected a valid update modifier or pipeline-style update specified as an array", e.Key)
		}
		fields, ok := e.Value.(bson.D)
		if !ok {
			return mongoerr.New(mongoerr.FailedToParse, "Modifiers operate on fields but we found type %s instead. For example: {$mod: {<field>: ...}} not {%s: ...}", typeName(e.Value), e.Key)
		}
		for _, f := range fields {
			c, err := u.compileChange(e.Key, f.Key, f.Value, compile, vars)
			if err != nil {
				return err
			}
			u.changes = append(u.changes, c)
		}
	}
	if err := checkConflicts(u.changes); err != nil {
		return err
	}
	slices.SortStableFunc(u.changes, func(a, b change) int { return slices.CompareFunc(a.path, b.path, comparePart) })
	return u.checkFilterUse(d)
}

// comparePart compares parts of paths in the order in which MongoDB applies
// changes. It compares array indexes as numbers and all other parts as text.
func comparePart(a, b string) int {
	x, xIsIndex := parseIndex(a)
	y, yIsIndex := parseIndex(b)
	if xIsIndex && yIsIndex {
		return cmp.Compare(x, y)
	}
	return strings.Compare(a, b)
}

// compileChange compiles {op: {name: arg}}.
func (u *Update) compileChange(op, name string, arg any, compile modifierCompiler, vars *Vars) (change, error) {
	path, err := u.parseUpdatePath(name)
	if err != nil {
		return change{}, err
	}
	c := change{op: op, path: path}
	if op == "$rename" {
		c.renameTo, err = parseRename(name, arg)
		return c, err
	}
	c.modify, err = compile(op, arg, vars)
	return c, err
}

// parseUpdatePath splits the path of a change at the dots and validates its
// parts.
func (u *Update) parseUpdatePath(name string) ([]string, error) {
	path := strings.Split(name, ".")
	for i, part := range path {
		switch {
		case part == "" || strings.Contains(part, "\x00"):
			return nil, mongoerr.New(mongoerr.EmptyFieldName, "The update path '%s' contains an empty field name, which is not allowed.", name)
		case !isPositional(part):
			if strings.HasPrefix(part, "$") {
				return nil, mongoerr.New(mongoerr.DollarPrefixedFieldName, "The dollar ($) prefixed field '%s' in '%s' is not allowed in the context of an update.", part, name)
			}
		case i == 0:
			return nil, mongoerr.New(mongoerr.BadValue, "Cannot have positional (i.e. '$') element in the first position in path '%s'", name)
		case part == "$" && slices.Contains(path[i+1:], "$"):
			return nil, mongoerr.New(mongoerr.BadValue, "Too many positional (i.e. '$') elements found in path '%s'", name)
		case part != "$" && !strings.HasSuffix(part, "]"):
			return nil, mongoerr.New(mongoerr.BadValue, "malformed positional element '%s' in path '%s'", part, name)
		case part != "$" && part != "$[]" && u.filters[identifier(part)] == nil:
			return nil, mongoerr.New(mongoerr.BadValue, "No array filter found for identifier '%s' in path '%s'", identifier(part), name)
		}
	}
	return path, nil
}

// checkConflicts returns ConflictingUpdateOperators if two changes have the same
// path, or if the path of one is a prefix of the path of the other.
func checkConflicts(changes []change) error {
	var paths [][]string
	for _, c := range changes {
		own := [][]string{c.path}
		if c.renameTo != nil {
			own = append(own, c.renameTo)
		}
		for _, path := range own {
			for _, other := range paths {
				if overlap(path, other) {
					short := path[:min(len(path), len(other))]
					return mongoerr.New(mongoerr.ConflictingUpdateOperators, "Updating the path '%s' would create a conflict at '%s'",
						strings.Join(path, "."), strings.Join(short, "."))
				}
			}
			paths = append(paths, path)
		}
	}
	return nil
}
