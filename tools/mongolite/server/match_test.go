package server_test

import (
	"fmt"
	"math"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// differs says how got is not what is wanted: documents hold at least the
// wanted fields, a field wanted as "absent" is not there, "any" is any value, a
// text with ... stands for one that begins so, numbers are compared by value.
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
					return at + " is there"
				}
				continue
			case !hasField(g, e.Key):
				return at + " is missing"
			}
			if why := diff(e.Value, v, at); why != "" {
				return why
			}
		}
		return ""
	case bson.A:
		g, ok := got.(bson.A)
		if !ok || len(g) != len(w) {
			break
		}
		for i := range w {
			if why := diff(w[i], g[i], fmt.Sprintf("%s[%d]", path, i)); why != "" {
				return why
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
	return fmt.Sprintf("%s is %v, want %v", path, got, want)
}

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

func lookup(d bson.D, name string) any {
	for _, e := range d {
		if e.Key == name {
			return e.Value
		}
	}
	return nil
}

func hasField(d bson.D, name string) bool {
	for _, e := range d {
		if e.Key == name {
			return true
		}
	}
	return false
}

// at returns what lies at a path of documents.
func valueAt(d bson.D, path string) any {
	var v any = d
	for name := range strings.SplitSeq(path, ".") {
		inner, _ := v.(bson.D)
		v = lookup(inner, name)
	}
	return v
}

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
