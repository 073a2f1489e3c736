package server

import (
	"errors"
	"slices"
	"strings"

	"github.com/256dpi/lungo/bsonkit"
	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/internal/mongoerr"
	"boxoffice/tools/mongolite/internal/storage"
)

// createIndexes implements the createIndexes command.
// https://www.mongodb.com/docs/manual/reference/command/createIndexes/
func createIndexes(c *call) (bson.D, error) {
	ns, err := c.ns()
	if err != nil {
		return nil, err
	}
	list, err := c.array("indexes")
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, mongoerr.New(mongoerr.BadValue, "Must specify at least one index to create")
	}
	var specs []storage.IndexSpec
	for _, item := range list {
		d, ok := item.(bson.D)
		if !ok {
			return nil, wrongType("createIndexes.indexes", item, bson.D{})
		}
		spec, err := parseIndexSpec(d)
		if err != nil {
			return nil, err
		}
		if !isIDKey(spec.Key) { // every collection has the _id index
			specs = append(specs, spec)
		}
	}
	isNew := c.s.store.Collection(ns) == nil
	var reply bson.D
	err = c.withCollection(ns, true, func(coll *storage.Collection) error {
		before, err := coll.CreateIndexes(specs, c.interrupted)
		if err != nil {
			return err
		}
		after := len(coll.Indexes())
		reply = bson.D{{Key: "numIndexesBefore", Value: int32(before)}, {Key: "numIndexesAfter", Value: int32(after)}, {Key: "createdCollectionAutomatically", Value: isNew}}
		if before == after {
			reply = append(reply, bson.E{Key: "note", Value: "all indexes already exist"})
		}
		return nil
	})
	return reply, err
}

// isIDKey reports whether key is a key pattern of _id alone, in any direction.
func isIDKey(key bson.D) bool { return len(key) == 1 && key[0].Key == "_id" }

// The fields of an index specification; see command.supported and
// command.unsupported. background and ns have no effect, as in MongoDB.
const (
	indexSupported   = "key name unique sparse partialFilterExpression expireAfterSeconds background v ns"
	indexUnsupported = "collation hidden weights default_language language_override textIndexVersion 2dsphereIndexVersion bits min max wildcardProjection storageEngine clustered prepareUnique"
)

// maxKeyFields is the maximum number of fields of an index.
// https://www.mongodb.com/docs/manual/reference/limits/#mongodb-limit-Number-of-Indexed-Fields-in-a-Compound-Index
const maxKeyFields = 32

