package fault_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"boxoffice/test/kit"
	"boxoffice/test/stack"
	"boxoffice/tools/traces"
)

// maxPublishing is the largest number of facts that the booking app may be publishing when
// it is killed: one for each of the relay's eight workers, and one in the sweep. The
// app's spans of these facts are lost, so the sidecar's spans have no parent.
const maxPublishing = 9

// operationPath returns the path to the create operation in the trace of a booking.
func operationPath() []string {
	return []string{
		"gateway call booking/method/booking.create",
		"daprd gateway CallLocal/booking/booking.create",
		"daprd booking CallLocal/booking/booking.create",
		"booking booking.create",
	}
}

// deliveryPath returns the path to the delivery of the fact in the trace of a booking.
func deliveryPath() []string {
	return append(operationPath(),
		"booking dapr.proto.runtime.v1.Dapr/PublishEvent",
		"daprd booking /dapr.proto.runtime.v1.Dapr/PublishEvent",
		"daprd event pubsub/booking-events",
		"event facts /facts/bookings",
	)
}

// awaitRecorded waits until Jaeger has the create operations of these traces.
func awaitRecorded(t *testing.T, o *outageStack, ids []string) {
	t.Helper()
	for _, id := range ids {
		if _, err := o.Trace(t.Context(), id, func(root *stack.Span) error {
			_, err := root.Find(operationPath()...)
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
}

// awaitDeliveries waits until these traces contain the publication and the delivery of
// their facts, without a missing parent. Up to maxPublishing traces may be incomplete.
func awaitDeliveries(t *testing.T, o *outageStack, ids []string) {
	t.Helper()
	missing := map[string]error{}
	for _, id := range ids {
		missing[id] = nil
	}
	kit.Eventually(t, stack.WaitTimeout, "the traces contain the delivery of their facts", func() error {
		for id := range missing {
			if missing[id] = findDelivery(t.Context(), o, id); missing[id] == nil {
				delete(missing, id)
			}
		}
		if len(missing) > maxPublishing {
			return fmt.Errorf("%d of %d traces are incomplete: %v", len(missing), len(ids), missing)
		}
		return nil
	})
	t.Logf("%d of %d traces contain the delivery of their facts", len(ids)-len(missing), len(ids))
}

// findDelivery returns an error unless the trace contains the delivery of its fact.
func findDelivery(ctx context.Context, o *outageStack, id string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	root, err := traces.Jaeger(o.Jaeger).Fetch(ctx, id)
	if err != nil {
		return err
	}
	_, err = root.Find(deliveryPath()...)
	return err
}
