package server

import (
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/256dpi/lungo/bsonkit"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"

	"boxoffice/tools/mongolite/internal/codec"
	"boxoffice/tools/mongolite/internal/mongoerr"
	"boxoffice/tools/mongolite/internal/query"
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

// insert: https://www.mongodb.com/docs/manual/reference/command/insert/
//
// Each document is a statement of its own, and all that are not refused go
// into the store together.
func insert(c *call) (bson.D, error) {
	docs, err := c.statements("documents")
	if err != nil {
		return nil, err
	}
	ns, err := c.ns()
	if err != nil {
		return nil, err
	}
	ordered, err := c.boolean("ordered", true)
	if err != nil {
		return nil, err
	}
	var outcomes []outcome
	err = c.onCollection(ns, true, func(coll *storage.Collection) error {
		outcomes = outcomes[:0]
		return coll.Write(func(tx *storage.Tx) error {
			for i, doc := range docs {
				o := outcome{err: c.interrupted()}
				if o.err == nil {
					o.result, o.err = c.insertOne(tx, i, doc)
				}
				outcomes = append(outcomes, o)
				if o.err != nil && (ordered || fatal(o.err)) {
					break
				}
			}
			if tx.Empty() { // a repetition, or nothing but refusals
				return nil
			}
			return c.beforeCommit()
		})
	})
	if err != nil {
		return nil, err
	}
	return c.summarise(outcomes)
}

func (c *call) insertOne(tx *storage.Tx, i int, doc bson.D) (bson.D, error) {
	if result, err := c.answered(i); result != nil || err != nil {
		return result, err
	}
	doc, err := withID(doc)
	if err != nil {
		return nil, err
	}
	if err := tx.Insert(doc); err != nil {
		if e := mongoerr.From(err); e.Code == mongoerr.BSONObjectTooLarge { // MongoDB's code for an insert
			return nil, mongoerr.New(mongoerr.BadValue, "object to insert too large. %s", e.Message)
		}
		return nil, err
	}
	result := bson.D{{Key: "n", Value: int32(1)}}
	return result, c.keep(tx, i, result)
}

// withID returns the document with its _id in front, a new one if it has none.
// It refuses what cannot be stored.
func withID(doc bson.D) (bson.D, error) {
	if err := query.CheckValue(doc); err != nil {
		return nil, err
	}
	at := slices.IndexFunc(doc, func(e bson.E) bool { return e.Key == "_id" })
	switch at {
	case 0:
	case -1:
		return append(bson.D{{Key: "_id", Value: primitive.NewObjectID()}}, doc...), nil
	default:
		id := doc[at]
		doc = append(bson.D{id}, slices.Delete(slices.Clone(doc), at, at+1)...)
	}
	switch id := doc[0].Value.(type) {
	case bson.A, primitive.Regex:
		return nil, mongoerr.New(53, "The '_id' value cannot be of type %s", typeName(id)) // InvalidIdField
	case bson.D:
		for _, e := range id {
			if len(e.Key) > 0 && e.Key[0] == '$' {
				return nil, mongoerr.New(mongoerr.DollarPrefixedFieldName, "_id fields may not contain '$'-prefixed fields: %s is not valid for storage.", e.Key)
			}
		}
	}
	return doc, nil
}

// The fields of the statements of an update and a delete.
var (
	updateDoes  = strings.Fields("q u multi upsert arrayFilters hint")
	updateLacks = strings.Fields("c collation")
	deleteDoes  = strings.Fields("q limit hint")
	deleteLacks = strings.Fields("collation")
)

// checkFields refuses the unknown fields of a statement.
func checkFields(command string, doc bson.D, does, lacks []string) error {
	for _, e := range doc {
		switch {
		case slices.Contains(does, e.Key):
		case slices.Contains(lacks, e.Key):
			if asks(e.Key, e.Value) {
				return mongoerr.Unsupported("%s.%s", command, e.Key)
			}
		default:
			return mongoerr.New(mongoerr.UnknownField, "BSON field '%s.%s' is an unknown field.", command, e.Key)
		}
	}
	return nil
}

// update: https://www.mongodb.com/docs/manual/reference/command/update/
func update(c *call) (bson.D, error) {
	docs, err := c.statements("updates")
	if err != nil {
		return nil, err
	}
	for _, doc := range docs {
		if err := c.checkUpdate(doc); err != nil {
			return nil, err
		}
	}
	upserts := func(doc bson.D) bool { ok, _ := flag("update.updates", doc, "upsert", false); return ok }
	return c.runEach(docs, upserts, func(coll *storage.Collection, i int, doc bson.D) (bson.D, error) {
		ch, err := c.readUpdate(doc)
		if err != nil {
			return nil, err
		}
		return c.statement(i, coll, func(tx *storage.Tx) (bson.D, error) {
			n, modified, id, err := ch.apply(tx)
			result := bson.D{{Key: "n", Value: n}, {Key: "nModified", Value: modified}}
			if id != bsonkit.Missing {
				result = append(result, bson.E{Key: "upserted", Value: id})
			}
			return result, err
		})
	})
}

// errRetryMulti refuses what no driver retries, as MongoDB does.
var errRetryMulti = mongoerr.New(mongoerr.InvalidOptions, "Cannot use retryable writes with multi=true or limit=0")

// checkUpdate refuses a statement that is malformed, and with it the command,
// before any statement is run. What its filter and update say is the
// statement's own affair.
func (c *call) checkUpdate(doc bson.D) error {
	const name = "update.updates"
	if err := checkFields(name, doc, updateDoes, updateLacks); err != nil {
		return err
	}
	if _, err := required(name, doc, "q"); err != nil {
		return err
	}
	if _, ok := lookup(doc, "u"); !ok {
		return missing(name + ".u")
	}
	multi, err := flag(name, doc, "multi", false)
	if err != nil {
		return err
	}
	if multi && c.retry {
		return errRetryMulti
	}
	if _, err := flag(name, doc, "upsert", false); err != nil {
		return err
	}
	_, err = field[bson.A](name, doc, "arrayFilters")
	return err
}

// checkDelete is checkUpdate for a delete.
func (c *call) checkDelete(doc bson.D) error {
	const name = "delete.deletes"
	if err := checkFields(name, doc, deleteDoes, deleteLacks); err != nil {
		return err
	}
	if _, err := required(name, doc, "q"); err != nil {
		return err
	}
	if _, ok := lookup(doc, "limit"); !ok {
		return missing(name + ".limit")
	}
	limit, err := integer(name, doc, "limit", -1)
	switch {
	case err != nil:
		return err
	case limit != 0 && limit != 1:
		return mongoerr.New(mongoerr.FailedToParse, "The limit field in delete objects must be 0 or 1. Got %d", limit)
	case limit == 0 && c.retry:
		return errRetryMulti
	}
	return nil
}

// change is an update of the documents of a selection.
type change struct {
	selection
	update *query.Update
	multi  bool
	upsert bool
	check  func() error
}

func (c *call) readUpdate(doc bson.D) (ch change, err error) {
	const name = "update.updates"
	ch.check = c.interrupted
	if ch.multi, err = flag(name, doc, "multi", false); err != nil {
		return ch, err
	}
	if ch.upsert, err = flag(name, doc, "upsert", false); err != nil {
		return ch, err
	}
	arrayFilters, err := field[bson.A](name, doc, "arrayFilters")
	if err != nil {
		return ch, err
	}
	u, _ := lookup(doc, "u")
	if ch.update, err = query.CompileUpdate(u, arrayFilters, c.vars); err != nil {
		return ch, err
	}
	if ch.multi && ch.update.Kind() == query.ReplacementUpdate {
		return ch, mongoerr.New(mongoerr.FailedToParse, "multi update is not supported for replacement-style update")
	}
	filter, err := required(name, doc, "q")
	if err != nil {
		return ch, err
	}
	hint, _ := lookup(doc, "hint")
	ch.selection, err = c.selection(filter, nil, hint)
	return ch, err
}

func required(command string, doc bson.D, name string) (bson.D, error) {
	if _, ok := lookup(doc, name); !ok {
		return nil, missing(command + "." + name)
	}
	return field[bson.D](command, doc, name)
}

func missing(field string) error {
	return mongoerr.New(mongoerr.MissingField, "BSON field '%s' is missing but a required field", field)
}

// apply changes the documents, or inserts one if there is none and upsert is
// set. It returns how many matched or were inserted, how many were changed and
// the inserted _id, else Missing.
func (ch *change) apply(tx *storage.Tx) (n, modified int32, id any, err error) {
	id = bsonkit.Missing
	if tx == nil {
		return 0, 0, id, nil
	}
	it, f, err := ch.iterate(&tx.Reader, ch.check, 1)
	if err != nil {
		return 0, 0, id, err
	}
	defer it.Close()
	for ch.multi || n == 0 {
		old, err := it.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return n, modified, id, err
		}
		n++
		_, changed, err := ch.put(tx, f, old)
		if err != nil {
			return n, modified, id, err
		}
		if changed {
			modified++
		}
	}
	if n == 0 && ch.upsert {
		doc, err := ch.insert(tx)
		if err != nil {
			return 0, 0, id, err
		}
		return 1, 0, doc[0].Value, nil
	}
	return n, modified, id, nil
}

