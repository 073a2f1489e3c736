package main

import "testing"

func TestTicketLimitUnmarshalText(t *testing.T) {
	for text, want := range map[string]ticketLimit{"40": 40, "1": 1, "10000": 10_000, "off": 0} {
		got := ticketLimit(7)
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%s: got %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "0", "-1", "10001", "1.5", "many", "OFF", "none"} {
		var got ticketLimit
		if err := got.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q: got %d, want an error", text, got)
		}
	}
}

func TestPendingLimitAllowsTheLargestBooking(t *testing.T) {
	for limit, isValid := range map[ticketLimit]bool{0: true, 9: false, 10: true, 40: true} {
		if err := limit.check(10); (err == nil) != isValid {
			t.Errorf("limit %d with bookings of 10 tickets: got %v", limit, err)
		}
	}
}
