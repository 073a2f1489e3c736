package query_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/internal/mongoerr"
	"boxoffice/tools/mongolite/internal/query"
)

var now = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)

// doc parses a document in relaxed extended JSON with single quotes.
func doc(t testing.TB, text string) bson.D {
	t.Helper()
	var d bson.D
	if err := bson.UnmarshalExtJSON([]byte(strings.ReplaceAll(text, "'", `"`)), false, &d); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return d
}

func value(t testing.TB, text string) any { t.Helper(); return doc(t, "{'v': "+text+"}")[0].Value }

func list(t testing.TB, text string) bson.A {
	t.Helper()
	if text == "" {
		return nil
	}
	return value(t, text).(bson.A)
}

func docs(t testing.TB, text string) []bson.D {
	t.Helper()
	var out []bson.D
	for _, v := range list(t, text) {
		out = append(out, v.(bson.D))
	}
	return out
}

// canonicalJSON formats v so that equal texts mean equal values of equal types.
func canonicalJSON(t testing.TB, v any) string {
	t.Helper()
	raw, err := bson.MarshalExtJSON(bson.D{{Key: "v", Value: v}}, true, false)
	if err != nil {
		t.Fatalf("%v: %v", v, err)
	}
	return string(raw)
}

// checkEqual fails the test unless got and want have equal values and types.
func checkEqual(t testing.TB, got, want any) {
	t.Helper()
	if g, w := canonicalJSON(t, got), canonicalJSON(t, want); g != w {
		t.Errorf("got  %s\nwant %s", g, w)
	}
}

func vars(t testing.TB) *query.Vars {
	t.Helper()
	v, err := query.NewVars(now, doc(t, "{'five': {'$add': [2, 3]}, 'obj': {'a': {'b': 7}}}"))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// checkError fails the test unless err has the given code and its message
// contains text.
func checkError(t testing.TB, err error, code mongoerr.Code, text string) {
	t.Helper()
	var e *mongoerr.Error
	if !errors.As(err, &e) {
		t.Fatalf("got error %v, want one with code %d", err, code)
	}
	if e.Code != code || !strings.Contains(e.Message, text) {
		t.Errorf("got error %d %q, want code %d and a message that contains %q", e.Code, e.Message, code, text)
	}
}

// drain returns the remaining documents of an iterator and closes the iterator.
func drain(t testing.TB, it query.Iterator) ([]bson.D, error) {
	t.Helper()
	defer it.Close()
	var out []bson.D
	for {
		d, err := it.Next()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
}

// subtestName joins parts with spaces.
func subtestName(parts ...any) string { return strings.TrimSpace(fmt.Sprintln(parts...)) }
