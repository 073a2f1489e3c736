package query

import (
	"time"

	"github.com/256dpi/lungo/bsonkit"
	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/internal/mongoerr"
)

// Vars are the variables of one statement.
type Vars struct{}

// NewVars returns the variables of a statement that runs at now.
func NewVars(now time.Time, let bson.D) (*Vars, error) { return &Vars{}, nil }

// CheckValue refuses a value that no document may hold here.
func CheckValue(v any) error { return nil }

// Filter decides which documents a statement is about.
type Filter struct{}

func CompileFilter(f bson.D, vars *Vars) (*Filter, error) { return nil, stub("filters") }
func (f *Filter) Match(doc bson.D) (bool, error)          { return false, stub("filters") }
func (f *Filter) Source() bson.D                          { return nil }
func UpsertBase(f *Filter) (bson.D, error)                { return nil, stub("upserts") }

// Projection shapes documents.
type Projection struct{}

func CompileProjection(p bson.D, vars *Vars) (*Projection, error) { return nil, stub("projections") }
func (p *Projection) Apply(doc bson.D) (bson.D, error)            { return nil, stub("projections") }

// Sort orders documents.
type Sort struct{}

func CompileSort(s bson.D) (*Sort, error)               { return nil, stub("sorts") }
func (s *Sort) Columns() []bsonkit.Column               { return nil }
func (s *Sort) Compare(a, b bson.D) int                 { return 0 }
func (s *Sort) Less(a, b bson.D) bool                   { return s.Compare(a, b) < 0 }
func SortDocs(in Iterator, s *Sort, limit int) Iterator { return in }

// UpdateKind is the form in which an update was written.
type UpdateKind int

const (
	OperatorUpdate UpdateKind = iota
	ReplacementUpdate
	PipelineUpdate
)

// Update changes a document.
type Update struct{}

func CompileUpdate(u any, arrayFilters bson.A, vars *Vars) (*Update, error) {
	return nil, stub("updates")
}
func (u *Update) Kind() UpdateKind { return OperatorUpdate }
func (u *Update) Apply(doc bson.D, f *Filter, inserting bool) (bson.D, error) {
	return nil, stub("updates")
}

// Iterator yields documents; Next returns nil, io.EOF at the end.
type Iterator interface {
	Next() (bson.D, error)
	Close()
}

// Pipeline is an aggregation pipeline.
type Pipeline struct{}

func CompilePipeline(stages bson.A, vars *Vars) (*Pipeline, error) { return nil, stub("pipelines") }

// Head splits off a leading $match and $sort, nil where there is none.
func (p *Pipeline) Head() (match bson.D, sort bson.D, rest *Pipeline) { return nil, nil, p }

// Run returns what the pipeline makes of in.
func (p *Pipeline) Run(in Iterator) Iterator { return in }

// Source returns the documents of a leading $documents, and whether there is one.
func (p *Pipeline) Source() ([]bson.D, bool) { return nil, false }

// Out returns the target of a trailing $out or $merge, nil when there is none.
func (p *Pipeline) Out() *Out { return nil }

// OutMode is what happens to the target of a pipeline.
type OutMode int

const (
	OutReplace OutMode = iota // $out: the collection is replaced
	OutMerge                  // $merge
)

// Out is the target of a pipeline.
type Out struct {
	DB, Coll       string // DB is empty for the aggregation's own
	Mode           OutMode
	On             []string
	WhenMatched    string
	WhenNotMatched string
}

func stub(what string) error { return mongoerr.Unsupported("%s", what) }