// parseIndexSpec parses and checks an element of createIndexes.indexes.
func parseIndexSpec(d bson.D) (spec storage.IndexSpec, err error) {
	const name = "createIndexes.indexes"
	supported, unsupported := strings.Fields(indexSupported), strings.Fields(indexUnsupported)
	for _, e := range d {
		if !slices.Contains(supported, e.Key) && !slices.Contains(unsupported, e.Key) {
			return spec, mongoerr.New(mongoerr.InvalidIndexSpecification, "The field '%s' is not valid for an index specification.", e.Key)
		}
	}
	if err = checkFields(name, d, supported, unsupported); err != nil {
		return spec, err
	}
	if v, err := integer(name, d, "v", 2); err != nil || v != 2 {
		return spec, mongoerr.Unsupported("an index version other than 2")
	}
	if spec.Key, err = required(name, d, "key"); err != nil {
		return spec, err
	}
	if len(spec.Key) == 0 {
		return spec, mongoerr.New(mongoerr.CannotCreateIndex, "Index keys cannot be empty.")
	}
	if len(spec.Key) > maxKeyFields {
		return spec, mongoerr.New(mongoerr.CannotCreateIndex, "An index must have at most %d fields, but has %d", maxKeyFields, len(spec.Key))
	}
	for _, e := range spec.Key {
		if err := checkKeyField(e); err != nil {
			return spec, err
		}
	}
	if spec.Name, err = field[string](name, d, "name"); err != nil {
		return spec, err
	}
	if spec.Name == "" {
		return spec, mongoerr.New(mongoerr.FailedToParse, "The 'name' field is a required property of an index specification")
	}
	if spec.Name == "*" { // dropIndexes uses it for all indexes
		return spec, mongoerr.New(mongoerr.BadValue, "The index name '*' is not valid.")
	}
	if isIDKey(spec.Key) && bsonkit.Compare(spec.Key[0].Value, int32(1)) != 0 {
		return spec, mongoerr.New(mongoerr.BadValue, "The field 'key' for an _id index must be {_id: 1}, but got {_id: %v}", spec.Key[0].Value)
	}
	if spec.Unique, err = flag(name, d, "unique", false); err != nil {
		return spec, err
	}
	if spec.Sparse, err = flag(name, d, "sparse", false); err != nil {
		return spec, err
	}
	if spec.Partial, err = field[bson.D](name, d, "partialFilterExpression"); err != nil {
		return spec, err
	}
	if spec.Partial != nil && spec.Sparse {
		return spec, mongoerr.New(mongoerr.CannotCreateIndex, "cannot mix \"partialFilterExpression\" and \"sparse\" options")
	}
	if spec.Partial != nil {
		if err := checkPartialFilter(spec.Partial); err != nil {
			return spec, err
		}
	}
	if _, ok := lookup(d, "expireAfterSeconds"); ok {
		seconds, err := integer(name, d, "expireAfterSeconds", 0)
		if err != nil {
			return spec, err
		}
		if seconds > 1<<31-1 || len(spec.Key) > 1 || isIDKey(spec.Key) {
			return spec, mongoerr.New(mongoerr.CannotCreateIndex, "TTL indexes are single-field indexes on a field other than _id, with expireAfterSeconds between 0 and 2147483647")
		}
		spec.ExpireAfter = &seconds
	}
	if isIDKey(spec.Key) && (spec.Sparse || spec.Partial != nil) {
		return spec, mongoerr.New(mongoerr.InvalidIndexSpecification, "an _id index cannot be sparse or partial")
	}
	return spec, nil
}

// checkKeyField checks one field of an index key pattern.
func checkKeyField(e bson.E) error {
	if kind, ok := e.Value.(string); ok {
		return mongoerr.Unsupported("%s indexes", kind)
	}
	if strings.Contains(e.Key, "$**") {
		return mongoerr.Unsupported("wildcard indexes")
	}
	class, _ := bsonkit.Inspect(e.Value)
	switch {
	case class != bsonkit.Number || bsonkit.Compare(e.Value, int32(0)) == 0:
		return mongoerr.New(mongoerr.CannotCreateIndex, "Values in v:2 index key pattern must be a number that is not 0. Found the value of the field '%s'", e.Key)
	case e.Key == "" || strings.HasPrefix(e.Key, ".") || strings.HasSuffix(e.Key, ".") || strings.Contains(e.Key, ".."):
		return mongoerr.New(mongoerr.CannotCreateIndex, "Index keys cannot contain an empty field.")
	case strings.HasPrefix(e.Key, "$"):
		return mongoerr.New(mongoerr.CannotCreateIndex, "Index key contains an illegal field name: field name starts with '$'.")
	}
	return nil
}

// checkPartialFilter returns an error if filter uses an operator that MongoDB does
// not allow in a partial index.
// https://www.mongodb.com/docs/manual/core/index-partial/
func checkPartialFilter(filter bson.D) error {
	allowed := []string{"$eq", "$gt", "$gte", "$lt", "$lte", "$in", "$type", "$exists"}
	for _, e := range filter {
		if e.Key == "$and" || e.Key == "$or" {
			list, _ := e.Value.(bson.A)
			for _, item := range list {
				d, _ := item.(bson.D)
				if err := checkPartialFilter(d); err != nil {
					return err
				}
			}
			continue
		}
		ops, _ := e.Value.(bson.D)
		if strings.HasPrefix(e.Key, "$") {
			ops = bson.D{e}
		}
		for _, op := range ops {
			bad := strings.HasPrefix(op.Key, "$") && !slices.Contains(allowed, op.Key)
			if bad || op.Key == "$exists" && bsonkit.Compare(op.Value, true) != 0 {
				return mongoerr.New(mongoerr.CannotCreateIndex, "Expression not supported in partial index: %s", op.Key)
			}
		}
	}
	return nil
}

