package main

import "testing"

// The names cannot be told from outside without a broker; the devstack's tests
// run the command against one.
func TestRunNamesWhatIsMissing(t *testing.T) {
	err := run(t.Context(), func(string) string { return "" }, t.Output())
	if want := "configuration: NATS_URL is not set"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
