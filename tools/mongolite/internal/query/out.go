package query

// The stages $out and $merge:
// https://www.mongodb.com/docs/manual/reference/operator/aggregation/out/ and
// https://www.mongodb.com/docs/manual/reference/operator/aggregation/merge/

import (
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/internal/mongoerr"
)

// OutMode is the way in which a pipeline writes to its target collection.
type OutMode int

// Modes of a pipeline's target.
const (
	OutReplace OutMode = iota // $out replaces the collection
	OutMerge                  // $merge merges each document into the collection
)

// Out is the target of a pipeline that ends in $out or $merge. The pipeline
// does not write to the target; that is up to the caller.
type Out struct {
	DB, Coll       string // DB is empty for the database of the aggregation
	Mode           OutMode
	On             []string // for $merge: always _id
	WhenMatched    string   // for $merge: replace, merge, keepExisting or fail
	WhenNotMatched string   // for $merge: insert, discard or fail
}

func compileOut(spec any) (*Out, error) {
	db, coll, err := parseTarget("$out", spec)
	return &Out{DB: db, Coll: coll, Mode: OutReplace}, err
}

// parseTarget parses the target of a stage: a collection name or {db, coll}.
func parseTarget(stage string, spec any) (db, coll string, err error) {
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
				return "", "", mongoerr.New(16994, "%s: invalid field '%s' in the target", stage, e.Key)
			}
		}
	} else {
		coll, _ = spec.(string)
	}
	if coll == "" || isDoc && db == "" && stage == "$out" {
		return "", "", mongoerr.New(16990, "%s requires a collection name or {db: name, coll: name}", stage)
	}
	return db, coll, nil
}

func compileMerge(spec any) (*Out, error) {
	if _, short := spec.(string); short {
		spec = bson.D{{Key: "into", Value: spec}}
	}
	args, err := namedArgs("$merge", spec, "into", "on whenMatched whenNotMatched let")
	if err != nil {
		return nil, err
	}
	if _, ok := args["let"]; ok {
		return nil, mongoerr.Unsupported("the option let of $merge")
	}
	out := &Out{Mode: OutMerge, On: []string{"_id"}}
	if out.DB, out.Coll, err = parseTarget("$merge", args["into"]); err != nil {
		return nil, err
	}
	if on, ok := args["on"]; ok && on != "_id" && !slices.Equal(asList(on), bson.A{"_id"}) {
		return nil, mongoerr.Unsupported("$merge on fields other than _id")
	}
	if out.WhenMatched, err = mergeOption(args, "whenMatched", "merge replace keepExisting fail"); err != nil {
		return nil, err
	}
	out.WhenNotMatched, err = mergeOption(args, "whenNotMatched", "insert discard fail")
	return out, err
}

// mergeOption returns an option of $merge. Its value must be one of the allowed
// words, which are separated by spaces. The first word is the default.
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
