package server

import (
	"math"
	"slices"
	"strings"

	"github.com/256dpi/lungo/bsonkit"
	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/internal/mongoerr"
)

// get returns the value of a field of the command and whether it is present.
func (c *call) get(name string) (any, bool) { return lookup(c.body, name) }

// lookup returns the value of the first field called name and whether there is
// one.
func lookup(d bson.D, name string) (any, bool) {
	for _, e := range d {
		if e.Key == name {
			return e.Value, true
		}
	}
	return nil, false
}

// doc returns a field of the command that must be a document. It returns nil if
// the field is absent or null.
func (c *call) doc(name string) (bson.D, error) {
	return field[bson.D](c.name, c.body, name)
}

// array returns a field of the command that must be an array. It returns nil if
// the field is absent or null.
func (c *call) array(name string) (bson.A, error) {
	return field[bson.A](c.name, c.body, name)
}

// boolean returns a field of the command that must be a boolean or a number. It
// returns def if the field is absent or null; see flag.
func (c *call) boolean(name string, def bool) (bool, error) {
	return flag(c.name, c.body, name, def)
}

// integer returns a field of the command that must be a whole number. It returns
// def if the field is absent or null; see the function integer.
func (c *call) integer(name string, def int64) (int64, error) {
	return integer(c.name, c.body, name, def)
}

// field returns the field called name, which must have type T. It returns the
// zero value if the field is absent or null. The command's name goes into the
// error message.
func field[T any](command string, d bson.D, name string) (T, error) {
	v, _ := lookup(d, name)
	t, ok := v.(T)
	if !ok && v != nil {
		return t, wrongType(command+"."+name, v, t)
	}
	return t, nil
}

// wrongType returns MongoDB's error for a field whose value has the type of got
// instead of the type of want.
func wrongType(field string, got, want any) error {
	return mongoerr.New(mongoerr.TypeMismatch, "BSON field '%s' is the wrong type '%s', expected type '%s'", field, typeName(got), typeName(want))
}

// typeName returns the alias of a value's BSON type, as the $type operator uses it.
func typeName(v any) string {
	_, t := bsonkit.Inspect(v)
	return bsonkit.Type2Alias[t]
}

// flag returns the field called name, which must be a boolean or a number; a
// number is true if it is not 0. It returns def if the field is absent or null.
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

// integer returns the field called name, which must be a whole number and, unless
// the name is limit, not negative. It returns def if the field is absent or null.
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

// ns returns the namespace of the collection that the command's first field
// names.
func (c *call) ns() (string, error) {
	coll, ok := c.body[0].Value.(string)
	if !ok {
		return "", mongoerr.New(mongoerr.InvalidNamespace, "collection name has invalid type %s", typeName(c.body[0].Value))
	}
	return c.namespace(c.db, coll)
}

// namespace returns db.coll, or an error if that is not a valid namespace.
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

// hasEffect reports whether the value of an unsupported field requests anything.
// False, null, an empty document and the collation "simple" do not.
func hasEffect(field string, v any) bool {
	if d, ok := v.(bson.D); ok {
		simple := field == "collation" && len(d) == 1 && d[0] == bson.E{Key: "locale", Value: "simple"}
		return len(d) > 0 && !simple
	}
	if field == "autocommit" { // false marks a statement of a transaction
		return v != nil && v != true
	}
	return v != nil && v != false
}

// checkFields returns an error if a field of doc is in neither list, or if it is
// unsupported and has an effect. The command's name goes into the error message.
func checkFields(command string, doc bson.D, supported, unsupported []string) error {
	for _, e := range doc {
		switch {
		case slices.Contains(supported, e.Key):
		case slices.Contains(unsupported, e.Key):
			if hasEffect(e.Key, e.Value) {
				return mongoerr.Unsupported("%s.%s", command, e.Key)
			}
		default:
			return mongoerr.New(mongoerr.UnknownField, "BSON field '%s.%s' is an unknown field.", command, e.Key)
		}
	}
	return nil
}

// required returns the field called name, which must be a document. Unlike field,
// it returns an error if the field is absent.
func required(command string, doc bson.D, name string) (bson.D, error) {
	if _, ok := lookup(doc, name); !ok {
		return nil, missingField(command + "." + name)
	}
	return field[bson.D](command, doc, name)
}

// missingField returns MongoDB's error for a required field that is absent.
func missingField(field string) error {
	return mongoerr.New(mongoerr.MissingField, "BSON field '%s' is missing but a required field", field)
}

// fieldReader reads several fields of a command and keeps the first error in err.
type fieldReader struct {
	c   *call
	err error
}

// record keeps err if it is the first error.
func (r *fieldReader) record(err error) {
	if r.err == nil {
		r.err = err
	}
}

func (r *fieldReader) doc(name string) bson.D {
	d, err := r.c.doc(name)
	r.record(err)
	return d
}

func (r *fieldReader) array(name string) bson.A {
	a, err := r.c.array(name)
	r.record(err)
	return a
}

func (r *fieldReader) integer(name string, def int64) int64 {
	n, err := r.c.integer(name, def)
	r.record(err)
	return n
}

func (r *fieldReader) flag(name string) bool {
	b, err := r.c.boolean(name, false)
	r.record(err)
	return b
}
