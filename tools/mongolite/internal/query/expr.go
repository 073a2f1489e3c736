package query

// Expressions: https://www.mongodb.com/docs/manual/reference/operator/aggregation/
// and their variables, https://www.mongodb.com/docs/manual/reference/aggregation-variables/

import (
	"slices"
	"strings"
	"time"

	"github.com/256dpi/lungo/bsonkit"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"

	"boxoffice/tools/mongolite/internal/mongoerr"
)

// Vars are the variables of one statement: $$NOW, one instant for all of it,
// and those of its let document.
type Vars struct {
	now primitive.DateTime
	let map[string]any
}

// NewVars returns the variables of a statement that runs at now. The values of
// let are expressions without fields, evaluated here.
func NewVars(now time.Time, let bson.D) (*Vars, error) {
	vars := &Vars{now: primitive.NewDateTimeFromTime(now), let: map[string]any{}}
	if err := CheckValue(let); err != nil {
		return nil, err
	}
	for _, e := range let {
		if err := checkVariable(e.Key); err != nil {
			return nil, err
		}
		ex, err := compileExpr(e.Value, vars)
		if err != nil {
			return nil, err
		}
		if vars.let[e.Key], err = ex(newScope(bson.D{})); err != nil {
			return nil, err
		}
	}
	return vars, nil
}

// checkVariable refuses what may not name a variable of the user's.
func checkVariable(name string) error {
	ok := name != "" && (name[0] >= 'a' && name[0] <= 'z' || name[0] >= 0x80)
	for i := 0; ok && i < len(name); i++ {
		c := name[i]
		ok = c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c >= 0x80
	}
	if !ok {
		return mongoerr.New(mongoerr.FailedToParse, "'%s' is no valid name of a user variable", name)
	}
	return nil
}

// expr is a compiled expression. It yields bsonkit.Missing for no value.
type expr func(*scope) (any, error)

// scope is what an expression is evaluated in: a document, and a chain of the
// variables bound around it.
type scope struct {
	root  any
	name  string
	value any
	up    *scope
}

func newScope(doc any) *scope { return &scope{root: doc} }

func (s *scope) bind(name string, value any) *scope {
	return &scope{root: s.root, name: name, value: value, up: s}
}

func (s *scope) lookup(name string) any {
	for ; s != nil; s = s.up {
		if s.name == name {
			return s.value
		}
	}
	return bsonkit.Missing
}

// exprCompiler holds the names that are bound where an expression stands.
type exprCompiler struct {
	vars   *Vars
	locals []string
}

// compileExpr compiles v, which CheckValue has seen. An operator that does not
// exist returns InvalidPipelineOperator.
func compileExpr(v any, vars *Vars) (expr, error) {
	if vars == nil {
		vars = &Vars{}
	}
	return (&exprCompiler{vars: vars}).compile(v)
}

func (c *exprCompiler) with(names ...string) *exprCompiler {
	return &exprCompiler{vars: c.vars, locals: append(slices.Clip(c.locals), names...)}
}

func constant(v any) expr { return func(*scope) (any, error) { return v, nil } }

func (c *exprCompiler) compile(v any) (expr, error) {
	switch v := v.(type) {
	case string:
		if strings.HasPrefix(v, "$$") {
			return c.variable(v[2:])
		}
		if strings.HasPrefix(v, "$") {
			path, err := fieldPath(v[1:])
			if err != nil {
				return nil, err
			}
			return func(s *scope) (any, error) { return descend(s.root, path), nil }, nil
		}
	case bson.A:
		return c.array(v)
	case bson.D:
		if len(v) > 0 && strings.HasPrefix(v[0].Key, "$") {
			return c.operator(v)
		}
		return c.object(v)
	}
	return constant(v), nil
}