// describeIndex returns the index as listIndexes reports it.
func describeIndex(ix *storage.Index) bson.D {
	d := bson.D{{Key: "v", Value: int32(2)}, {Key: "key", Value: ix.Key}, {Key: "name", Value: ix.Name}}
	if ix.Unique && !ix.IsID() {
		d = append(d, bson.E{Key: "unique", Value: true})
	}
	if ix.Sparse {
		d = append(d, bson.E{Key: "sparse", Value: true})
	}
	if ix.Partial != nil {
		d = append(d, bson.E{Key: "partialFilterExpression", Value: ix.Partial})
	}
	if ix.ExpireAfter != nil {
		d = append(d, bson.E{Key: "expireAfterSeconds", Value: int32(*ix.ExpireAfter)})
	}
	return d
}

// existingCollection returns the collection that the command names, or an error
// if it does not exist.
func (c *call) existingCollection() (*storage.Collection, error) {
	ns, err := c.ns()
	if err != nil {
		return nil, err
	}
	coll := c.s.store.Collection(ns)
	if coll == nil {
		return nil, namespaceNotFound(ns)
	}
	return coll, nil
}

// namespaceNotFound returns MongoDB's error for a collection that does not exist.
func namespaceNotFound(ns string) error {
	return mongoerr.New(mongoerr.NamespaceNotFound, "ns does not exist: %s", ns)
}

// listIndexes implements the listIndexes command.
// https://www.mongodb.com/docs/manual/reference/command/listIndexes/
func listIndexes(c *call) (bson.D, error) {
	coll, err := c.existingCollection()
	if err != nil {
		return nil, err
	}
	var docs []bson.D
	for _, ix := range coll.Indexes() {
		docs = append(docs, describeIndex(ix))
	}
	return c.listing(coll.NS, docs, nil)
}

// dropIndexes implements the dropIndexes command.
// https://www.mongodb.com/docs/manual/reference/command/dropIndexes/
func dropIndexes(c *call) (bson.D, error) {
	coll, err := c.existingCollection()
	if err != nil {
		return nil, err
	}
	selector, ok := c.get("index")
	if !ok {
		return nil, missingField("dropIndexes.index")
	}
	names, err := indexNames(coll, selector)
	if err != nil {
		return nil, err
	}
	before, err := coll.DropIndexes(names)
	if errors.Is(err, storage.ErrDropped) {
		err = namespaceNotFound(coll.NS)
	}
	return bson.D{{Key: "nIndexesWas", Value: int32(before)}}, err
}

// indexNames returns the names of the indexes that dropIndexes.index selects: "*",
// a name, a key pattern or an array of names.
func indexNames(coll *storage.Collection, selector any) (names []string, err error) {
	indexes := coll.Indexes()
	if selector == "*" {
		for _, ix := range indexes[1:] {
			names = append(names, ix.Name)
		}
		return names, nil
	}
	wanted, ok := selector.(bson.A)
	if !ok {
		wanted = bson.A{selector}
	}
	for _, w := range wanted {
		i := slices.IndexFunc(indexes, func(ix *storage.Index) bool {
			pattern, ok := w.(bson.D)
			return ix.Name == w || ok && bsonkit.Compare(ix.Key, pattern) == 0
		})
		switch {
		case i == 0:
			return nil, mongoerr.New(mongoerr.InvalidOptions, "cannot drop _id index")
		case i > 0:
			names = append(names, indexes[i].Name)
		default:
			if _, ok := w.(bson.D); ok {
				return nil, mongoerr.New(mongoerr.IndexNotFound, "can't find index with key: %v", w)
			}
			return nil, mongoerr.New(mongoerr.IndexNotFound, "index not found with name [%v]", w)
		}
	}
	return names, nil
}
