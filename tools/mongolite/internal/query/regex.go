package query

// The query operator $regex: https://www.mongodb.com/docs/manual/reference/operator/query/regex/

import (
	"regexp"
	"strings"

	"github.com/256dpi/lungo/bsonkit"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"

	"boxoffice/tools/mongolite/internal/mongoerr"
)

// regexOperator compiles $regex with the $options beside it. The argument arg is
// a pattern or a BSON regular expression.
func regexOperator(path []string, ops bson.D, arg any) (*node, error) {
	options := ""
	if v := field(ops, "$options"); v != bsonkit.Missing {
		s, ok := v.(string)
		if !ok {
			return nil, mongoerr.New(mongoerr.BadValue, "$options has to be a string")
		}
		options = s
	}
	switch re := arg.(type) {
	case string:
		return regexNode(path, re, options)
	case primitive.Regex:
		if options != "" && re.Options != "" {
			return nil, mongoerr.New(51075, "options set in both $regex and $options")
		}
		return regexNode(path, re.Pattern, options+re.Options)
	}
	return nil, mongoerr.New(mongoerr.BadValue, "$regex has to be a string")
}

// regexNode returns a node that matches strings against a pattern. It also
// matches a BSON regular expression that equals the pattern and its options.
//
// Patterns use Go's RE2 syntax. regexNode returns an error for features that
// only MongoDB has: lookaround, back references and possessive quantifiers.
func regexNode(path []string, pattern, options string) (*node, error) {
	for _, o := range options {
		if !strings.ContainsRune("ims", o) {
			return nil, mongoerr.New(mongoerr.BadValue, "mongolite does not support the $regex option '%c'", o)
		}
	}
	source := pattern
	if options != "" {
		source = "(?" + options + ")" + pattern
	}
	re, err := regexp.Compile(source)
	if err != nil {
		return nil, mongoerr.New(mongoerr.BadValue, "mongolite does not support the $regex /%s/: %s", pattern, err)
	}
	return &node{op: "$regex", path: path, test: func(v any) (bool, error) {
		switch v := v.(type) {
		case string:
			return re.MatchString(v), nil
		case primitive.Regex:
			return v.Pattern == pattern && v.Options == options, nil
		}
		return false, nil
	}}, nil
}
