package daprpub_test

import (
	"testing"
	"time"

	"boxoffice/shared/daprpub"
	"boxoffice/shared/telemetry"
	"boxoffice/test/kit"
)

func TestBacklogShowsTheAgeInSeconds(t *testing.T) {
	meters, err := telemetry.NewMetrics("booking", "booking-1")
	if err != nil {
		t.Fatal(err)
	}
	backlog := daprpub.Backlog(meters)
	want := func(when string, want float64) {
		t.Helper()
		if got, ok := kit.Scrape(t, meters)["boxoffice_outbox_backlog_age_seconds"]; !ok || got != want {
			t.Errorf("%s: got %v, %v, want %v", when, got, ok, want)
		}
	}
	want("before the first sweep", 0)
	backlog(t.Context(), 90*time.Second)
	want("with a backlog", 90)
	backlog(t.Context(), 0)
	want("when everything is published", 0)
}
