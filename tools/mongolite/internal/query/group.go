package query

// The stages $group and $sortByCount:
// https://www.mongodb.com/docs/manual/reference/operator/aggregation/group/

import (
	"slices"
	"strings"

	"github.com/256dpi/lungo/bsonkit"
	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/internal/mongoerr"
)

// groupSpec is a compiled $group.
type groupSpec struct {
	id     expr
	fields []groupField
}

// groupField is a field of a $group. The accumulator op computes it.
type groupField struct {
	name, op string
	value    expr
}

// groupStage compiles a $group stage. The stage yields the groups in the order
// of their first documents. It returns QueryExceededMemoryLimit if the groups
// exceed the memory limit.
func groupStage(spec any, vars *Vars) (func(Iterator) Iterator, error) {
	g, err := compileGroup(spec, vars)
	return func(in Iterator) Iterator { return gatherDocs(in, g.gather) }, err
}

// sortByCountStage compiles $sortByCount into a $group and a $sort.
func sortByCountStage(spec any, vars *Vars) (func(Iterator) Iterator, error) {
	switch s := spec.(type) {
	case string:
		if !strings.HasPrefix(s, "$") {
			return nil, mongoerr.New(40148, "the sortByCount field must be defined as a $-prefixed path or an expression inside an object")
		}
	case bson.D:
		if len(s) == 0 || !strings.HasPrefix(s[0].Key, "$") {
			return nil, mongoerr.New(40147, "the sortByCount field must be defined as a $-prefixed path or an expression inside an object")
		}
	default:
		return nil, mongoerr.New(40149, "the sortByCount field must be specified as a string or as an object")
	}
	group, err := groupStage(bson.D{{Key: "_id", Value: spec}, {Key: "count", Value: bson.D{{Key: "$sum", Value: int32(1)}}}}, vars)
	if err != nil {
		return nil, err
	}
	order, err := CompileSort(bson.D{{Key: "count", Value: int32(-1)}})
	return func(in Iterator) Iterator { return SortDocs(group(in), order, 0) }, err
}

func compileGroup(spec any, vars *Vars) (*groupSpec, error) {
	d, ok := spec.(bson.D)
	if !ok {
		return nil, mongoerr.New(15947, "a group's fields must be specified in an object")
	}
	g := &groupSpec{}
	for _, e := range d {
		var err error
		if e.Key == "_id" {
			g.id, err = compileExpr(e.Value, vars)
		} else {
			err = g.addField(e.Key, e.Value, vars)
		}
		if err != nil {
			return nil, err
		}
	}
	if g.id == nil {
		return nil, mongoerr.New(15955, "a group specification must include an _id")
	}
	return g, nil
}

// unsupportedAccumulators lists the accumulators of MongoDB that this server
// does not support.
const unsupportedAccumulators = `$accumulator $bottom $bottomN $concatArrays $firstN $lastN $maxN $median $minN $percentile
	$setUnion $stdDevPop $stdDevSamp $top $topN`

// addField compiles the field {name: v}, where v is {accumulator: argument}.
func (g *groupSpec) addField(name string, v any, vars *Vars) error {
	acc, ok := v.(bson.D)
	switch {
	case strings.Contains(name, "."):
		return mongoerr.New(40235, "The field name '%s' cannot contain '.'", name)
	case strings.HasPrefix(name, "$"):
		return mongoerr.New(40236, "The field name '%s' cannot be an operator name", name)
	case !ok:
		return mongoerr.New(40234, "The field '%s' must be an accumulator object", name)
	case len(acc) != 1:
		return mongoerr.New(40238, "The field '%s' must specify one accumulator", name)
	}
	op, arg := acc[0].Key, acc[0].Value
	switch {
	case slices.Contains(strings.Fields(unsupportedAccumulators), op):
		return mongoerr.Unsupported("the accumulator %s", op)
	case newAccumulator(op) == nil:
		return mongoerr.New(15952, "unknown group operator '%s'", op)
	case op == "$count":
		if d, ok := arg.(bson.D); !ok || len(d) != 0 {
			return mongoerr.New(mongoerr.TypeMismatch, "$count takes no arguments, i.e. $count:{}")
		}
		arg = int32(1)
	}
	if _, list := arg.(bson.A); list && op != "$push" && op != "$addToSet" {
		return mongoerr.New(40237, "The %s accumulator is a unary operator", op)
	}
	value, err := compileExpr(arg, vars)
	g.fields = append(g.fields, groupField{name, op, value})
	return err
}

// group is a group of documents with the same id.
type group struct {
	id   any
	accs []accumulator // one for each field of the $group
}

// gather reads all documents of in and returns one document for each group.
func (g *groupSpec) gather(in Iterator) ([]bson.D, error) {
	var groups []*group
	byKey := map[string]*group{}
	used := 0
	err := forEach(in, func(doc bson.D) error {
		at := newScope(doc)
		id, err := g.id(at)
		if err != nil {
			return err
		}
		k := hashKey(id)
		current, ok := byKey[k]
		if !ok {
			current = g.newGroup(id)
			byKey[k] = current
			groups = append(groups, current)
			used += 2*len(k) + 64*(1+len(g.fields))
		}
		for i, f := range g.fields {
			v, err := f.value(at)
			if err == nil {
				err = current.accs[i].add(v)
			}
			if err != nil {
				return err
			}
			if f.op == "$push" || f.op == "$addToSet" {
				used += approxSize(v) // $addToSet may drop v, so this may overestimate
			}
		}
		if used > memoryLimit {
			return memoryLimitError("$group")
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return g.output(groups), nil
}

func (g *groupSpec) newGroup(id any) *group {
	if id == bsonkit.Missing {
		id = nil
	}
	out := &group{id: id}
	for _, f := range g.fields {
		out.accs = append(out.accs, newAccumulator(f.op))
	}
	return out
}

func (g *groupSpec) output(groups []*group) []bson.D {
	docs := make([]bson.D, len(groups))
	for i, group := range groups {
		docs[i] = bson.D{{Key: "_id", Value: group.id}}
		for j, f := range g.fields {
			docs[i] = append(docs[i], bson.E{Key: f.name, Value: group.accs[j].result()})
		}
	}
	return docs
}
