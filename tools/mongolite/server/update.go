package server

import (
	"io"
	"strings"

	"github.com/256dpi/lungo/bsonkit"
	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/internal/mongoerr"
	"boxoffice/tools/mongolite/internal/query"
	"boxoffice/tools/mongolite/internal/storage"
)

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

// The fields of the statements of an update.
var (
	updateDoes  = strings.Fields("q u multi upsert arrayFilters hint")
	updateLacks = strings.Fields("c collation")
)

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
