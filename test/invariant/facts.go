package invariant

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/contract/eventapi"
)

// inactiveThreshold is how long the server keeps a consumer after its reader has
// stopped. With the default of five minutes, a test that polls would reach the
// server's limit on consumers.
const inactiveThreshold = 2 * time.Second

// Fact is one message of a stream.
type Fact struct {
	ID, Type, Subject string
	EventID           string // the event that the fact is about, or that its booking is for

	Topic string
	Data  string // the whole CloudEvent, in JSON
}

// ReadFacts reads the streams of the NATS server at url. It returns the facts about
// eventIDs and their bookings.
func ReadFacts(ctx context.Context, url string, eventIDs []string) ([]Fact, error) {
	conn, err := nats.Connect(url)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	defer conn.Close()
	broker, err := jetstream.New(conn)
	if err != nil {
		return nil, err
	}
	facts := []Fact{}
	for _, topic := range []string{bookingapi.Topic, eventapi.Topic} {
		err := eachMessage(ctx, broker, topic, func(data []byte) error {
			f, err := parse(topic, data)
			if err == nil && slices.Contains(eventIDs, f.EventID) {
				facts = append(facts, f)
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("read stream %s: %w", topic, err)
		}
	}
	return facts, nil
}

// eachMessage calls fn with each message of a topic, and stops at the first error.
func eachMessage(ctx context.Context, broker jetstream.JetStream, topic string, fn func([]byte) error) error {
	stream, err := broker.Stream(ctx, topic)
	if err != nil {
		return err
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(topic))
	if err != nil {
		return err
	}
	if info.State.Subjects[topic] == 0 {
		return nil
	}
	consumer, err := stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{
		FilterSubjects:    []string{topic},
		InactiveThreshold: inactiveThreshold,
	})
	if err != nil {
		return err
	}
	messages, err := consumer.Messages()
	if err != nil {
		return err
	}
	defer messages.Stop()
	for {
		msg, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return err
		}
		if err := fn(msg.Data()); err != nil {
			return err
		}
		meta, err := msg.Metadata()
		if err != nil {
			return err
		}
		if meta.NumPending == 0 {
			return nil
		}
	}
}

// parse decodes a CloudEvent.
func parse(topic string, data []byte) (Fact, error) {
	var e struct {
		ID, Type, Subject string
		Data              struct {
			Resource struct{ EventID string }
		}
	}
	if err := json.Unmarshal(data, &e); err != nil {
		return Fact{}, fmt.Errorf("%w: %s", err, data)
	}
	f := Fact{ID: e.ID, Type: e.Type, Subject: e.Subject, EventID: e.Data.Resource.EventID, Topic: topic, Data: string(data)}
	if topic == eventapi.Topic {
		f.EventID = e.Subject
	}
	return f, nil
}
