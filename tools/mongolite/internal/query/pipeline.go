package query

// Aggregation pipelines: https://www.mongodb.com/docs/manual/reference/operator/aggregation-pipeline/

import (
	"math"

	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/internal/mongoerr"
)

// Pipeline is a compiled aggregation pipeline.
type Pipeline struct {
	stages []stage
	source []bson.D // the documents of a leading $documents, or nil
	out    *Out
}

// stage is a compiled stage of a pipeline. Exactly one of mapDoc, sort and run
// is set: mapDoc for a stage that changes each document separately, sort for
// $sort, and run for any other stage.
type stage struct {
	name   string
	spec   any
	mapDoc func(bson.D) (bson.D, error)
	run    func(Iterator) Iterator
	sort   *Sort
	n      int64 // the argument of $limit and $skip
}

// CompilePipeline validates and compiles stages. It returns
// UnrecognizedPipelineStage for an unknown stage, and NotImplemented for one
// that this server does not support.
func CompilePipeline(stages bson.A, vars *Vars) (*Pipeline, error) {
	if err := CheckValue(stages); err != nil {
		return nil, err
	}
	p := &Pipeline{}
	for i, v := range stages {
		name, spec, err := stageSpec(v)
		if err != nil {
			return nil, err
		}
		switch {
		case name == "$documents" && i == 0:
			p.source, err = documents(spec, vars)
		case name == "$documents":
			err = mongoerr.New(40602, "$documents is only valid as the first stage in a pipeline")
		case (name == "$out" || name == "$merge") && i < len(stages)-1:
			err = mongoerr.New(40601, "%s can only be the final stage in the pipeline", name)
		case name == "$out":
			p.out, err = compileOut(spec)
		case name == "$merge":
			p.out, err = compileMerge(spec)
		default:
			var s stage
			s, err = compileStage(name, spec, vars)
			p.stages = append(p.stages, s)
		}
		if err != nil {
			return nil, err
		}
	}
	return p, nil
}

// stageSpec returns the name and the specification of a stage.
func stageSpec(v any) (string, any, error) {
	d, ok := v.(bson.D)
	if !ok {
		return "", nil, mongoerr.New(mongoerr.TypeMismatch, "Each element of the 'pipeline' array must be an object")
	}
	if len(d) != 1 {
		return "", nil, mongoerr.New(40323, "A pipeline stage specification object must contain exactly one field.")
	}
	return d[0].Key, d[0].Value, nil
}

// Head splits off the leading stages that an index can serve. It returns the
// combined filter of the leading $match stages and the specification of a $sort
// after them. Either is nil if the pipeline does not have it. The rest of the
// pipeline must run on the documents that the index scan finds.
func (p *Pipeline) Head() (match bson.D, sort bson.D, rest *Pipeline) {
	if p.source != nil {
		return nil, nil, p
	}
	stages := p.stages
	var filters bson.A
	for len(stages) > 0 && stages[0].name == "$match" {
		filters = append(filters, stages[0].spec)
		stages = stages[1:]
	}
	if len(stages) > 0 && stages[0].sort != nil {
		sort = stages[0].spec.(bson.D)
		stages = stages[1:]
	}
	switch len(filters) {
	case 0:
	case 1:
		match = filters[0].(bson.D)
	default:
		match = bson.D{{Key: "$and", Value: filters}}
	}
	return match, sort, &Pipeline{stages: stages, out: p.out}
}

// Limit returns the maximum number of documents that the pipeline reads, or 0 if
// it may read all of them. If Head has split off a sort, Limit of the rest is
// the limit to pass to SortDocs.
func (p *Pipeline) Limit() int { return limitOf(p.stages) }

func limitOf(stages []stage) int {
	var skip int64
	for _, s := range stages {
		switch {
		case s.name == "$skip" && s.n < math.MaxInt32:
			skip += s.n
		case s.name == "$limit" && s.n < math.MaxInt32:
			return int(skip + s.n)
		case s.mapDoc == nil:
			return 0
		}
	}
	return 0
}

// Run returns an iterator over the results of the pipeline for the documents of
// in. Closing that iterator also closes in.
func (p *Pipeline) Run(in Iterator) Iterator {
	for i, s := range p.stages {
		switch {
		case s.mapDoc != nil:
			in = mapDocs(in, s.mapDoc)
		case s.sort != nil:
			in = SortDocs(in, s.sort, limitOf(p.stages[i+1:]))
		default:
			in = s.run(in)
		}
	}
	return in
}

// Source returns the documents of a leading $documents stage. It reports false
// if the pipeline does not have one.
func (p *Pipeline) Source() ([]bson.D, bool) { return p.source, p.source != nil }

// Out returns the target of a trailing $out or $merge stage, or nil if the
// pipeline does not have one.
func (p *Pipeline) Out() *Out { return p.out }