// put writes what the update makes of old, unless that is the same.
func (ch *change) put(tx *storage.Tx, f *found, old bson.D) (doc bson.D, changed bool, err error) {
	if doc, err = ch.update.Apply(old, f.filter, false); err != nil {
		return nil, false, err
	}
	if err = query.CheckValue(doc); err != nil {
		return nil, false, err
	}
	key, err := storage.AppendKey(nil, old[0].Value)
	if err != nil {
		return nil, false, err
	}
	return tx.Replace(key, old, doc)
}

// insert adds the document that an upsert makes of its filter and update.
func (ch *change) insert(tx *storage.Tx) (bson.D, error) {
	base, err := query.UpsertBase(ch.filter)
	if err != nil {
		return nil, err
	}
	doc, err := ch.update.Apply(base, ch.filter, true)
	if err != nil {
		return nil, err
	}
	if doc, err = withID(doc); err != nil {
		return nil, err
	}
	return doc, tx.Insert(doc)
}

// remove is delete: https://www.mongodb.com/docs/manual/reference/command/delete/
func remove(c *call) (bson.D, error) {
	docs, err := c.statements("deletes")
	never := func(bson.D) bool { return false }
	if err != nil {
		return nil, err
	}
	for _, doc := range docs {
		if err := c.checkDelete(doc); err != nil {
			return nil, err
		}
	}
	return c.runEach(docs, never, func(coll *storage.Collection, i int, doc bson.D) (bson.D, error) {
		const name = "delete.deletes"
		filter, err := required(name, doc, "q")
		if err != nil {
			return nil, err
		}
		limit, err := integer(name, doc, "limit", -1)
		if err != nil {
			return nil, err
		}
		hint, _ := lookup(doc, "hint")
		sel, err := c.selection(filter, nil, hint)
		if err != nil {
			return nil, err
		}
		return c.statement(i, coll, func(tx *storage.Tx) (bson.D, error) {
			n, err := c.deleteFrom(tx, sel, limit)
			return bson.D{{Key: "n", Value: n}}, err
		})
	})
}