func (c *exprCompiler) list(items bson.A) ([]expr, error) {
	list := make([]expr, len(items))
	for i, item := range items {
		var err error
		if list[i], err = c.compile(item); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func (c *exprCompiler) array(items bson.A) (expr, error) {
	list, err := c.list(items)
	if err != nil {
		return nil, err
	}
	return func(s *scope) (any, error) {
		out, err := evaluate(s, list)
		for i, v := range out {
			if v == bsonkit.Missing {
				out[i] = nil
			}
		}
		return bson.A(out), err
	}, nil
}

func evaluate(s *scope, list []expr) ([]any, error) {
	out := make([]any, len(list))
	for i, ex := range list {
		var err error
		if out[i], err = ex(s); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// object compiles a document whose fields are expressions.
func (c *exprCompiler) object(d bson.D) (expr, error) {
	list := make([]expr, len(d))
	for i, e := range d {
		if strings.HasPrefix(e.Key, "$") || strings.Contains(e.Key, ".") {
			return nil, mongoerr.New(16410, "FieldPath field names may not start with '$' or contain '.': '%s'", e.Key)
		}
		var err error
		if list[i], err = c.compile(e.Value); err != nil {
			return nil, err
		}
	}
	return func(s *scope) (any, error) {
		out := make(bson.D, 0, len(list))
		for i, ex := range list {
			v, err := ex(s)
			if err != nil {
				return nil, err
			}
			if v != bsonkit.Missing {
				out = append(out, bson.E{Key: d[i].Key, Value: v})
			}
		}
		return out, nil
	}, nil
}

// operator compiles {$op: argument}.
func (c *exprCompiler) operator(d bson.D) (expr, error) {
	if len(d) != 1 {
		return nil, mongoerr.New(15983, "An object representing an expression must have exactly one field, found %d with %s", len(d), d[0].Key)
	}
	name, arg := d[0].Key, d[0].Value
	if build := special(name); build != nil {
		return build(c, name, arg)
	}
	if op, ok := function(name); ok {
		return c.call(name, arg, op)
	}
	if slices.Contains(strings.Fields(lacking), name) {
		return nil, mongoerr.Unsupported("the expression %s", name)
	}
	return nil, mongoerr.New(mongoerr.InvalidPipelineOperator, "Unrecognized expression '%s'", name)
}

// lacking are MongoDB's expressions that this server has not.
const lacking = `$accumulator $acos $acosh $allElementsTrue $anyElementTrue $asin $asinh $atan $atan2 $atanh
	$binarySize $bitAnd $bitNot $bitOr $bitXor $bottom $bottomN $bsonSize $convert $cos $cosh $dateAdd $dateDiff
	$dateFromParts $dateFromString $dateSubtract $dateToParts $dateToString $dateTrunc $dayOfMonth $dayOfWeek
	$dayOfYear $degreesToRadians $exp $firstN $function $hour $indexOfArray $indexOfBytes $indexOfCP $isNumber
	$isoDayOfWeek $isoWeek $isoWeekYear $lastN $ln $log $log10 $ltrim $maxN $median $meta $millisecond $minN
	$minute $month $percentile $pow $radiansToDegrees $range $regexFind $regexFindAll $regexMatch $replaceAll
	$replaceOne $reverseArray $rtrim $sampleRate $second $setDifference $setEquals $setIntersection $setIsSubset
	$setUnion $sin $sinh $sortArray $sqrt $stdDevPop $stdDevSamp $strLenBytes $strcasecmp $substr $substrBytes
	$tan $tanh $toBool $toDecimal $toHashedIndexKey $toUUID $top $topN $trim $tsIncrement $tsSecond $week $year $zip`

// fieldPath splits the path of a field, which may have no empty parts and no
// part with a leading '$'.
func fieldPath(path string) ([]string, error) {
	if path == "" {
		return nil, mongoerr.New(16872, "'$' by itself is not a valid FieldPath")
	}
	parts := strings.Split(path, ".")
	for _, part := range parts {
		switch {
		case part == "":
			return nil, mongoerr.New(15998, "FieldPath field names may not be empty strings, in '%s'", path)
		case part[0] == '$':
			return nil, mongoerr.New(16410, "FieldPath field names may not start with '$'. Consider using $getField or $setField, in '%s'", path)
		case strings.Contains(part, "\x00"):
			return nil, mongoerr.New(16411, "FieldPath field names may not contain '\\0'")
		}
	}
	return parts, nil
}

// variable compiles "$$name" and "$$name.path".
func (c *exprCompiler) variable(ref string) (expr, error) {
	name, rest, dotted := strings.Cut(ref, ".")
	var path []string
	if dotted {
		var err error
		if path, err = fieldPath(rest); err != nil {
			return nil, err
		}
	}
	if slices.Contains(c.locals, name) {
		return func(s *scope) (any, error) { return descend(s.lookup(name), path), nil }, nil
	}
	if v, ok := c.vars.let[name]; ok {
		return constant(descend(v, path)), nil
	}
	switch name {
	case "ROOT", "CURRENT":
		return func(s *scope) (any, error) { return descend(s.root, path), nil }, nil
	case "NOW":
		return constant(descend(c.vars.now, path)), nil
	case "REMOVE":
		return constant(bsonkit.Missing), nil
	case "CLUSTER_TIME", "USER_ROLES", "SEARCH_META", "JS_SCOPE", "DESCEND", "PRUNE", "KEEP":
		return nil, mongoerr.Unsupported("the variable $$%s", name)
	}
	return nil, mongoerr.New(17276, "Use of undefined variable: %s", name)
}

// descend returns the value at a path; of an array on the way, those of its
// elements that are documents. Numbers are names here, not indexes.
func descend(v any, path []string) any {
	if len(path) == 0 {
		return v
	}
	switch v := v.(type) {
	case bson.D:
		return descend(field(v, path[0]), path[1:])
	case bson.A:
		out := bson.A{}
		for _, e := range v {
			if found := descend(e, path); found != bsonkit.Missing {
				out = append(out, found)
			}
		}
		return out
	}
	return bsonkit.Missing
}

// special returns the builder of an operator that does not simply evaluate all
// of its arguments; nil if name is none.
func special(name string) func(*exprCompiler, string, any) (expr, error) {
	switch name {
	case "$literal", "$const":
		return func(_ *exprCompiler, _ string, arg any) (expr, error) { return constant(arg), nil }
	case "$and", "$or":
		return (*exprCompiler).logical
	case "$cond":
		return (*exprCompiler).cond
	case "$ifNull":
		return (*exprCompiler).ifNull
	case "$switch":
		return (*exprCompiler).switching
	case "$let":
		return (*exprCompiler).letting
	case "$map":
		return (*exprCompiler).mapping
	case "$filter":
		return (*exprCompiler).filtering
	case "$reduce":
		return (*exprCompiler).reducing
	case "$getField", "$setField", "$unsetField":
		return (*exprCompiler).fieldAccess
	}
	return nil
}

func (c *exprCompiler) logical(name string, arg any) (expr, error) {
	list, err := c.list(asList(arg))
	if err != nil {
		return nil, err
	}
	return func(s *scope) (any, error) {
		for _, ex := range list {
			v, err := ex(s)
			if err != nil {
				return nil, err
			}
			if truthy(v) != (name == "$and") {
				return name == "$or", nil
			}
		}
		return name == "$and", nil
	}, nil
}

// asList reads an operator's argument: one that is no array stands for itself.
func asList(arg any) bson.A {
	if list, ok := arg.(bson.A); ok {
		return list
	}
	return bson.A{arg}
}

func (c *exprCompiler) cond(name string, arg any) (expr, error) {
	list, ok := arg.(bson.A)
	if !ok {
		args, err := named(name, arg, "if then else", "")
		if err != nil {
			return nil, err
		}
		list = bson.A{args["if"], args["then"], args["else"]}
	}
	if len(list) != 3 {
		return nil, wrongCount(name, 3, 3, len(list))
	}
	parts, err := c.list(list)
	if err != nil {
		return nil, err
	}
	return func(s *scope) (any, error) {
		v, err := parts[0](s)
		switch {
		case err != nil:
			return nil, err
		case truthy(v):
			return parts[1](s)
		}
		return parts[2](s)
	}, nil
}

// named reads an argument document with required and optional fields.
func named(op string, arg any, required, optional string) (map[string]any, error) {
	d, ok := arg.(bson.D)
	if !ok {
		return nil, mongoerr.New(mongoerr.FailedToParse, "%s only supports an object as its argument", op)
	}
	args := map[string]any{}
	known := append(strings.Fields(required), strings.Fields(optional)...)
	for _, e := range d {
		if !slices.Contains(known, e.Key) {
			return nil, mongoerr.New(mongoerr.FailedToParse, "Unrecognized parameter to %s: %s", op, e.Key)
		}
		args[e.Key] = e.Value
	}
	for _, key := range strings.Fields(required) {
		if _, ok := args[key]; !ok {
			return nil, mongoerr.New(mongoerr.FailedToParse, "Missing '%s' parameter to %s", key, op)
		}
	}
	return args, nil
}

func (c *exprCompiler) ifNull(name string, arg any) (expr, error) {
	list, err := c.list(asList(arg))
	if err != nil {
		return nil, err
	}
	if len(list) < 2 {
		return nil, mongoerr.New(1257300, "$ifNull needs at least two arguments, had: %d", len(list))
	}
	return func(s *scope) (v any, err error) {
		for _, ex := range list {
			if v, err = ex(s); err != nil || !nullish(v) {
				break
			}
		}
		return v, err
	}, nil
}

func (c *exprCompiler) switching(name string, arg any) (expr, error) {
	args, err := named(name, arg, "branches", "default")
	if err != nil {
		return nil, err
	}
	list, _ := args["branches"].(bson.A)
	if len(list) == 0 {
		return nil, mongoerr.New(40068, "$switch requires at least one branch, an array")
	}
	var cases, thens []expr
	for _, b := range list {
		branch, err := named(name, b, "case then", "")
		if err != nil {
			return nil, err
		}
		parts, err := c.list(bson.A{branch["case"], branch["then"]})
		if err != nil {
			return nil, err
		}
		cases, thens = append(cases, parts[0]), append(thens, parts[1])
	}
	otherwise := func(*scope) (any, error) {
		return nil, mongoerr.New(40066, "$switch could not find a matching branch for an input, and no default was specified.")
	}
	if v, ok := args["default"]; ok {
		if otherwise, err = c.compile(v); err != nil {
			return nil, err
		}
	}
	return func(s *scope) (any, error) {
		for i, when := range cases {
			v, err := when(s)
			if err != nil {
				return nil, err
			}
			if truthy(v) {
				return thens[i](s)
			}
		}
		return otherwise(s)
	}, nil
}

func (c *exprCompiler) letting(name string, arg any) (expr, error) {
	args, err := named(name, arg, "vars in", "")
	if err != nil {
		return nil, err
	}
	bindings, ok := args["vars"].(bson.D)
	if !ok {
		return nil, mongoerr.New(10065, "$let needs an object of vars")
	}
	names := make([]string, len(bindings))
	values := make(bson.A, len(bindings))
	for i, e := range bindings {
		if err := checkVariable(e.Key); err != nil {
			return nil, err
		}
		names[i], values[i] = e.Key, e.Value
	}
	list, err := c.list(values)
	if err != nil {
		return nil, err
	}
	in, err := c.with(names...).compile(args["in"])
	if err != nil {
		return nil, err
	}
	return func(s *scope) (any, error) {
		inner := s
		for i, ex := range list {
			v, err := ex(s)
			if err != nil {
				return nil, err
			}
			inner = inner.bind(names[i], v)
		}
		return in(inner)
	}, nil
}

// each compiles what $map and $filter share: the input, and an expression on
// its elements under the name of "as".
func (c *exprCompiler) each(op string, args map[string]any, body string) (func(*scope) (bson.A, bool, error), expr, string, error) {
	as := "this"
	if v, ok := args["as"]; ok {
		as, _ = v.(string)
		if err := checkVariable(as); err != nil {
			return nil, nil, "", err
		}
	}
	input, err := c.arrayInput(op, args["input"])
	if err != nil {
		return nil, nil, "", err
	}
	in, err := c.with(as).compile(args[body])
	return input, in, as, err
}

// arrayInput compiles an argument that must be an array; null yields not ok.
func (c *exprCompiler) arrayInput(op string, arg any) (func(*scope) (bson.A, bool, error), error) {
	ex, err := c.compile(arg)
	if err != nil {
		return nil, err
	}
	return func(s *scope) (bson.A, bool, error) {
		v, err := ex(s)
		if err != nil || nullish(v) {
			return nil, false, err
		}
		arr, ok := v.(bson.A)
		if !ok {
			return nil, false, wrongType(op, "an array", v)
		}
		return arr, true, nil
	}, nil
}

func (c *exprCompiler) mapping(name string, arg any) (expr, error) {
	args, err := named(name, arg, "input in", "as")
	if err != nil {
		return nil, err
	}
	input, in, as, err := c.each(name, args, "in")
	if err != nil {
		return nil, err
	}
	return func(s *scope) (any, error) {
		arr, ok, err := input(s)
		if !ok {
			return nil, err
		}
		out := make(bson.A, len(arr))
		for i, e := range arr {
			if out[i], err = in(s.bind(as, e)); err != nil {
				return nil, err
			}
			if out[i] == bsonkit.Missing {
				out[i] = nil
			}
		}
		return out, nil
	}, nil
}

func (c *exprCompiler) filtering(name string, arg any) (expr, error) {
	args, err := named(name, arg, "input cond", "as limit")
	if err != nil {
		return nil, err
	}
	input, cond, as, err := c.each(name, args, "cond")
	if err != nil {
		return nil, err
	}
	limit, err := c.compile(args["limit"])
	if err != nil {
		return nil, err
	}
	return func(s *scope) (any, error) {
		arr, ok, err := input(s)
		if !ok {
			return nil, err
		}
		n := int64(len(arr))
		if v, err := limit(s); err != nil {
			return nil, err
		} else if !nullish(v) {
			if n, ok = wholeNumber(v); !ok || n < 1 {
				return nil, mongoerr.New(327391, "$filter: limit must be a positive integer")
			}
		}
		out := bson.A{}
		for _, e := range arr {
			v, err := cond(s.bind(as, e))
			if err != nil {
				return nil, err
			}
			if truthy(v) && int64(len(out)) < n {
				out = append(out, e)
			}
		}
		return out, nil
	}, nil
}

func (c *exprCompiler) reducing(name string, arg any) (expr, error) {
	args, err := named(name, arg, "input initialValue in", "")
	if err != nil {
		return nil, err
	}
	input, err := c.arrayInput(name, args["input"])
	if err != nil {
		return nil, err
	}
	initial, err := c.compile(args["initialValue"])
	if err != nil {
		return nil, err
	}
	in, err := c.with("this", "value").compile(args["in"])
	if err != nil {
		return nil, err
	}
	return func(s *scope) (any, error) {
		arr, ok, err := input(s)
		if !ok {
			return nil, err
		}
		value, err := initial(s)
		for i := 0; i < len(arr) && err == nil; i++ {
			value, err = in(s.bind("this", arr[i]).bind("value", value))
		}
		return value, err
	}, nil
}

// fieldAccess compiles $getField, $setField and $unsetField, whose field is a
// name as it stands: dots and dollars are part of it.
func (c *exprCompiler) fieldAccess(op string, arg any) (expr, error) {
	if d, _ := arg.(bson.D); op == "$getField" && field(d, "field") == bsonkit.Missing {
		arg = bson.D{{Key: "field", Value: arg}} // the short form
	}
	required, optional := "field input", ""
	switch op {
	case "$getField":
		required, optional = "field", "input"
	case "$setField":
		required = "field input value"
	}
	args, err := named(op, arg, required, optional)
	if err != nil {
		return nil, err
	}
	if _, ok := args["input"]; !ok {
		args["input"] = "$$CURRENT"
	}
	if d, ok := args["field"].(bson.D); ok && len(d) == 1 && d[0].Key == "$literal" {
		args["field"] = d[0].Value
	}
	name, ok := args["field"].(string)
	if !ok || strings.Contains(name, "\x00") {
		return nil, mongoerr.New(5654602, "%s requires 'field' to evaluate to a constant string", op)
	}
	parts, err := c.list(bson.A{args["input"], args["value"]})
	if err != nil {
		return nil, err
	}
	return func(s *scope) (any, error) {
		v, err := evaluate(s, parts)
		if err != nil {
			return nil, err
		}
		doc, ok := v[0].(bson.D)
		switch {
		case !ok && op == "$getField":
			return bsonkit.Missing, nil
		case !ok && nullish(v[0]):
			return nil, nil
		case !ok:
			return nil, wrongType(op, "an object", v[0])
		case op == "$getField":
			return field(doc, name), nil
		case op == "$unsetField":
			return setField(doc, name, bsonkit.Missing), nil
		}
		return setField(doc, name, v[1]), nil
	}, nil
}
