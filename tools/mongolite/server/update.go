package server

import (
	"errors"
	"io"
	"strings"

	"github.com/256dpi/lungo/bsonkit"
	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/internal/mongoerr"
	"boxoffice/tools/mongolite/internal/query"
	"boxoffice/tools/mongolite/internal/storage"
)

// update implements the update command.
// https://www.mongodb.com/docs/manual/reference/command/update/
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
	isUpsert := func(doc bson.D) bool { ok, _ := flag("update.updates", doc, "upsert", false); return ok }
	return c.runEach(docs, isUpsert, func(coll *storage.Collection, i int, doc bson.D) (bson.D, error) {
		mod, err := c.parseUpdate(doc)
		if err != nil {
			return nil, err
		}
		return c.runStatement(i, coll, func(tx *storage.Tx) (bson.D, error) {
			n, modified, id, err := mod.apply(tx)
			result := bson.D{{Key: "n", Value: n}, {Key: "nModified", Value: modified}}
			if id != bsonkit.Missing {
				result = append(result, bson.E{Key: "upserted", Value: id})
			}
			return result, err
		})
	})
}

// The fields of an element of update.updates; see command.supported and
// command.unsupported.
var (
	updateSupported   = strings.Fields("q u multi upsert arrayFilters hint")
	updateUnsupported = strings.Fields("c collation")
)

// errRetryableMulti is returned for a retryable write that may change several
// documents. MongoDB rejects those too.
var errRetryableMulti = mongoerr.New(mongoerr.InvalidOptions, "Cannot use retryable writes with multi=true or limit=0")

// checkUpdate returns an error if the statement is malformed. The caller checks all
// statements before it runs the first one, because a malformed statement fails the
// whole command. An invalid filter or update only fails its own statement.
func (c *call) checkUpdate(doc bson.D) error {
	const name = "update.updates"
	if err := checkFields(name, doc, updateSupported, updateUnsupported); err != nil {
		return err
	}
	if _, err := required(name, doc, "q"); err != nil {
		return err
	}
	if _, ok := lookup(doc, "u"); !ok {
		return missingField(name + ".u")
	}
	multi, err := flag(name, doc, "multi", false)
	if err != nil {
		return err
	}
	if multi && c.isRetryable {
		return errRetryableMulti
	}
	if _, err := flag(name, doc, "upsert", false); err != nil {
		return err
	}
	_, err = field[bson.A](name, doc, "arrayFilters")
	return err
}

// modification describes an update statement or a findAndModify command.
type modification struct {
	selection
	update      *query.Update // nil means that findAndModify deletes the document
	multi       bool
	upsert      bool
	interrupted func() error
}

// parseUpdate compiles an element of update.updates.
func (c *call) parseUpdate(doc bson.D) (mod modification, err error) {
	const name = "update.updates"
	mod.interrupted = c.interrupted
	if mod.multi, err = flag(name, doc, "multi", false); err != nil {
		return mod, err
	}
	if mod.upsert, err = flag(name, doc, "upsert", false); err != nil {
		return mod, err
	}
	arrayFilters, err := field[bson.A](name, doc, "arrayFilters")
	if err != nil {
		return mod, err
	}
	u, _ := lookup(doc, "u")
	if mod.update, err = query.CompileUpdate(u, arrayFilters, c.vars); err != nil {
		return mod, err
	}
	if mod.multi && mod.update.Kind() == query.ReplacementUpdate {
		return mod, mongoerr.New(mongoerr.FailedToParse, "multi update is not supported for replacement-style update")
	}
	filter, err := required(name, doc, "q")
	if err != nil {
		return mod, err
	}
	hint, _ := lookup(doc, "hint")
	mod.selection, err = c.selection(filter, nil, hint)
	return mod, err
}

// apply updates the documents that match, or inserts one if none matches and upsert
// is set. n is the number of documents that matched or were inserted; modified is
// the number of documents that changed. id is the inserted _id, or bsonkit.Missing
// if nothing was inserted. If tx is nil, apply does nothing.
func (mod *modification) apply(tx *storage.Tx) (n, modified int32, id any, err error) {
	id = bsonkit.Missing
	if tx == nil {
		return 0, 0, id, nil
	}
	it, f, err := mod.iterate(&tx.Reader, mod.interrupted, 1)
	if err != nil {
		return 0, 0, id, err
	}
	defer it.Close()
	for mod.multi || n == 0 {
		old, err := it.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return n, modified, id, err
		}
		n++
		_, changed, err := mod.replace(tx, f, old)
		if err != nil {
			return n, modified, id, err
		}
		if changed {
			modified++
		}
	}
	if n == 0 && mod.upsert {
		doc, err := mod.insert(tx)
		if err != nil {
			return 0, 0, id, err
		}
		return 1, 0, doc[0].Value, nil
	}
	return n, modified, id, nil
}

// replace applies the update to old and stores the result. changed reports whether
// the result differs from old.
func (mod *modification) replace(tx *storage.Tx, f *matchScan, old bson.D) (doc bson.D, changed bool, err error) {
	if doc, err = mod.update.Apply(old, f.filter, false); err != nil {
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

// insert inserts the document that an upsert builds from its filter and update, and
// returns it.
func (mod *modification) insert(tx *storage.Tx) (bson.D, error) {
	base, err := query.UpsertBase(mod.filter)
	if err != nil {
		return nil, err
	}
	doc, err := mod.update.Apply(base, mod.filter, true)
	if err != nil {
		return nil, err
	}
	if doc, err = withID(doc); err != nil {
		return nil, err
	}
	return doc, tx.Insert(doc)
}
