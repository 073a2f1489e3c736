package event_test

import (
	"archive/zip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // for Europe/Berlin

	"boxoffice/apps/event/eventtest"
	"boxoffice/apps/event/internal/event"
	"boxoffice/shared/contract"
	"boxoffice/shared/contract/eventapi"
)

// TestTimezonesAreNamesOfTheDatabase looks the list up in the Go distribution's copy of
// the database. The copy of a newer distribution may have more names, but never fewer.
func TestTimezonesAreNamesOfTheDatabase(t *testing.T) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	database, err := zip.OpenReader(filepath.Join(strings.TrimSpace(string(root)), "lib", "time", "zoneinfo.zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer database.Close()
	known := map[string]bool{}
	for _, file := range database.File {
		known[file.Name] = true
	}
	text, err := os.ReadFile("timezones.txt")
	if err != nil {
		t.Fatal(err)
	}
	names := strings.Fields(string(text))
	for _, name := range names {
		if !known[name] || strings.HasSuffix(name, "/") {
			t.Errorf("%s is not a time zone of the database", name)
		}
	}
	if len(names) < 590 || slices.Contains(names, "Factory") {
		t.Errorf("got %d names, want almost 600, without Factory: list them with unzip -Z1", len(names))
	}
}

func TestTimezoneIsAName(t *testing.T) {
	for name, want := range map[string]bool{
		"UTC": true, "Europe/Berlin": true, "America/Argentina/Buenos_Aires": true, "Asia/Kolkata": true,
		"": false, "Local": false, "localtime": false, "posixrules": false, "posix/Europe/Berlin": false, "right/UTC": false,
		"Factory": false, "leapseconds": false, "tzdata.zi": false, "zone.tab": false, "Etc/Unknown": false, "UTC ": false, "utc": false, "Z": false,
		"UTC\n": false, "UTC\x00": false, "Europe/Berlin\nUTC": false, "/Europe/Berlin": false, "EST5EDT,M3.2.0,M11.1.0": false, "US/Pacific-New": false,
		"Etc/GMT+12": true, "Etc/GMT-14": true, "EST5EDT": true, "America/Coyhaique": true, "Europe/Kyiv": true, "US/Pacific": true, "Etc/GMT-15": false,
		"europe/berlin": false, "../zoneinfo/UTC": false, "Europe": false, "Mars/Olympus": false, "+01:00": false,
	} {
		f := newFixture(t)
		_, err := f.create("gala", func(d *eventapi.Definition) { d.Timezone = ptr(name) })
		if got := err == nil; got != want {
			t.Errorf("%q: got accepted %v (%v), want %v", name, got, err, want)
		}
	}
}

// TestClockChangeDoesNotMoveASale sells until an instant that is two hours after a clock
// change of the event's time zone. The sale ends at the instant, whatever the clocks show.
func TestClockChangeDoesNotMoveASale(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	f := newFixture(t)
	f.now = time.Date(2030, 10, 26, 12, 0, 0, 0, time.UTC)
	// The clocks go back at 03:00 on 27 October, so 02:30 occurs twice.
	end := time.Date(2030, 10, 27, 4, 0, 0, 0, berlin)
	f.createGala(func(d *eventapi.Definition) {
		d.Timezone, d.SalesEndAt = ptr("Europe/Berlin"), ptr(contract.At(end))
	})
	f.now = time.Date(2030, 10, 27, 2, 59, 59, 0, time.UTC) // 03:59:59 in Berlin
	f.reserve("a_1_x", "u1", 1)
	f.now = time.Date(2030, 10, 27, 3, 0, 0, 0, time.UTC)
	_, err = eventtest.Reserve(t.Context(), f.Service, f.hold("b_1_x", "u1", 1))
	f.wantErr("after the end of the sale", err, event.ErrNotOnSale)
}
