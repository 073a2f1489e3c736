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

// doc reads a document from relaxed extended JSON with single quotes.
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

// text shows a value with its types, for comparisons.
func text(t testing.TB, v any) string {
	t.Helper()
	raw, err := bson.MarshalExtJSON(bson.D{{Key: "v", Value: v}}, true, false)
	if err != nil {
		t.Fatalf("%v: %v", v, err)
	}
	return string(raw)
}

func same(t testing.TB, got, want any) {
	t.Helper()
	if g, w := text(t, got), text(t, want); g != w {
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

// refused checks an error's code and that its message holds a word.
func refused(t testing.TB, err error, code mongoerr.Code, word string) {
	t.Helper()
	var e *mongoerr.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want code %d", err, code)
	}
	if e.Code != code || !strings.Contains(e.Message, word) {
		t.Errorf("got %d %q, want %d with %q", e.Code, e.Message, code, word)
	}
}

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

func name(parts ...any) string { return strings.TrimSpace(fmt.Sprintln(parts...)) }
