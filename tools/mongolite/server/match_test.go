package server_test

import (
	"fmt"
	"math"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// diff describes how got fails to match want, or returns "" if it matches. A
// document matches if it has at least the wanted fields. Numbers are compared by
// value. In want, the string "absent" means that the field must not exist, "any"
// matches every value, and a string that ends in ... matches by its prefix.
func diff(want, got any, path string) string {
	switch w := want.(type) {
	case bson.D:
		g, ok := got.(bson.D)
		if !ok {
			break
		}
		for _, e := range w {
			at := path + "." + e.Key
			v := lookup(g, e.Key)
			switch {
			case e.Value == "absent":
				if hasField(g, e.Key) {
					return at + " is present, want it absent"
				}
				continue
			case !hasField(g, e.Key):
				return at + " is missing"
			}
			if d := diff(e.Value, v, at); d != "" {
				return d
			}
		}
		return ""
	case bson.A:
		g, ok := got.(bson.A)
		if !ok || len(g) != len(w) {
			break
		}
		for i := range w {
			if d := diff(w[i], g[i], fmt.Sprintf("%s[%d]", path, i)); d != "" {
				return d
			}
		}
		return ""
	case string:
		if begin, ok := strings.CutSuffix(w, "..."); ok {
			if g, ok := got.(string); ok && strings.HasPrefix(g, begin) {
				return ""
			}
			break
		}
		if w == "any" || w == got {
			return ""
		}
	default:
		if a, b := toFloat(want), toFloat(got); a == b && !math.IsNaN(a) {
			return ""
		}
		if math.IsNaN(toFloat(want)) && fmt.Sprintf("%T %v", want, want) == fmt.Sprintf("%T %v", got, got) {
			return ""
		}
	}
	return fmt.Sprintf("%s: got %v, want %v", path, got, want)
}

// toFloat returns a number as a float64, and NaN for any other value.
func toFloat(v any) float64 {
	switch v := v.(type) {
	case int:
		return float64(v)
	case int32:
		return float64(v)
	case int64:
		return float64(v)
	case float64:
		return v
	}
	return math.NaN()
}

// lookup returns the value of a field, or nil if the field does not exist.
func lookup(d bson.D, name string) any {
	for _, e := range d {
		if e.Key == name {
			return e.Value
		}
	}
	return nil
}

// hasField reports whether d has a field with this name.
func hasField(d bson.D, name string) bool {
	for _, e := range d {
		if e.Key == name {
			return true
		}
	}
	return false
}

// valueAt returns the value at a dotted path, or nil if there is none.
func valueAt(d bson.D, path string) any {
	var v any = d
	for name := range strings.SplitSeq(path, ".") {
		inner, _ := v.(bson.D)
		v = lookup(inner, name)
	}
	return v
}

// toJSON returns a document as extended JSON of at most 2000 bytes, and any other
// value as fmt.Sprint does.
func toJSON(v any) string {
	d, ok := v.(bson.D)
	if !ok {
		return fmt.Sprint(v)
	}
	raw, err := bson.MarshalExtJSON(d, false, false)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(raw[:min(len(raw), 2000)])
}
