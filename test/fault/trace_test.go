package fault_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"boxoffice/test/stack"
	"boxoffice/tools/traces"
)

// underWay is how many publishes the booking app has under way at most when it is
// killed: those of the relay's eight workers and one of the sweep. Their spans die
// with it, and what the sidecar tells of them has no parent.
const underWay = 9

// operation is the path to a booking's operation in its trace.
func operation() []string {
	return []string{
		"gateway call booking/method/booking.create",
		"daprd gateway CallLocal/booking/booking.create",
		"daprd booking CallLocal/booking/booking.create",
		"booking booking.create",
	}
}

// delivery is the path from there to who takes the fact.
func delivery() []string {
	return append(operation(),
		"booking dapr.proto.runtime.v1.Dapr/PublishEvent",
		"daprd booking /dapr.proto.runtime.v1.Dapr/PublishEvent",
		"daprd event pubsub/booking-events",
		"event facts /facts/bookings",
	)
}

// awaitRecorded waits until Jaeger has what the apps told of these bookings.
func awaitRecorded(t *testing.T, o *outages, ids []string) {
	t.Helper()
	for _, id := range ids {
		if _, err := o.Trace(t.Context(), id, func(root *stack.Span) error {
			_, err := root.Find(operation()...)
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
}

// awaitInTrace waits until the traces of these bookings have the publishing and the
// delivery of their facts, and no parent is missing: except of those that were
// under way when booking was killed.
func awaitInTrace(t *testing.T, o *outages, ids []string) {
	t.Helper()
	missing := map[string]error{}
	for _, id := range ids {
		missing[id] = nil
	}
	stack.Await(t, "the traces", func() error {
		for id := range missing {
			if missing[id] = delivered(t.Context(), o, id); missing[id] == nil {
				delete(missing, id)
			}
		}
		if len(missing) > underWay {
			return fmt.Errorf("%d of %d: %v", len(missing), len(ids), missing)
		}
		return nil
	})
	t.Logf("%d of %d traces have their facts", len(ids)-len(missing), len(ids))
}

func delivered(ctx context.Context, o *outages, id string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	root, err := traces.Jaeger(o.Jaeger).Fetch(ctx, id)
	if err != nil {
		return err
	}
	_, err = root.Find(delivery()...)
	return err
}
