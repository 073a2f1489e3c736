package server

import (
	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/internal/mongoerr"
	"boxoffice/tools/mongolite/internal/plan"
	"boxoffice/tools/mongolite/internal/query"
)

// explain returns the plan by which another command would find its documents.
// Unless the verbosity is queryPlanner, it also executes the plan and counts the
// keys and documents examined. It changes no data.
// https://www.mongodb.com/docs/manual/reference/explain-results/
func explain(c *call) (bson.D, error) {
	inner, ok := c.body[0].Value.(bson.D)
	if !ok || len(inner) == 0 {
		return nil, wrongType("explain.explain", c.body[0].Value, bson.D{})
	}
	verbosity, err := field[string](c.name, c.body, "verbosity")
	if err != nil {
		return nil, err
	}
	switch verbosity {
	case "", "queryPlanner", "executionStats", "allPlansExecution":
	default:
		return nil, mongoerr.New(mongoerr.FailedToParse, "verbosity string must be one of {'queryPlanner', 'executionStats', 'allPlansExecution'}")
	}
	target := &call{conn: c.conn, deadline: c.deadline, name: inner[0].Key, db: c.db, body: inner, vars: c.vars}
	sel, limit, err := target.explainTarget()
	if err != nil {
		return nil, err
	}
	ns, err := target.ns()
	if err != nil {
		return nil, err
	}
	view, err := c.s.view(ns)
	if err != nil {
		return nil, err
	}
	stats := bson.D{{Key: "executionSuccess", Value: true}}
	winning := bson.D{{Key: "stage", Value: "EOF"}}
	var returned, keys, docs int64
	if view != nil {
		defer func() { _ = view.Close() }()
		f, p, err := sel.open(&view.Reader, c.interrupted)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		sortsInMemory := sel.sort != nil && !p.Sorted
		winning = describePlan(p, sel, sortsInMemory)
		for verbosity != "queryPlanner" && (sortsInMemory || limit == 0 || returned < limit) {
			ok, err := f.advance()
			if err != nil {
				return nil, err
			}
			if !ok {
				break
			}
			returned++
		}
		if keys, docs = f.scan.KeysExamined, f.scan.DocsExamined; isCollectionScan(p, sel) {
			keys = 0
		}
		if limit > 0 {
			returned = min(returned, limit)
		}
	}
	reply := bson.D{
		{Key: "explainVersion", Value: "1"},
		{Key: "queryPlanner", Value: bson.D{
			{Key: "namespace", Value: ns},
			{Key: "parsedQuery", Value: sel.filter.Source()},
			{Key: "winningPlan", Value: winning},
			{Key: "rejectedPlans", Value: bson.A{}},
		}},
	}
	if verbosity != "queryPlanner" {
		reply = append(reply, bson.E{Key: "executionStats", Value: append(stats,
			bson.E{Key: "nReturned", Value: int32(returned)},
			bson.E{Key: "totalKeysExamined", Value: int32(keys)},
			bson.E{Key: "totalDocsExamined", Value: int32(docs)})})
	}
	return append(reply,
		bson.E{Key: "command", Value: inner},
		bson.E{Key: "serverInfo", Value: bson.D{{Key: "version", Value: version}, {Key: "gitVersion", Value: "mongolite"}}}), nil
}

// explainTarget returns the selection of the command to explain and the limit on
// the documents that it reads; 0 means no limit.
func (c *call) explainTarget() (sel selection, limit int64, err error) {
	cmd := c.s.commands[c.name]
	if cmd == nil {
		return sel, 0, mongoerr.New(mongoerr.CommandNotFound, "Explain failed due to unknown command: %s", c.name)
	}
	c.cmd = cmd
	if err := c.parseGenericFields(); err != nil {
		return sel, 0, err
	}
	r := fieldReader{c: c}
	hint, _ := c.get("hint")
	var filter, sort bson.D
	switch c.name {
	case "find":
		filter, sort = r.doc("filter"), r.doc("sort")
		if limit = r.integer("limit", 0); limit > 0 {
			limit += r.integer("skip", 0)
		}
	case "count", "distinct":
		filter = r.doc("query")
	case "findAndModify", "findandmodify":
		filter, sort, limit = r.doc("query"), r.doc("sort"), 1
	case "aggregate":
		pipeline, err := query.CompilePipeline(r.array("pipeline"), c.vars)
		if err != nil {
			return sel, 0, err
		}
		filter, sort, _ = pipeline.Head()
	case "update", "delete":
		docs, err := c.statements(c.name + "s")
		if err != nil {
			return sel, 0, err
		}
		filter, err = required(c.name, docs[0], "q")
		r.record(err)
		hint, _ = lookup(docs[0], "hint")
	default:
		return sel, 0, mongoerr.Unsupported("explain of %s", c.name)
	}
	if r.err != nil {
		return sel, 0, r.err
	}
	sel, err = c.selection(filter, sort, hint)
	return sel, limit, err
}

// isCollectionScan reports whether the plan reads all documents because no index
// helps or because the hint is $natural. A plan that reads all documents because of
// a hint to use the _id index is reported as an index scan instead.
func isCollectionScan(p *plan.Plan, sel selection) bool {
	pattern, _ := sel.hint.(bson.D)
	natural := len(pattern) == 1 && pattern[0].Key == "$natural"
	return p.Index.IsID() && !p.Bounded && !p.Sorted && (sel.hint == nil || natural)
}

// describePlan returns the plan as a tree of stages, the outermost first.
func describePlan(p *plan.Plan, sel selection, sortsInMemory bool) bson.D {
	direction := "forward"
	if p.Reverse {
		direction = "backward"
	}
	var stage bson.D
	if isCollectionScan(p, sel) {
		stage = bson.D{{Key: "stage", Value: "COLLSCAN"}, {Key: "filter", Value: sel.filter.Source()}, {Key: "direction", Value: direction}}
	} else {
		stage = bson.D{
			{Key: "stage", Value: "FETCH"},
			{Key: "filter", Value: sel.filter.Source()},
			{Key: "inputStage", Value: bson.D{
				{Key: "stage", Value: "IXSCAN"},
				{Key: "keyPattern", Value: p.Index.Key},
				{Key: "indexName", Value: p.Index.Name},
				{Key: "isMultiKey", Value: p.Index.Multikey},
				{Key: "isUnique", Value: p.Index.Unique},
				{Key: "isSparse", Value: p.Index.Sparse},
				{Key: "isPartial", Value: p.Index.Partial != nil},
				{Key: "direction", Value: direction},
				{Key: "indexBounds", Value: p.Bounds},
			}},
		}
	}
	if sortsInMemory {
		pattern := bson.D{}
		for _, column := range sel.sort.Columns() {
			dir := int32(1)
			if column.Reverse {
				dir = -1
			}
			pattern = append(pattern, bson.E{Key: column.Path, Value: dir})
		}
		stage = bson.D{{Key: "stage", Value: "SORT"}, {Key: "sortPattern", Value: pattern}, {Key: "inputStage", Value: stage}}
	}
	return stage
}
