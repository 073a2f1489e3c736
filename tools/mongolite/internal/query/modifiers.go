package query

// Update operators: https://www.mongodb.com/docs/manual/reference/operator/update/

import (
	"fmt"
	"slices"
	"strings"

	"github.com/256dpi/lungo/bsonkit"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"

	"boxoffice/tools/mongolite/internal/mongoerr"
)

// modifier computes the new value of a field from the old one. Missing means that
// the field does not exist. A modifier must not change the old value in place.
type modifier func(old any) (any, error)

// modifierCompiler compiles an update operator with its argument for one field.
type modifierCompiler func(op string, arg any, vars *Vars) (modifier, error)

// modifierFor returns the compiler of an update operator, or nil if the operator
// does not exist. It returns nil for $rename, too: that operator changes two
// fields, which a modifier cannot do.
func modifierFor(op string) modifierCompiler {
	switch op {
	case "$set", "$setOnInsert":
		return func(_ string, arg any, _ *Vars) (modifier, error) { return always(arg), nil }
	case "$unset":
		return func(string, any, *Vars) (modifier, error) { return always(bsonkit.Missing), nil }
	case "$inc", "$mul":
		return arithmetic
	case "$min", "$max":
		return minMax
	case "$currentDate":
		return currentDate
	case "$bit":
		return bits
	case "$push":
		return push
	case "$addToSet":
		return addToSet
	case "$pop":
		return pop
	case "$pull":
		return pull
	case "$pullAll":
		return pullAll
	}
	return nil
}

// always returns a modifier that sets the field to v, whatever its old value.
func always(v any) modifier { return func(any) (any, error) { return v, nil } }

// describe formats v for an error message.
func describe(v any) string {
	raw, err := bson.MarshalExtJSON(bson.D{{Key: "v", Value: v}}, false, false)
	if err != nil {
		return fmt.Sprint(v)
	}
	return strings.TrimSuffix(strings.TrimPrefix(string(raw), `{"v":`), "}")
}

// arithmetic compiles $inc and $mul.
func arithmetic(op string, arg any, _ *Vars) (modifier, error) {
	verb, compute := "increment", add
	if op == "$mul" {
		verb, compute = "multiply", multiply
	}
	if !isNumber(arg) {
		return nil, mongoerr.New(mongoerr.TypeMismatch, "Cannot %s with non-numeric argument: %s", verb, describe(arg))
	}
	return func(old any) (any, error) {
		switch {
		case old == bsonkit.Missing && op == "$inc":
			return arg, nil
		case old == bsonkit.Missing:
			old = int32(0)
		case !isNumber(old):
			return nil, mongoerr.New(mongoerr.TypeMismatch, "Cannot apply %s to a value of non-numeric type %s", op, typeName(old))
		}
		v, overflow := compute(old, arg)
		if overflow {
			return nil, mongoerr.New(mongoerr.BadValue, "Failed to apply %s operations to current value (%s)", op, numberText(old))
		}
		return v, nil
	}, nil
}

// minMax compiles $min and $max.
func minMax(op string, arg any, _ *Vars) (modifier, error) {
	sign := 1
	if op == "$min" {
		sign = -1
	}
	return func(old any) (any, error) {
		if old == bsonkit.Missing || bsonkit.Compare(arg, old)*sign > 0 {
			return arg, nil
		}
		return old, nil
	}, nil
}

// currentDate compiles $currentDate, which sets a field to the time of the
// statement. As in MongoDB, the arguments true and false have the same effect;
// mongokit ignores false.
func currentDate(op string, arg any, vars *Vars) (modifier, error) {
	if vars == nil {
		vars = &Vars{}
	}
	kind := any("date")
	if _, ok := arg.(bool); !ok {
		d, _ := arg.(bson.D)
		if len(d) != 1 || d[0].Key != "$type" {
			return nil, mongoerr.New(mongoerr.BadValue, "%s is not valid type for %s. Please use a boolean ('true') or a $type expression ({$type: 'timestamp/date'}).", typeName(arg), op)
		}
		kind = d[0].Value
	}
	switch kind {
	case "date":
		return always(vars.now), nil
	case "timestamp":
		return always(primitive.Timestamp{T: uint32(vars.now.Time().Unix()), I: 1}), nil // #nosec G115 -- the type's own range
	}
	return nil, mongoerr.New(mongoerr.BadValue, "The '$type' string field is required to be 'date' or 'timestamp': {$currentDate: {field : {$type: 'date'}}}")
}

