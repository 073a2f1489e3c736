package server

import (
	"errors"
	"slices"

	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/internal/codec"
	"boxoffice/tools/mongolite/internal/mongoerr"
	"boxoffice/tools/mongolite/internal/storage"
)

// statements returns the documents of a write command's array, from its body
// or from the sequence that travelled beside it.
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
	for _, seq := range c.seqs { // of that name, see checkNames
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

// outcome is what became of one statement of a write command. The reply adds
// up the n and nModified of the results and collects what was upserted.
type outcome struct {
	result bson.D
	err    error
}

// runEach runs the statements one after another until one fails, or all of
// them if the command is not ordered. A collection that makes tells to be
// needed is made.
func (c *call) runEach(docs []bson.D, makes func(bson.D) bool, run func(coll *storage.Collection, i int, doc bson.D) (bson.D, error)) (bson.D, error) {
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
			o.err = c.onCollection(ns, makes(doc), func(coll *storage.Collection) (err error) {
				o.result, err = run(coll, i, doc)
				return err
			})
		}
		outcomes = append(outcomes, o)
		if c.hangUp || o.err != nil && (ordered || fatal(o.err)) {
			break
		}
	}
	return c.summarise(outcomes)
}

func (c *call) summarise(outcomes []outcome) (bson.D, error) {
	var n, modified int32
	upserted, failures := bson.A{}, bson.A{}
	for i, o := range outcomes {
		if o.err != nil {
			if fatal(o.err) {
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

// fatal tells whether an error is one of the whole command and not of the
// statement that met it.
func fatal(err error) bool {
	return slices.Contains([]mongoerr.Code{mongoerr.InterruptedAtShutdown, mongoerr.MaxTimeMSExpired, mongoerr.OutOfDiskSpace, mongoerr.InternalError}, mongoerr.From(err).Code)
}

// onCollection runs fn with the collection ns, made first if makeIt is set,
// else nil if there is none. When it is dropped meanwhile, fn is run anew.
func (c *call) onCollection(ns string, makeIt bool, fn func(*storage.Collection) error) error {
	for {
		coll := c.s.store.Collection(ns)
		if coll == nil && makeIt {
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
