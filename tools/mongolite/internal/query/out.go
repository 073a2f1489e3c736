package query

// Targets of pipelines: https://www.mongodb.com/docs/manual/reference/operator/aggregation/out/
// and https://www.mongodb.com/docs/manual/reference/operator/aggregation/merge/

import (
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/internal/mongoerr"
)

// OutMode is what happens to the target of a pipeline.
type OutMode int

// The modes of a target.
const (
	OutReplace OutMode = iota // $out: the collection is replaced
	OutMerge                  // $merge: each document is merged into it
)

// Out is the target of a pipeline; writing to it is the server's.
type Out struct {
	DB, Coll       string // DB is empty for the aggregation's own
	Mode           OutMode
	On             []string // of $merge: always _id
	WhenMatched    string   // of $merge: replace, merge, keepExisting or fail
	WhenNotMatched string   // of $merge: insert, discard or fail
}

func compileOut(spec any) (*Out, error) {
	db, coll, err := target("$out", spec)
	return &Out{DB: db, Coll: coll, Mode: OutReplace}, err
}

// target reads "collection" or {db, coll}.
func target(stage string, spec any) (db, coll string, err error) {
	d, isDoc := spec.(bson.D)
	if isDoc {
		for _, e := range d {
			switch s, ok := e.Value.(string); {
			case e.Key == "timeseries":
				return "", "", mongoerr.Unsupported("the option timeseries of %s", stage)
			case e.Key == "db" && ok:
				db = s
			case e.Key == "coll" && ok:
				coll = s
			default:
				return "", "", mongoerr.New(16994, "%s: invalid field '%s' of the target", stage, e.Key)
			}
		}
	} else {
		coll, _ = spec.(string)
	}
	if coll == "" || isDoc && db == "" && stage == "$out" {
		return "", "", mongoerr.New(16990, "%s needs the name of a collection, or {db: name, coll: name}", stage)
	}
	return db, coll, nil
}

func compileMerge(spec any) (*Out, error) {
	if _, short := spec.(string); short {
		spec = bson.D{{Key: "into", Value: spec}}
	}
	args, err := named("$merge", spec, "into", "on whenMatched whenNotMatched let")
	if err != nil {
		return nil, err
	}
	if _, ok := args["let"]; ok {
		return nil, mongoerr.Unsupported("the option let of $merge")
	}
	out := &Out{Mode: OutMerge, On: []string{"_id"}}
	if out.DB, out.Coll, err = target("$merge", args["into"]); err != nil {
		return nil, err
	}
	if on, ok := args["on"]; ok && on != "_id" && !slices.Equal(asList(on), bson.A{"_id"}) {
		return nil, mongoerr.Unsupported("$merge on other fields than _id")
	}
	if out.WhenMatched, err = mergeOption(args, "whenMatched", "merge replace keepExisting fail"); err != nil {
		return nil, err
	}
	out.WhenNotMatched, err = mergeOption(args, "whenNotMatched", "insert discard fail")
	return out, err
}

// mergeOption returns an option that is one of the allowed words; the first is
// its default.
func mergeOption(args map[string]any, name, allowed string) (string, error) {
	words := strings.Fields(allowed)
	v, ok := args[name]
	if !ok {
		return words[0], nil
	}
	s, isString := v.(string)
	if !isString {
		return "", mongoerr.Unsupported("the option %s of $merge as a pipeline", name)
	}
	if !slices.Contains(words, s) {
		return "", mongoerr.New(mongoerr.BadValue, "Enumeration value '%s' for field '$merge.%s' is not a valid value.", s, name)
	}
	return s, nil
}
