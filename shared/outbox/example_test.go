package outbox_test

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"boxoffice/shared/outbox"
	"boxoffice/shared/outbox/outboxtest"
)

// printer is a bus that prints what is published.
type printer struct{}

func (printer) Publish(_ context.Context, r outbox.Record) error {
	fmt.Printf("%s %s %s\n", r.ID, r.Type, r.Data)
	return nil
}

// A program writes a fact together with a booking and crashes before it can enqueue the
// booking. The next sweep finds the fact and publishes it. Later the topic is recreated,
// so the fact is published again, with the same id.
func ExampleRelay() {
	ctx := context.Background()
	store := outboxtest.NewStore()
	now := time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)
	relay := outbox.New(outbox.Config{
		Store: store, Publisher: printer{}, Now: func() time.Time { return now }, Log: slog.Default(),
	})

	box := outbox.NewBox(ctx, "b1", []outbox.Fact{
		{ID: "f1", Type: "booking.created", Subject: "b1", At: now, Data: []byte(`{"seats":2}`)},
	})
	store.Add(box.Document, box.Due, box.Records...)

	now = now.Add(time.Minute)
	fmt.Println("sweep:", relay.Sweep(ctx))
	fmt.Println("sweep:", relay.Sweep(ctx))

	now = now.Add(time.Hour)
	fmt.Println("rewind:", relay.Rewind(ctx, now))
	fmt.Println("sweep:", relay.Sweep(ctx))
	// Output:
	// f1 booking.created {"seats":2}
	// sweep: <nil>
	// sweep: <nil>
	// rewind: <nil>
	// f1 booking.created {"seats":2}
	// sweep: <nil>
}
