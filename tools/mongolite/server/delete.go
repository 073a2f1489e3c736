package server

import (
	"errors"
	"io"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/internal/mongoerr"
	"boxoffice/tools/mongolite/internal/storage"
)

// The fields of an element of delete.deletes; see command.supported and
// command.unsupported.
var (
	deleteSupported   = strings.Fields("q limit hint")
	deleteUnsupported = strings.Fields("collation")
)

// remove implements the delete command. It is not called delete because that is a
// builtin function.
// https://www.mongodb.com/docs/manual/reference/command/delete/
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
		return c.runStatement(i, coll, func(tx *storage.Tx) (bson.D, error) {
			n, err := c.deleteMatches(tx, sel, limit)
			return bson.D{{Key: "n", Value: n}}, err
		})
	})
}

// checkDelete returns an error if the statement is malformed; see checkUpdate.
func (c *call) checkDelete(doc bson.D) error {
	const name = "delete.deletes"
	if err := checkFields(name, doc, deleteSupported, deleteUnsupported); err != nil {
		return err
	}
	if _, err := required(name, doc, "q"); err != nil {
		return err
	}
	if _, ok := lookup(doc, "limit"); !ok {
		return missingField(name + ".limit")
	}
	limit, err := integer(name, doc, "limit", -1)
	switch {
	case err != nil:
		return err
	case limit != 0 && limit != 1:
		return mongoerr.New(mongoerr.FailedToParse, "The limit field in delete objects must be 0 or 1. Got %d", limit)
	case limit == 0 && c.isRetryable:
		return errRetryableMulti
	}
	return nil
}

// deleteMatches deletes the first document that sel matches, or all of them if
// limit is 0, and returns how many it deleted. If tx is nil, it does nothing.
func (c *call) deleteMatches(tx *storage.Tx, sel selection, limit int64) (n int32, err error) {
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
		if errors.Is(err, io.EOF) {
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
