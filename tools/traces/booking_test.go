package traces_test

import (
	"strings"
	"testing"

	"boxoffice/tools/traces"
)

// holding is a trace that holds those parts and nothing else.
func holding(parts []traces.Part) *traces.Span {
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

func TestMissingPartIsNamed(t *testing.T) {
	all := traces.BookingParts()
	if err := traces.Booking(holding(all)); err != nil {
		t.Fatal(err)
	}
	for _, missing := range all {
		var rest []traces.Part
		for _, p := range all {
			if len(p.Path) < len(missing.Path) || strings.Join(p.Path[:len(missing.Path)], "\n") != strings.Join(missing.Path, "\n") {
				rest = append(rest, p)
			}
		}
		if err := traces.Booking(holding(rest)); err == nil || !strings.Contains(err.Error(), missing.Name+" is missing") {
			t.Errorf("without %s: got %v", missing.Name, err)
		}
	}
	if err := traces.Booking(&traces.Span{Service: "gateway", Name: "GET /api/events"}); err == nil {
		t.Error("another trace passes for a booking's")
	}
}
