package traces_test

import (
	"strings"
	"testing"

	"boxoffice/tools/traces"
)

// traceOf returns a trace that has exactly the given parts.
func traceOf(parts []traces.Part) *traces.Span {
	root := &traces.Span{Service: "gateway", Name: "POST /api/bookings"}
	for _, p := range parts {
		at := root
		for i, step := range p.Path {
			next, err := at.Find(step)
			if err != nil {
				label, sidecar := strings.CutPrefix(p.Path[i], "daprd ")
				service, name, _ := strings.Cut(label, " ")
				next = &traces.Span{Service: service, Name: name, Sidecar: sidecar}
				at.Children = append(at.Children, next)
			}
			at = next
		}
	}
	return root
}

func TestErrorNamesTheMissingPart(t *testing.T) {
	all := traces.BookingParts()
	if err := traces.CheckBooking(traceOf(all)); err != nil {
		t.Fatal(err)
	}
	for _, missing := range all {
		var rest []traces.Part
		for _, p := range all {
			if len(p.Path) < len(missing.Path) || strings.Join(p.Path[:len(missing.Path)], "\n") != strings.Join(missing.Path, "\n") {
				rest = append(rest, p)
			}
		}
		if err := traces.CheckBooking(traceOf(rest)); err == nil || !strings.Contains(err.Error(), missing.Name+" is missing") {
			t.Errorf("without %s: got %v, want an error that names it", missing.Name, err)
		}
	}
	if err := traces.CheckBooking(&traces.Span{Service: "gateway", Name: "GET /api/events"}); err == nil {
		t.Error("another trace: got no error, want one")
	}
}
