package booking_test

import (
	"os"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"boxoffice/apps/booking/bookingtest"
	"boxoffice/apps/booking/internal/booking"
	"boxoffice/shared/contract/bookingapi"
)

func TestKeylessRefusedRecordIsPurgedSoon(t *testing.T) {
	for key, want := range map[string]time.Duration{"": booking.KeylessRetention, "key": 24 * time.Hour} {
		f := newFixture(t)
		f.onReserve = func(string) error { return errSoldOut }
		id := "own-id"
		if key != "" {
			id = bookingtest.KeyedID("u1", key)
		}
		for range 2 { // the duplicate of a keyed request raises the number
			_, err := f.CreateBooking(t.Context(), request(key, 2))
			f.wantErr("create", err, errSoldOut)
			if got := f.record(id).PurgeAt.Sub(f.now); got != want {
				t.Errorf("key %q: got the record kept for %s, want %s", key, got, want)
			}
			if key != "" {
				f.now = f.now.Add(time.Hour)
			}
		}
		f.onReserve = nil
		if key == "" {
			continue
		}
		f.book(request(key, 2))
		if at := f.record(id).PurgeAt; !at.IsZero() {
			t.Errorf("booking: got purged at %s, want never", at)
		}
	}
}

// A sidecar may repeat a request without a key. If the repetition is refused, an earlier
// attempt must not create the booking, not even once the record of the refusal is deleted.
func TestKeylessRefusalOutlastsEveryAttempt(t *testing.T) {
	var policies struct {
		Spec struct {
			Policies struct {
				Timeouts map[string]time.Duration
				Retries  map[string]struct {
					Duration   time.Duration
					MaxRetries int `yaml:"maxRetries"`
				}
			}
			Targets struct {
				Apps map[string]struct{ Timeout, Retry string }
			}
		}
	}
	data, err := os.ReadFile("../../../../dapr/resiliency.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(data, &policies); err != nil {
		t.Fatal(err)
	}
	spec := policies.Spec
	target := spec.Targets.Apps[bookingapi.App]
	timeout, retry := spec.Policies.Timeouts[target.Timeout], spec.Policies.Retries[target.Retry]
	if timeout == 0 || retry.MaxRetries == 0 || retry.Duration == 0 {
		t.Fatalf("got timeout %s and retries %+v of the booking app, want both set", timeout, retry)
	}
	const insert = 5 * time.Second // the time after which a command is given up
	last := time.Duration(retry.MaxRetries+1)*timeout + time.Duration(retry.MaxRetries)*retry.Duration
	if least := last + bookingapi.CreateBooking.Timeout + insert; booking.KeylessRetention < least+30*time.Second {
		t.Errorf("got refusals without a key kept for %s, want at least %s, and 30s for clocks that differ", booking.KeylessRetention, least)
	}

	f := newFixture(t)
	f.onReserve = func(string) error {
		f.now = f.now.Add(bookingapi.CreateBooking.Timeout + time.Millisecond) // the process stalls
		return nil
	}
	_, err = f.CreateBooking(t.Context(), request("", 2))
	f.wantErr("create that stalled", err, errUnknown)
	f.wantCalls("create that stalled", "reserve")
	if b := f.book(request("key", 2)); b.Booking.ID == "" { // its number is fenced
		t.Error("create with a key that stalled: got no booking")
	}
}

// Once SettleHold has answered that a hold is not live, the record must stay for as long as
// any process can stall, even if it came from a refusal that needs it for a short time only.
func TestSettledKeylessRefusalIsKeptForADay(t *testing.T) {
	f := newFixture(t)
	var hold string
	f.onReserve = func(id string) error { hold = id; return errSoldOut }
	_, err := f.CreateBooking(t.Context(), request("", 2))
	f.wantErr("create", err, errSoldOut)
	refused := f.now
	f.now = f.now.Add(time.Minute)
	for range 2 {
		f.calls = nil
		got, err := f.SettleHold(t.Context(), bookingapi.SettleRequest{HoldID: hold})
		if err != nil || got.Live {
			t.Errorf("settle: got %+v, %v, want not live", got, err)
		}
		if b := f.record("own-id"); b.PurgeAt.Sub(refused) != 24*time.Hour || b.HoldNumber != 2 || b.UpdatedAt != refused {
			t.Errorf("got %+v, want number 2, invalid since %s and kept for a day", b, refused)
		}
	}
	f.wantCalls("second settle", "bookings.read")
}
