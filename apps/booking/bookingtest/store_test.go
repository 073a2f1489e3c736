package bookingtest_test

import (
	"testing"

	"boxoffice/apps/booking/bookingtest"
	"boxoffice/apps/booking/internal/booking"
)

func TestStoreConforms(t *testing.T) {
	bookingtest.Conform(t, func(*testing.T) bookingtest.Subject {
		s := bookingtest.NewStore()
		return bookingtest.Subject{Ports: s, Facts: func(*testing.T) []booking.Fact { return s.Unsent() }}
	})
}