// bits compiles $bit.
func bits(op string, arg any, _ *Vars) (modifier, error) {
	d, _ := arg.(bson.D)
	if len(d) == 0 {
		return nil, mongoerr.New(mongoerr.BadValue, "The $bit modifier needs a document like {and|or|xor: <integer>}, found: %s", describe(arg))
	}
	for _, e := range d {
		if _, ok := integer(e.Value); !ok {
			return nil, mongoerr.New(mongoerr.BadValue, "The $bit modifier field must be an Integer(32/64 bit); a '%s' is not supported here", typeName(e.Value))
		}
		if !slices.Contains([]string{"and", "or", "xor"}, e.Key) {
			return nil, mongoerr.New(mongoerr.BadValue, "The $bit modifier only supports 'and', 'or', and 'xor', not '%s' which is an unknown operator", e.Key)
		}
	}
	return func(old any) (any, error) {
		if old == bsonkit.Missing {
			old = int32(0)
		}
		for _, e := range d {
			x, ok := integer(old)
			if !ok {
				return nil, mongoerr.New(mongoerr.BadValue, "Cannot apply $bit to a value of non-integral type %s", typeName(old))
			}
			y, _ := integer(e.Value)
			switch e.Key {
			case "and":
				x &= y
			case "or":
				x |= y
			case "xor":
				x ^= y
			}
			old = narrow(x, old, e.Value)
		}
		return old, nil
	}, nil
}

// arrayOf returns old, the value that an array operator modifies, as an array.
// Missing becomes an empty array. For any other value, arrayOf returns an error
// with the given code.
func arrayOf(op string, code mongoerr.Code, old any) (bson.A, error) {
	if old == bsonkit.Missing {
		return bson.A{}, nil
	}
	arr, ok := old.(bson.A)
	if !ok {
		return nil, mongoerr.New(code, "Cannot apply %s to a non-array value of type %s", op, typeName(old))
	}
	return arr, nil
}

// parseEach parses the argument of $push or $addToSet. It is a value, or
// {$each: [values]} together with the allowed modifiers.
func parseEach(op string, arg any, allowed ...string) (bson.A, map[string]any, error) {
	d, _ := arg.(bson.D)
	if field(d, "$each") == bsonkit.Missing {
		if len(d) > 0 && slices.Contains(allowed, d[0].Key) {
			return nil, nil, mongoerr.New(mongoerr.BadValue, "%s: %s requires $each", op, d[0].Key)
		}
		return bson.A{arg}, nil, nil
	}
	modifiers := map[string]any{}
	for _, e := range d {
		if e.Key != "$each" && !slices.Contains(allowed, e.Key) {
			return nil, nil, mongoerr.New(mongoerr.BadValue, "Unrecognized clause in %s: %s", op, e.Key)
		}
		modifiers[e.Key] = e.Value
	}
	values, ok := modifiers["$each"].(bson.A)
	if !ok {
		return nil, nil, mongoerr.New(mongoerr.BadValue, "The argument to $each in %s must be an array but it was of type %s", op, typeName(modifiers["$each"]))
	}
	return values, modifiers, nil
}

// push compiles $push. It first inserts the values, then sorts the array, and
// then slices it.
func push(op string, arg any, _ *Vars) (modifier, error) {
	values, modifiers, err := parseEach(op, arg, "$position", "$slice", "$sort")
	if err != nil {
		return nil, err
	}
	numbers := map[string]int64{}
	for _, name := range []string{"$position", "$slice"} {
		v, ok := modifiers[name]
		if !ok {
			continue
		}
		if numbers[name], ok = wholeNumber(v); !ok {
			return nil, mongoerr.New(mongoerr.BadValue, "The value for %s must be an integer value but was given type: %s", name, typeName(v))
		}
	}
	order, sorting := modifiers["$sort"]
	if d, ok := order.(bson.D); sorting && ok && len(d) == 0 {
		return nil, mongoerr.New(mongoerr.BadValue, "The $sort pattern is empty when it should be a set of fields.")
	}
	if sorting {
		if err := sortElements(nil, order); err != nil {
			return nil, err
		}
	}
	return func(old any) (any, error) {
		arr, err := arrayOf(op, mongoerr.BadValue, old)
		if err != nil {
			return nil, err
		}
		at := len(arr)
		if position, ok := numbers["$position"]; ok {
			at = insertAt(len(arr), position)
		}
		arr = slices.Insert(slices.Clone(arr), at, values...)
		if sorting {
			err = sortElements(arr, order)
		}
		if count, ok := numbers["$slice"]; ok {
			arr = sliceOf(arr, nil, count)
		}
		return arr, err
	}, nil
}

