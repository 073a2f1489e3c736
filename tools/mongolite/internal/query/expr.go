package query

// Expressions and their variables:
// https://www.mongodb.com/docs/manual/reference/operator/aggregation/ and
// https://www.mongodb.com/docs/manual/reference/aggregation-variables/

import (
	"slices"
	"strings"
	"time"

	"github.com/256dpi/lungo/bsonkit"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"

	"boxoffice/tools/mongolite/internal/mongoerr"
)

// Vars holds the variables of one statement: $$NOW, which keeps the same value
// throughout the statement, and the variables of its let document.
type Vars struct {
	now primitive.DateTime
	let map[string]any
}

// NewVars returns the variables of a statement that runs at the time now. It
// evaluates the values of let, which are expressions that cannot refer to
// fields.
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

// checkVariable returns an error unless name is valid for a user variable.
func checkVariable(name string) error {
	ok := name != "" && (name[0] >= 'a' && name[0] <= 'z' || name[0] >= 0x80)
	for i := 0; ok && i < len(name); i++ {
		c := name[i]
		ok = c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c >= 0x80
	}
	if !ok {
		return mongoerr.New(mongoerr.FailedToParse, "'%s' is not a valid name for a user variable", name)
	}
	return nil
}

// expr is a compiled expression. It returns bsonkit.Missing if the expression
// has no value.
type expr func(*scope) (any, error)

// scope is the environment in which an expression is evaluated. It consists of
// the document and a linked list of variables, the innermost first.
type scope struct {
	root  any
	name  string
	value any
	outer *scope
}

func newScope(doc any) *scope { return &scope{root: doc} }

func (s *scope) bind(name string, value any) *scope {
	return &scope{root: s.root, name: name, value: value, outer: s}
}

func (s *scope) lookup(name string) any {
	for ; s != nil; s = s.outer {
		if s.name == name {
			return s.value
		}
	}
	return bsonkit.Missing
}

// exprCompiler compiles expressions.
type exprCompiler struct {
	vars   *Vars
	locals []string // names of the variables in scope
}

// compileExpr compiles v, which must have passed CheckValue. It returns
// InvalidPipelineOperator for an unknown operator.
func compileExpr(v any, vars *Vars) (expr, error) {
	if vars == nil {
		vars = &Vars{}
	}
	return (&exprCompiler{vars: vars}).compile(v)
}

// with returns a copy of the compiler that also has the named variables in scope.
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
			path, err := parseFieldPath(v[1:])
			if err != nil {
				return nil, err
			}
			return func(s *scope) (any, error) { return valueAtPath(s.root, path), nil }, nil
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

func (c *exprCompiler) compileAll(items bson.A) ([]expr, error) {
	list := make([]expr, len(items))
	for i, item := range items {
		var err error
		if list[i], err = c.compile(item); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// array compiles an array of expressions. An element without a value becomes
// null.
func (c *exprCompiler) array(items bson.A) (expr, error) {
	list, err := c.compileAll(items)
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

// evaluate returns the values of the expressions in list.
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

// object compiles a document whose fields are expressions. A field without a
// value is omitted.
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
	if compile := specialForm(name); compile != nil {
		return compile(c, name, arg)
	}
	if f, ok := findFunction(name); ok {
		return c.call(name, arg, f)
	}
	if slices.Contains(strings.Fields(unsupportedExpressions), name) {
		return nil, mongoerr.Unsupported("the expression %s", name)
	}
	return nil, mongoerr.New(mongoerr.InvalidPipelineOperator, "Unrecognized expression '%s'", name)
}

// unsupportedExpressions lists the expression operators of MongoDB that this
// server does not support.
const unsupportedExpressions = `$accumulator $acos $acosh $allElementsTrue $anyElementTrue $asin $asinh $atan $atan2 $atanh
	$binarySize $bitAnd $bitNot $bitOr $bitXor $bottom $bottomN $bsonSize $convert $cos $cosh $dateAdd $dateDiff
	$dateFromParts $dateFromString $dateSubtract $dateToParts $dateToString $dateTrunc $dayOfMonth $dayOfWeek
	$dayOfYear $degreesToRadians $exp $firstN $function $hour $indexOfArray $indexOfBytes $indexOfCP $isNumber
	$isoDayOfWeek $isoWeek $isoWeekYear $lastN $ln $log $log10 $ltrim $maxN $median $meta $millisecond $minN
	$minute $month $percentile $pow $radiansToDegrees $range $regexFind $regexFindAll $regexMatch $replaceAll
	$replaceOne $reverseArray $rtrim $sampleRate $second $setDifference $setEquals $setIntersection $setIsSubset
	$setUnion $sin $sinh $sortArray $sqrt $stdDevPop $stdDevSamp $strLenBytes $strcasecmp $substr $substrBytes
	$tan $tanh $toBool $toDecimal $toHashedIndexKey $toUUID $top $topN $trim $tsIncrement $tsSecond $week $year $zip`

// parseFieldPath splits the path of a field at the dots. It returns an error if
// a part is empty, begins with '$' or contains a zero byte.
func parseFieldPath(path string) ([]string, error) {
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
		if path, err = parseFieldPath(rest); err != nil {
			return nil, err
		}
	}
	if slices.Contains(c.locals, name) {
		return func(s *scope) (any, error) { return valueAtPath(s.lookup(name), path), nil }, nil
	}
	if v, ok := c.vars.let[name]; ok {
		return constant(valueAtPath(v, path)), nil
	}
	switch name {
	case "ROOT", "CURRENT":
		return func(s *scope) (any, error) { return valueAtPath(s.root, path), nil }, nil
	case "NOW":
		return constant(valueAtPath(c.vars.now, path)), nil
	case "REMOVE":
		return constant(bsonkit.Missing), nil
	case "CLUSTER_TIME", "USER_ROLES", "SEARCH_META", "JS_SCOPE", "DESCEND", "PRUNE", "KEEP":
		return nil, mongoerr.Unsupported("the variable $$%s", name)
	}
	return nil, mongoerr.New(17276, "Use of undefined variable: %s", name)
}

// valueAtPath returns the value that an expression's field path selects in v. For
// an array on the path, it returns an array of the values in those elements
// that have the path. A numeric part of the path is a field name, never an
// array index.
func valueAtPath(v any, path []string) any {
	if len(path) == 0 {
		return v
	}
	switch v := v.(type) {
	case bson.D:
		return valueAtPath(field(v, path[0]), path[1:])
	case bson.A:
		out := bson.A{}
		for _, e := range v {
			if found := valueAtPath(e, path); found != bsonkit.Missing {
				out = append(out, found)
			}
		}
		return out
	}
	return bsonkit.Missing
}
