package query

// Stages of pipelines: https://www.mongodb.com/docs/manual/reference/operator/aggregation-pipeline/

import (
	"io"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/internal/mongoerr"
)

// compileStage compiles a stage other than $documents, $out and $merge.
func compileStage(name string, spec any, vars *Vars) (stage, error) {
	s := stage{name: name, spec: spec}
	var err error
	switch name {
	case "$match":
		s.run, err = matchStage(spec, vars)
	case "$sort":
		s.sort, err = sortStage(spec)
	case "$limit", "$skip":
		err = s.limitOrSkip(spec)
	case "$project":
		s.mapDoc, err = shapeStage(name, spec, vars, projectShape)
	case "$addFields", "$set":
		s.mapDoc, err = shapeStage(name, spec, vars, fieldsShape)
	case "$unset":
		s.mapDoc, err = unsetStage(spec, vars)
	case "$replaceRoot":
		var args map[string]any
		if args, err = namedArgs(name, spec, "newRoot", ""); err == nil {
			s.mapDoc, err = replaceRootStage(args["newRoot"], vars)
		}
	case "$replaceWith":
		s.mapDoc, err = replaceRootStage(spec, vars)
	case "$count":
		s.run, err = countStage(spec)
	case "$unwind":
		s.run, err = unwindStage(spec)
	case "$group":
		s.run, err = groupStage(spec, vars)
	case "$sortByCount":
		s.run, err = sortByCountStage(spec, vars)
	default:
		err = unknownStage(name)
	}
	return s, err
}

// unsupportedStages lists the stages of MongoDB that this server does not
// support.
const unsupportedStages = `$bucket $bucketAuto $changeStream $changeStreamSplitLargeEvent $collStats $currentOp $densify
	$facet $fill $geoNear $graphLookup $indexStats $listLocalSessions $listSampledQueries $listSearchIndexes
	$listSessions $lookup $planCacheStats $queryStats $querySettings $rankFusion $redact $sample $score $search
	$searchMeta $setWindowFields $shardedDataDistribution $unionWith $vectorSearch`

func unknownStage(name string) error {
	if slices.Contains(strings.Fields(unsupportedStages), name) {
		return mongoerr.Unsupported("the pipeline stage %s", name)
	}
	return mongoerr.New(mongoerr.UnrecognizedPipelineStage, "Unrecognized pipeline stage name: '%s'", name)
}

func matchStage(spec any, vars *Vars) (func(Iterator) Iterator, error) {
	d, ok := spec.(bson.D)
	if !ok {
		return nil, mongoerr.New(15959, "the match filter must be an expression in an object")
	}
	f, err := CompileFilter(d, vars)
	return func(in Iterator) Iterator {
		return &stream{close: in.Close, next: func() (bson.D, error) {
			for {
				doc, err := in.Next()
				if err != nil {
					return nil, err
				}
				if ok, err := f.Match(doc); ok || err != nil {
					return doc, err
				}
			}
		}}
	}, err
}

func sortStage(spec any) (*Sort, error) {
	d, ok := spec.(bson.D)
	if !ok {
		return nil, mongoerr.New(15973, "the $sort key specification must be an object")
	}
	if len(d) == 0 {
		return nil, mongoerr.New(15976, "$sort stage must have at least one sort key")
	}
	return CompileSort(d)
}

func (s *stage) limitOrSkip(spec any) error {
	n, ok := wholeNumber(spec)
	switch {
	case s.name == "$limit" && (!ok || n < 0):
		return mongoerr.New(5107201, "invalid argument to $limit stage: Expected a non-negative number")
	case s.name == "$limit" && n == 0:
		return mongoerr.New(15958, "the limit must be positive")
	case !ok || n < 0:
		return mongoerr.New(5107200, "invalid argument to $skip stage: Expected a non-negative number")
	}
	s.n = n
	s.run = func(in Iterator) Iterator {
		left := n
		return &stream{close: in.Close, next: func() (bson.D, error) {
			if s.name == "$limit" && left == 0 {
				return nil, io.EOF
			}
			for ; s.name == "$skip" && left > 0; left-- {
				if _, err := in.Next(); err != nil {
					return nil, err
				}
			}
			left--
			return in.Next()
		}}
	}
	return nil
}

// shapeStage compiles a stage that adds, removes or replaces fields.
func shapeStage(name string, spec any, vars *Vars, kind shapeKind) (func(bson.D) (bson.D, error), error) {
	d, ok := spec.(bson.D)
	if !ok {
		return nil, mongoerr.New(15969, "%s specification must be an object", name)
	}
	s, err := compileShape(d, vars, kind)
	if err != nil {
		return nil, err
	}
	return s.apply, nil
}

func unsetStage(spec any, vars *Vars) (func(bson.D) (bson.D, error), error) {
	exclude := bson.D{}
	for _, v := range asList(spec) {
		name, ok := v.(string)
		if !ok {
			return nil, mongoerr.New(31120, "$unset specification must be a string or an array containing only string values")
		}
		exclude = append(exclude, bson.E{Key: name, Value: false})
	}
	if len(exclude) == 0 {
		return nil, mongoerr.New(31119, "$unset specification must be a string or an array with at least one field")
	}
	return shapeStage("$unset", exclude, vars, projectShape)
}

// replaceRootStage compiles $replaceWith and the newRoot of $replaceRoot.
func replaceRootStage(spec any, vars *Vars) (func(bson.D) (bson.D, error), error) {
	ex, err := compileExpr(spec, vars)
	return func(doc bson.D) (bson.D, error) {
		v, err := ex(newScope(doc))
		if err != nil {
			return nil, err
		}
		root, ok := v.(bson.D)
		if !ok {
			return nil, mongoerr.New(40228, "'newRoot' expression must evaluate to an object, but the resulting value has type: %s", typeName(v))
		}
		return root, nil
	}, err
}

// countStage compiles $count. The stage yields one document with the count, or
// none if the count is 0.
func countStage(spec any) (func(Iterator) Iterator, error) {
	name, _ := spec.(string)
	if name == "" || strings.HasPrefix(name, "$") || strings.ContainsAny(name, ".\x00") {
		return nil, mongoerr.New(40156, "the count field must be a non-empty string that does not start with '$' or contain '.'")
	}
	return func(in Iterator) Iterator {
		return gatherDocs(in, func(in Iterator) ([]bson.D, error) {
			n := any(int32(0))
			err := forEach(in, func(bson.D) error {
				n, _ = add(n, int32(1))
				return nil
			})
			if n == int32(0) || err != nil {
				return nil, err
			}
			return []bson.D{{{Key: name, Value: n}}}, nil
		})
	}, nil
}

// documents returns the documents of a $documents stage. The result is not nil,
// even if it is empty.
func documents(spec any, vars *Vars) ([]bson.D, error) {
	ex, err := compileExpr(spec, vars)
	if err != nil {
		return nil, err
	}
	v, err := ex(newScope(bson.D{}))
	if err != nil {
		return nil, err
	}
	arr, ok := v.(bson.A)
	if !ok {
		return nil, mongoerr.New(5858203, "$documents requires an array, got: %s", typeName(v))
	}
	docs := make([]bson.D, 0, len(arr))
	for _, e := range arr {
		doc, ok := e.(bson.D)
		if !ok {
			return nil, mongoerr.New(40228, "$documents elements must be objects, got: %s", typeName(e))
		}
		docs = append(docs, doc)
	}
	return docs, nil
}