func (c *call) deleteFrom(tx *storage.Tx, sel selection, limit int64) (n int32, err error) {
	if tx == nil {
		return 0, nil
	}
	f, _, err := sel.open(&tx.Reader, c.interrupted)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for limit == 0 || n == 0 {
		old, err := f.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return n, err
		}
		if err := tx.Delete(slices.Clone(f.scan.Key()), old); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// findAndModify: https://www.mongodb.com/docs/manual/reference/command/findAndModify/
func findAndModify(c *call) (bson.D, error) {
	ns, err := c.ns()
	if err != nil {
		return nil, err
	}
	r := reading{c: c}
	ch := change{check: c.interrupted}
	filter, sort, fields := r.doc("query"), r.doc("sort"), r.doc("fields")
	deletes, after, arrayFilters := r.flag("remove"), r.flag("new"), r.array("arrayFilters")
	ch.upsert = r.flag("upsert")
	if r.err != nil {
		return nil, r.err
	}
	u, updates := c.get("update")
	switch {
	case deletes == updates:
		return nil, mongoerr.New(mongoerr.FailedToParse, "Either an update or remove=true must be specified, not both")
	case deletes && ch.upsert:
		return nil, mongoerr.New(mongoerr.FailedToParse, "Cannot specify both upsert=true and remove=true")
	case deletes && after:
		return nil, mongoerr.New(mongoerr.FailedToParse, "Cannot specify both new=true and remove=true; 'remove' always returns the deleted document")
	}
	hint, _ := c.get("hint")
	if ch.selection, err = c.selection(filter, sort, hint); err != nil {
		return nil, err
	}
	if updates {
		if ch.update, err = query.CompileUpdate(u, arrayFilters, c.vars); err != nil {
			return nil, err
		}
	}
	shape, err := query.CompileProjection(fields, c.vars)
	if err != nil {
		return nil, err
	}
	var reply bson.D
	err = c.onCollection(ns, ch.upsert, func(coll *storage.Collection) (err error) {
		reply, err = c.statement(0, coll, func(tx *storage.Tx) (bson.D, error) { return ch.one(tx, after, shape) })
		return err
	})
	return reply, err
}

// one changes, inserts or deletes one document and returns findAndModify's
// reply: what it was, or what it is now if after is set.
func (ch *change) one(tx *storage.Tx, after bool, shape *query.Projection) (bson.D, error) {
	var old, value bson.D
	last := bson.D{{Key: "n", Value: int32(0)}}
	if ch.update != nil {
		last = append(last, bson.E{Key: "updatedExisting", Value: false})
	}
	if tx != nil {
		it, f, err := ch.iterate(&tx.Reader, ch.check, 1)
		if err != nil {
			return nil, err
		}
		defer it.Close()
		if old, err = it.Next(); err != nil && err != io.EOF {
			return nil, err
		}
		switch {
		case old == nil && ch.upsert:
			doc, err := ch.insert(tx)
			if err != nil {
				return nil, err
			}
			last = bson.D{{Key: "n", Value: int32(1)}, {Key: "updatedExisting", Value: false}, {Key: "upserted", Value: doc[0].Value}}
			if after {
				value = doc
			}
		case old == nil:
		case ch.update == nil:
			key, err := storage.AppendKey(nil, old[0].Value)
			if err != nil {
				return nil, err
			}
			last[0].Value, value = int32(1), old
			if err := tx.Delete(key, old); err != nil {
				return nil, err
			}
		default:
			doc, _, err := ch.put(tx, f, old)
			if err != nil {
				return nil, err
			}
			last[0].Value, last[1].Value = int32(1), true
			if value = old; after {
				value = doc
			}
		}
	}
	reply := bson.D{{Key: "lastErrorObject", Value: last}, {Key: "value", Value: nil}}
	if value != nil {
		value, err := shape.Apply(value)
		if err != nil {
			return nil, err
		}
		reply[1].Value = value
	}
	return reply, nil
}
