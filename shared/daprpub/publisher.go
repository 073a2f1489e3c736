// Package daprpub publishes the facts of an outbox to a topic through Dapr's pub/sub API,
// and connects an app to the bus. The broker is chosen by the pub/sub component alone.
package daprpub

import (
	"context"

	"github.com/dapr/go-sdk/client"

	"boxoffice/shared/outbox"
)

// Publisher is an outbox.Publisher for one topic. It is safe for concurrent use.
type Publisher struct {
	dapr      client.Client
	component string
	topic     string
}

var _ outbox.Publisher = (*Publisher)(nil)

// NewPublisher returns a publisher for a topic of the pub/sub component with the given
// name.
func NewPublisher(dapr client.Client, component, topic string) *Publisher {
	return &Publisher{dapr: dapr, component: component, topic: topic}
}

// Publish implements outbox.Publisher. The CloudEvent carries the trace of ctx. Its id is
// that of the record, so it is the same however often the record is published.
func (p *Publisher) Publish(ctx context.Context, r outbox.Record) error {
	return p.dapr.PublishEvent(ctx, p.component, p.topic, r.Data,
		client.PublishEventWithContentType("application/json"), // otherwise the data would be sent as a string
		client.PublishEventWithMetadata(map[string]string{
			"cloudevent.id":      r.ID,
			"cloudevent.type":    r.Type,
			"cloudevent.subject": r.Subject,
		}))
}
