package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

const (
	// expiryTimeout limits how long a run waits until its bookings have expired.
	expiryTimeout = 30 * time.Minute
	expiryPoll    = 2 * time.Second
)

// measureExpiry creates bookings of one event, lets all of them become due at the same time,
// and measures how long the sweeps take to expire them, to give their seats back and to
// publish their facts.
func (b *bench) measureExpiry(ctx context.Context) error {
	created, err := b.createPending(ctx)
	if err != nil {
		return err
	}
	before, err := b.meter.read(ctx)
	if err != nil {
		return err
	}
	start := time.Now()
	if err := b.makeDue(ctx); err != nil {
		return err
	}
	expired, drained, err := b.awaitExpiry(ctx, start)
	if err != nil {
		return err
	}
	after, err := b.meter.read(ctx)
	if err != nil {
		return err
	}
	rate := func(d time.Duration) float64 { return float64(b.expire) / d.Seconds() }
	b.printf("\n%d bookings were created at %.0f/s.\n", b.expire, created)
	b.printf("They expired within %s, %.0f/s: %.1f times the rate of creation.\n", expired.Round(time.Second), rate(expired), rate(expired)/created)
	b.printf("After %s, %.0f/s, their seats were free, no obligation was left, and every fact was published.\n",
		drained.Round(time.Second), rate(drained))
	b.printf("Processor time in ms for each booking, from due to published:")
	spent := after.since(before).dividedBy(float64(b.expire))
	for _, counter := range slices.Sorted(maps.Keys(spent)) {
		if strings.HasPrefix(counter, cpu("")) {
			b.printf(" %s %.2f;", strings.TrimPrefix(counter, cpu("")), spent[counter])
		}
	}
	b.printf("\n")
	return nil
}

// createPending creates the bookings, and returns the rate at which requests succeeded.
func (b *bench) createPending(ctx context.Context) (rate float64, err error) {
	var hot rung
	for _, r := range b.ladder() {
		if r.name == hotRung {
			hot = r
		}
	}
	callers, requests := newCallers(b.clients), 0
	var took time.Duration
	for requests < b.expire {
		done, err := b.measureBlock(ctx, hot, callers, limit{requests: min(fillChunk, b.expire-requests)})
		if err != nil {
			return 0, err
		}
		requests, took = requests+done.requests, took+done.took
		b.printf("%6d bookings  %6.0f/s\n", requests, done.rate())
	}
	return float64(requests) / took.Seconds(), nil
}

func (b *bench) bookings() *mongo.Collection {
	return b.meter.mongo.Database("booking").Collection("bookings")
}

// makeDue makes all pending bookings due. A client cannot do that: it would have to wait for
// BOOKING_TTL, and the first bookings would expire while the last ones are created.
func (b *bench) makeDue(ctx context.Context) error {
	_, err := b.bookings().UpdateMany(ctx, bson.D{{Key: "state", Value: "pending"}},
		bson.D{{Key: "$set", Value: bson.D{{Key: "expiresAt", Value: time.Now()}}}})
	return err
}

// awaitExpiry waits until no booking is pending, and then until nothing is left to do for
// them. It returns the time that each took from start.
func (b *bench) awaitExpiry(ctx context.Context, start time.Time) (expired, drained time.Duration, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, expiryTimeout, fmt.Errorf("the bookings have not expired within %s", expiryTimeout))
	defer cancel()
	tick := time.NewTicker(expiryPoll)
	defer tick.Stop()
	shown := 0
	for {
		left, err := b.left(ctx)
		switch {
		case ctx.Err() != nil:
			return 0, 0, context.Cause(ctx)
		case err != nil:
			return 0, 0, err
		}
		took := time.Since(start)
		if !left.pending && expired == 0 {
			expired = took
		}
		if left == (backlog{}) {
			return expired, took, nil
		}
		if seconds := int(took.Seconds()) / 10; seconds > shown {
			shown = seconds
			b.printf("%4.0f s  %6d seats held\n", took.Seconds(), left.held)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// backlog is what is left to do: whether any booking is pending, owes the event app a move or
// has an unpublished fact, and how many seats are held.
type backlog struct {
	pending, owing, unpublished bool
	held                        int64
}

// left reads the backlog. It reads one document of an index for each question, because a
// count of a hundred thousand documents every few seconds would slow down what it measures.
func (b *bench) left(ctx context.Context) (backlog, error) {
	var left backlog
	due := bson.D{{Key: "$lte", Value: time.Now().AddDate(1, 0, 0)}}
	for _, question := range []struct {
		answer *bool
		filter bson.D
	}{
		{&left.pending, bson.D{{Key: "state", Value: "pending"}, {Key: "expiresAt", Value: due}}},
		{&left.owing, bson.D{{Key: "dischargeAt", Value: due}}},
		{&left.unpublished, bson.D{{Key: "outboxDue", Value: due}}},
	} {
		err := b.bookings().FindOne(ctx, question.filter, options.FindOne().SetProjection(bson.D{{Key: "_id", Value: 1}})).Err()
		if err != nil && !errors.Is(err, mongo.ErrNoDocuments) {
			return left, err
		}
		*question.answer = err == nil
	}
	var e struct {
		Seats struct {
			Held int64 `bson:"held"`
		} `bson:"seats"`
	}
	err := b.meter.mongo.Database("event").Collection("events").FindOne(ctx, bson.D{{Key: "_id", Value: b.fixtures.hot}}).Decode(&e)
	left.held = e.Seats.Held
	return left, err
}
