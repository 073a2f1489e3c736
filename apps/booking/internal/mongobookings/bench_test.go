package mongobookings_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/event"

	"boxoffice/apps/booking/bookingtest"
	"boxoffice/apps/booking/internal/booking"
	"boxoffice/apps/booking/internal/mongobookings"
	"boxoffice/test/kit"
	"boxoffice/test/servers"
)

// BenchmarkCreate measures the commands that a create with a key sends to the database of
// the booking app: the read of its record and the insert of the booking, with and without
// the count of the user's pending tickets beside the read. Sixteen clients create bookings of
// one event, each time as another of 5,000 users, who have a pending booking of one ticket
// each.
func BenchmarkCreate(b *testing.B) {
	for _, counts := range []bool{false, true} {
		b.Run(fmt.Sprintf("limit=%t", counts), func(b *testing.B) { benchmarkCreate(b, counts) })
	}
}

func benchmarkCreate(b *testing.B, counts bool) {
	const users, pending, clients = 5_000, 1, 16
	var commands atomic.Int64
	m := servers.StartMongo(b)
	store, err := mongobookings.Open(mongobookings.Config{URI: m.URI, Database: m.Database, Monitor: &event.CommandMonitor{
		Started: func(context.Context, *event.CommandStartedEvent) { commands.Add(1) },
	}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(b.Context()), 10*time.Second)
		defer cancel()
		_ = store.Close(ctx)
	})
	if err := store.Prepare(b.Context()); err != nil {
		b.Fatal(err)
	}
	var ids atomic.Int64
	now := bookingtest.PendingBooking("").CreatedAt
	insert := func(user string) {
		one := bookingtest.PendingBooking(fmt.Sprintf("b%012d", ids.Add(1)))
		one.UserID, one.Quantity = user, 1
		fact := booking.Fact{ID: one.ID, Type: "booking.created", Subject: one.ID, At: now, Data: []byte(`{}`)}
		if err := store.InsertBooking(b.Context(), one, fact); err != nil {
			b.Error(err)
		}
	}
	kit.Concurrently(clients, func(client int) {
		for user := client; user < users; user += clients {
			for range pending {
				insert(fmt.Sprint("user", user))
			}
		}
	})
	create := func(user string) {
		counted := make(chan struct{})
		go func() {
			defer close(counted)
			if !counts {
				return
			}
			if n, err := store.CountPendingTickets(b.Context(), user, now, 40); err != nil || n < pending {
				b.Errorf("got %d pending tickets, %v, want at least %d", n, err, pending)
			}
		}()
		_, _ = store.GetBooking(b.Context(), "unknown")
		<-counted
		insert(user)
	}
	before := commands.Load()
	var left atomic.Int64
	left.Store(int64(b.N))
	b.ResetTimer()
	kit.Concurrently(clients, func(int) {
		for left.Add(-1) >= 0 {
			create(fmt.Sprint("user", rand.IntN(users)))
		}
	})
	b.StopTimer()
	b.ReportMetric(float64(commands.Load()-before)/float64(b.N), "commands/op")
}