// insertAt returns the index at which $push inserts for the given $position. A
// negative position counts from the end of the array.
func insertAt(length int, position int64) int {
	n := int64(length)
	if position < 0 {
		return int(max(n+max(position, -n), 0))
	}
	return int(min(position, n))
}

func contains(arr bson.A, v any) bool {
	return slices.ContainsFunc(arr, func(e any) bool { return bsonkit.Compare(e, v) == 0 })
}

func addToSet(op string, arg any, _ *Vars) (modifier, error) {
	values, _, err := parseEach(op, arg)
	return func(old any) (any, error) {
		arr, err := arrayOf(op, mongoerr.BadValue, old)
		arr = slices.Clip(arr)
		for _, v := range values {
			if !contains(arr, v) {
				arr = append(arr, v)
			}
		}
		return arr, err
	}, err
}

func pop(op string, arg any, _ *Vars) (modifier, error) {
	n, ok := wholeNumber(arg)
	if !ok || n != 1 && n != -1 {
		return nil, mongoerr.New(mongoerr.FailedToParse, "$pop expects 1 or -1, found: %s", describe(arg))
	}
	return func(old any) (any, error) {
		arr, err := arrayOf(op, mongoerr.TypeMismatch, old)
		switch {
		case err != nil || len(arr) == 0:
			return old, err
		case n == 1:
			return slices.Clone(arr[:len(arr)-1]), nil
		}
		return slices.Clone(arr[1:]), nil
	}, nil
}

// pull compiles $pull. It removes the elements that match a condition, as in
// $elemMatch, or that equal a value.
func pull(op string, arg any, vars *Vars) (modifier, error) {
	match := equalNode(nil, arg).test
	var err error
	switch arg := arg.(type) {
	case primitive.Regex:
		var n *node
		if n, err = regexNode(nil, arg.Pattern, arg.Options); err == nil {
			match = n.test
		}
	case bson.D:
		match, err = (&filterCompiler{vars: vars, inElement: true}).element(arg)
	}
	return removeElements(op, func(e any) (bool, error) { return match(e) }), err
}

func pullAll(op string, arg any, _ *Vars) (modifier, error) {
	values, ok := arg.(bson.A)
	if !ok {
		return nil, mongoerr.New(mongoerr.BadValue, "$pullAll requires an array argument but was given a %s", typeName(arg))
	}
	return removeElements(op, func(e any) (bool, error) { return contains(values, e), nil }), nil
}

// removeElements returns a modifier that removes the elements of an array for
// which match reports true.
func removeElements(op string, match func(any) (bool, error)) modifier {
	return func(old any) (any, error) {
		if old == bsonkit.Missing {
			return old, nil
		}
		arr, err := arrayOf(op, mongoerr.BadValue, old)
		if err != nil {
			return nil, err
		}
		kept := make(bson.A, 0, len(arr))
		for _, e := range arr {
			ok, err := match(e)
			if err != nil {
				return nil, err
			}
			if !ok {
				kept = append(kept, e)
			}
		}
		return kept, nil
	}
}

// parseRename validates {$rename: {from: arg}} and returns the path that arg
// names.
func parseRename(from string, arg any) ([]string, error) {
	to, ok := arg.(string)
	if !ok {
		return nil, mongoerr.New(mongoerr.BadValue, "The 'to' field for $rename must be a string: %s: %s", from, describe(arg))
	}
	source, target := strings.Split(from, "."), strings.Split(to, ".")
	for _, part := range slices.Concat(source, target) {
		if part == "" || strings.HasPrefix(part, "$") || strings.Contains(part, "\x00") {
			return nil, mongoerr.New(mongoerr.BadValue, "The fields of $rename may not be empty, dynamic or start with '$': %s: %s", from, to)
		}
	}
	if overlap(source, target) {
		return nil, mongoerr.New(mongoerr.BadValue, "The source and target field for $rename must differ and not be on the same path: %s: %s", from, to)
	}
	return target, nil
}

// rename returns v with the value at source moved to target. As in MongoDB, it
// returns an error if one of the paths leads through an array.
func rename(v any, source, target []string) (any, error) {
	for _, path := range [][]string{source, target} {
		for i := range path {
			if _, ok := get(v, path[:i]).(bson.A); ok {
				return nil, mongoerr.New(mongoerr.BadValue, "The fields of $rename cannot be array elements, '%s' has an array field called '%s'",
					strings.Join(path, "."), path[i-1])
			}
		}
	}
	value := get(v, source)
	if value == bsonkit.Missing {
		return v, nil
	}
	v, err := put(v, source, bsonkit.Missing)
	if err != nil {
		return nil, err
	}
	return put(v, target, value)
}
