package server

import (
	"errors"
	"slices"

	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/internal/codec"
	"boxoffice/tools/mongolite/internal/mongoerr"
	"boxoffice/tools/mongolite/internal/storage"
)

// statements returns the statements of a write command: the elements of the array
// called name, which clients send in the body or as a document sequence.
func (c *call) statements(name string) ([]bson.D, error) {
	var docs []bson.D
	list, err := c.array(name)
	if err != nil {
		return nil, err
	}
	for _, item := range list {
		d, ok := item.(bson.D)
		if !ok {
			return nil, wrongType(c.name+"."+name, item, bson.D{})
		}
		docs = append(docs, d)
	}
	for _, seq := range c.seqs { // at most one, called name: see checkFieldNames
		for _, raw := range seq.Docs {
			d, err := codec.Unmarshal(raw)
			if err != nil {
				return nil, mongoerr.New(22, "%v", err)
			}
			docs = append(docs, d)
		}
	}
	if len(docs) == 0 || len(docs) > maxBatch {
		return nil, mongoerr.New(mongoerr.InvalidLength, "Write batch sizes must be between 1 and %d. Got %d operations.", maxBatch, len(docs))
	}
	return docs, nil
}

// outcome is the result or error of one statement of a write command. Results
// have the fields n, nModified and upserted; writeReply combines them.
type outcome struct {
	result bson.D
	err    error
}

// runEach runs the statements one after another and returns the reply. An ordered
// command stops at the first error. run gets a nil collection if the collection
// does not exist, unless createsCollection returns true for the statement.
func (c *call) runEach(docs []bson.D, createsCollection func(bson.D) bool, run func(coll *storage.Collection, i int, doc bson.D) (bson.D, error)) (bson.D, error) {
	ns, err := c.ns()
	if err != nil {
		return nil, err
	}
	ordered, err := c.boolean("ordered", true)
	if err != nil {
		return nil, err
	}
	var outcomes []outcome
	for i, doc := range docs {
		var o outcome
		if o.err = c.interrupted(); o.err == nil {
			o.err = c.withCollection(ns, createsCollection(doc), func(coll *storage.Collection) (err error) {
				o.result, err = run(coll, i, doc)
				return err
			})
		}
		outcomes = append(outcomes, o)
		if c.closeConn || o.err != nil && (ordered || failsCommand(o.err)) {
			break
		}
	}
	return c.writeReply(outcomes)
}

// writeReply combines the outcomes of a command's statements into its reply.
func (c *call) writeReply(outcomes []outcome) (bson.D, error) {
	var n, modified int32
	upserted, failures := bson.A{}, bson.A{}
	for i, o := range outcomes {
		if o.err != nil {
			if failsCommand(o.err) {
				return nil, o.err
			}
			e := mongoerr.From(o.err)
			failure := bson.D{{Key: "index", Value: int32(i)}, {Key: "code", Value: int32(e.Code)}, {Key: "errmsg", Value: e.Message}}
			failures = append(failures, append(failure, e.Details...))
		}
		for _, e := range o.result {
			switch e.Key {
			case "n":
				n += e.Value.(int32)
			case "nModified":
				modified += e.Value.(int32)
			case "upserted":
				upserted = append(upserted, bson.D{{Key: "index", Value: int32(i)}, {Key: "_id", Value: e.Value}})
			}
		}
	}
	reply := bson.D{{Key: "n", Value: n}}
	if c.name == "update" {
		reply = append(reply, bson.E{Key: "nModified", Value: modified})
	}
	if len(upserted) > 0 {
		reply = append(reply, bson.E{Key: "upserted", Value: upserted})
	}
	if len(failures) > 0 {
		reply = append(reply, bson.E{Key: "writeErrors", Value: failures})
	}
	return reply, nil
}

// failsCommand reports whether err fails the whole command. Other errors only fail
// the statement that returned them.
func failsCommand(err error) bool {
	return slices.Contains([]mongoerr.Code{mongoerr.InterruptedAtShutdown, mongoerr.MaxTimeMSExpired, mongoerr.OutOfDiskSpace, mongoerr.InternalError}, mongoerr.From(err).Code)
}

// withCollection runs fn with the collection ns. If that does not exist, fn gets a
// new collection if create is set, and nil otherwise. If the collection is dropped
// while fn runs, withCollection starts again.
func (c *call) withCollection(ns string, create bool, fn func(*storage.Collection) error) error {
	for {
		coll := c.s.store.Collection(ns)
		if coll == nil && create {
			var err error
			if coll, _, err = c.s.store.Create(ns, nil); err != nil {
				return err
			}
		}
		if err := fn(coll); !errors.Is(err, storage.ErrDropped) {
			return err
		}
	}
}
