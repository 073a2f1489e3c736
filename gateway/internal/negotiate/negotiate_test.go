package negotiate_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"boxoffice/gateway/internal/negotiate"
)

// The example of RFC 9110, section 12.5.1, with every weight below 0.5 set to zero.
func TestMostSpecificRangeDecides(t *testing.T) {
	accept := parse(t, "text/*;q=0, text/plain;q=0.7, text/plain;format=flowed, text/plain;format=fixed;q=0, */*;q=0.5")
	for mediaType, want := range map[string]bool{
		"text/plain": true, "text/html": false, "image/jpeg": true, "application/json": true,
	} {
		if got := accept.Allows(mediaType); got != want {
			t.Errorf("%s: got %v, want %v", mediaType, got, want)
		}
	}
}

func TestAllowsAndRefuses(t *testing.T) {
	for _, tt := range []struct {
		header            string
		isAllowed, refuse bool
	}{
		{"", true, false},
		{" , ,", true, false},
		{"text/html", false, false},
		{"application/json", true, false},
		{"application/json;q=0", false, true},
		{"*/*;q=0", false, true},
		{"*/*;q=0,application/json;q=0.", false, true},
		{"garbage", false, false},
		{"*;q=0.0", false, true},
		{"*/json", false, false},
		{"/json, application/, /, ;q=1", false, false},
		{"appli cation/json", false, false},
		{"application/json;a=\"b;q=0\"", true, false},
		{"application/json;q=0;q=1", false, true},
		{"application/json;q=00", false, true},
		{"application/json;q=.", true, false},
	} {
		accept := parse(t, tt.header)
		if got, refuses := accept.Allows("application/json"), accept.Refuses("application/json"); got != tt.isAllowed || refuses != tt.refuse {
			t.Errorf("%q: got allowed %v, refused %v, want %v, %v", tt.header, got, refuses, tt.isAllowed, tt.refuse)
		}
	}
}

func parse(t *testing.T, lines ...string) negotiate.Accept {
	t.Helper()
	accept, err := negotiate.ParseAccept(bytesOf(lines))
	if err != nil {
		t.Fatalf("%q: %v", lines, err)
	}
	return accept
}

func bytesOf(lines []string) [][]byte {
	var all [][]byte
	for _, line := range lines {
		all = append(all, []byte(line))
	}
	return all
}

func TestLimitsCountAllLines(t *testing.T) {
	most := strings.Repeat("a/b,", negotiate.MaxRanges)
	parse(t, most)
	parse(t, most[:8], most[8:])
	parse(t, strings.Repeat(",", negotiate.MaxAccept))
	for _, lines := range [][]string{{most + "a/b"}, {most, "a/b"}, {strings.Repeat(" ", negotiate.MaxAccept), " "}} {
		if _, err := negotiate.ParseAccept(bytesOf(lines)); !errors.Is(err, negotiate.ErrTooLarge) {
			t.Errorf("%d lines: got %v, want ErrTooLarge", len(lines), err)
		}
	}
}

func TestEntityTags(t *testing.T) {
	for _, tt := range []struct {
		value string // field lines, separated by a vertical bar
		want  string
	}{
		{`"a"`, `"a"`},
		{`W/"a", "b"`, `W/"a" "b"`},
		{`"a"|"b"`, `"a" "b"`},
		{`,,"a" ,	"b",`, `"a" "b"`},
		{`"a,b"`, `"a,b"`},
		{`"a\", "b"`, `"a\" "b"`}, // a backslash has no meaning in an entity tag
		{`""`, `""`},
		{"\"\x80\"", "\"\x80\""},
		{"*", "any"},
		{" * |", "any"},
		{"*, *", "malformed"},
		{`*, "a"`, "malformed"},
		{`"a" "b"`, "malformed"},
		{`w/"a"`, "malformed"},
		{`W/a`, "malformed"},
		{`"a`, "malformed"},
		{`"a b"`, "malformed"},
		{"", "malformed"},
		{" , ", "malformed"},
	} {
		tags, isAny, ok := negotiate.EntityTags(bytesOf(strings.Split(tt.value, "|")))
		got := strings.Join(tags, " ")
		switch {
		case isAny:
			got = "any"
		case !ok:
			got = "malformed"
		}
		if got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.value, got, tt.want)
		}
	}
}

// FuzzHeaders parses arbitrary headers. No function may panic, and a type cannot be both
// allowed and refused.
func FuzzHeaders(f *testing.F) {
	for _, s := range []string{"", "*/*", `a/b;c="d\",e";q=0, application/json`, `W/"x",*`, "identity,gzip", `"\`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		lines := bytesOf(strings.Split(s, "\n"))
		if accept, err := negotiate.ParseAccept(lines); err == nil && accept.Allows("application/json") && accept.Refuses("application/json") {
			t.Errorf("%q: got both allowed and refused", s)
		}
		if _, isAny, ok := negotiate.EntityTags(lines); isAny && !ok {
			t.Errorf("%q: got any entity tag in a malformed header", s)
		}
		negotiate.IsIdentity(lines)
		negotiate.IsMediaType([]byte(s), "application/json")
	})
}

// BenchmarkAccept parses the largest accepted headers, and a larger one.
func BenchmarkAccept(b *testing.B) {
	for name, header := range map[string]string{
		"common": "application/json, text/plain, */*", "ranges": strings.Repeat("a/b;c=\"d\";q=0.5,", negotiate.MaxRanges),
		"quotes": strings.Repeat(`"\`, negotiate.MaxAccept/2), "refused": strings.Repeat("a/b,", 4000),
	} {
		b.Run(name, func(b *testing.B) {
			lines := bytesOf([]string{header})
			began := time.Now()
			for b.Loop() {
				accept, _ := negotiate.ParseAccept(lines)
				accept.Allows("application/json")
			}
			b.ReportMetric(float64(time.Since(began).Nanoseconds())/float64(b.N*max(1, len(header))), "ns/B")
		})
	}
}
