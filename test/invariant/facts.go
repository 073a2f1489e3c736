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

// goneAfter is how long the server keeps a reader that has left. Who polls would
// reach its limit of readers with the usual five minutes.
const goneAfter = 2 * time.Second

// Fact is a fact as it is in a stream.
type Fact struct {
	ID, Type, Subject string
	EventID           string // what it is about, itself or by its booking

	Topic string
	Data  string // the CloudEvent
}

// ReadFacts returns what the streams of the NATS server have of these events.
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

func eachMessage(ctx context.Context, broker jetstream.JetStream, topic string, take func([]byte) error) error {
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
		InactiveThreshold: goneAfter,
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
		if err := take(msg.Data()); err != nil {
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

// parse reads a CloudEvent.
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
