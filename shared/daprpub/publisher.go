// Package daprpub puts the facts of an outbox on a topic over Dapr's pub/sub API.
// Which broker that is, only the component knows.
package daprpub

import (
	"context"

	"github.com/dapr/go-sdk/client"

	"boxoffice/shared/outbox"
)

// Publisher is an outbox.Publisher. It is safe for concurrent use.
type Publisher struct {
	dapr      client.Client
	component string
	topic     string
}

var _ outbox.Publisher = (*Publisher)(nil)

// NewPublisher returns a publisher to the topic of the pub/sub component of that name.
func NewPublisher(dapr client.Client, component, topic string) *Publisher {
	return &Publisher{dapr: dapr, component: component, topic: topic}
}

// Publish implements outbox.Publisher. The CloudEvent has the record's id however
// often it is published; its trace is the context's.
func (p *Publisher) Publish(ctx context.Context, r outbox.Record) error {
	return p.dapr.PublishEvent(ctx, p.component, p.topic, r.Data,
		client.PublishEventWithContentType("application/json"), // else the data become a text
		client.PublishEventWithMetadata(map[string]string{
			"cloudevent.id":      r.ID,
			"cloudevent.type":    r.Type,
			"cloudevent.subject": r.Subject,
		}))
}
