package server

import (
	"math"
	"slices"
	"strings"

	"github.com/256dpi/lungo/bsonkit"
	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/internal/mongoerr"
)

// get returns a field of the command.
func (c *call) get(name string) (any, bool) { return lookup(c.body, name) }

func lookup(d bson.D, name string) (any, bool) {
	for _, e := range d {
		if e.Key == name {
			return e.Value, true
		}
	}
	return nil, false
}

func (c *call) doc(name string) (bson.D, error) {
	return field[bson.D](c.name, c.body, name)
}

func (c *call) array(name string) (bson.A, error) {
	return field[bson.A](c.name, c.body, name)
}

func (c *call) boolean(name string, def bool) (bool, error) {
	return flag(c.name, c.body, name, def)
}

func (c *call) integer(name string, def int64) (int64, error) {
	return integer(c.name, c.body, name, def)
}

func field[T any](command string, d bson.D, name string) (T, error) {
	v, _ := lookup(d, name)
	t, ok := v.(T)
	if !ok && v != nil {
		return t, wrongType(command+"."+name, v, t)
	}
	return t, nil
}

func wrongType(field string, got, want any) error {
	return mongoerr.New(mongoerr.TypeMismatch, "BSON field '%s' is the wrong type '%s', expected type '%s'", field, typeName(got), typeName(want))
}

func typeName(v any) string {
	_, t := bsonkit.Inspect(v)
	return bsonkit.Type2Alias[t]
}

func flag(command string, d bson.D, name string, def bool) (bool, error) {
	switch v, _ := lookup(d, name); v := v.(type) {
	case nil:
		return def, nil
	case bool:
		return v, nil
	case int32, int64, float64:
		return bsonkit.Compare(v, int32(0)) != 0, nil
	default:
		return false, wrongType(command+"."+name, v, true)
	}
}

func integer(command string, d bson.D, name string, def int64) (int64, error) {
	var n int64
	switch v, _ := lookup(d, name); v := v.(type) {
	case nil:
		return def, nil
	case int32:
		n = int64(v)
	case int64:
		n = v
	case float64:
		if v != math.Trunc(v) || math.Abs(v) > 1<<53 {
			return 0, mongoerr.New(mongoerr.FailedToParse, "BSON field '%s.%s' must be a whole number", command, name)
		}
		n = int64(v)
	default:
		return 0, wrongType(command+"."+name, v, int64(0))
	}
	if n < 0 && name != "limit" {
		return 0, mongoerr.New(51024, "BSON field '%s' value must be >= 0, actual value '%d'", name, n)
	}
	return n, nil
}

// ns returns the namespace that the command's first field names.
func (c *call) ns() (string, error) {
	coll, ok := c.body[0].Value.(string)
	if !ok {
		return "", mongoerr.New(mongoerr.InvalidNamespace, "collection name has invalid type %s", typeName(c.body[0].Value))
	}
	return c.namespace(c.db, coll)
}

// namespace checks the name of a collection.
// https://www.mongodb.com/docs/manual/reference/limits/#naming-restrictions
func (c *call) namespace(db, coll string) (string, error) {
	ns := db + "." + coll
	switch {
	case db == "" || coll == "" || strings.HasPrefix(coll, ".") || strings.HasSuffix(coll, ".") || strings.ContainsAny(coll, "$\x00"):
		return "", mongoerr.New(mongoerr.InvalidNamespace, "Invalid namespace specified '%s'", ns)
	case len(ns) > 255:
		return "", mongoerr.New(mongoerr.InvalidNamespace, "Fully qualified namespace is too long: '%s'", ns)
	case strings.HasPrefix(coll, "system."):
		return "", mongoerr.Unsupported("system collections (%s)", ns)
	}
	return ns, nil
}

// asks tells whether a refused field asks for anything.
func asks(field string, v any) bool {
	if d, ok := v.(bson.D); ok {
		simple := field == "collation" && len(d) == 1 && d[0] == bson.E{Key: "locale", Value: "simple"}
		return len(d) > 0 && !simple
	}
	if field == "autocommit" { // false is how a transaction goes on
		return v != nil && v != true
	}
	return v != nil && v != false
}

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

func required(command string, doc bson.D, name string) (bson.D, error) {
	if _, ok := lookup(doc, name); !ok {
		return nil, missing(command + "." + name)
	}
	return field[bson.D](command, doc, name)
}

func missing(field string) error {
	return mongoerr.New(mongoerr.MissingField, "BSON field '%s' is missing but a required field", field)
}

// reading reads fields of a command one after another and keeps the first
// error.
type reading struct {
	c   *call
	err error
}

func (r *reading) keep(err error) {
	if r.err == nil {
		r.err = err
	}
}

func (r *reading) doc(name string) bson.D {
	d, err := r.c.doc(name)
	r.keep(err)
	return d
}

func (r *reading) array(name string) bson.A {
	a, err := r.c.array(name)
	r.keep(err)
	return a
}

func (r *reading) integer(name string, def int64) int64 {
	n, err := r.c.integer(name, def)
	r.keep(err)
	return n
}

func (r *reading) flag(name string) bool {
	b, err := r.c.boolean(name, false)
	r.keep(err)
	return b
}
