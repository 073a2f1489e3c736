package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	"github.com/nats-io/nats.go/jetstream"

	"boxoffice/shared/contract"
	"boxoffice/shared/contract/streams"
)

// announcedKey is the metadata key under which a stream keeps the id of the last
// announcement on its topic. A stream that was recreated does not have the key. Neither
// does one whose creator crashed before the announcement.
const announcedKey = "boxoffice-told"

// provision creates or updates the streams of topics. It then announces their creation
// times on each topic, unless the last announcement there had the same times.
func provision(ctx context.Context, broker jetstream.JetStream, topics []string) error {
	made := streams.Made{Streams: map[string]contract.Time{}}
	var configs []jetstream.StreamConfig
	for _, topic := range topics {
		info, err := ensure(ctx, broker, topic)
		if err != nil {
			return fmt.Errorf("stream %s: %w", topic, err)
		}
		made.Streams[topic] = contract.At(info.Created)
		configs = append(configs, info.Config)
	}
	id, event, err := encode(made)
	if err != nil {
		return err
	}
	for _, cfg := range configs {
		if cfg.Metadata[announcedKey] == id {
			continue
		}
		if err := announce(ctx, broker, cfg, id, event); err != nil {
			return fmt.Errorf("announce on %s: %w", cfg.Name, err)
		}
	}
	return nil
}

// ensure creates or updates the stream of a topic and its consumers.
func ensure(ctx context.Context, broker jetstream.JetStream, topic string) (*jetstream.StreamInfo, error) {
	cfg := jetstream.StreamConfig{
		Name:       topic,
		Subjects:   []string{topic, topic + deadSuffix},
		Storage:    jetstream.FileStorage,
		MaxAge:     retention,
		Duplicates: dedupWindow,
	}
	switch existing, err := broker.Stream(ctx, topic); {
	case err == nil:
		cfg.Metadata = existing.CachedInfo().Config.Metadata // an update replaces the metadata
	case !errors.Is(err, jetstream.ErrStreamNotFound):
		return nil, err
	}
	stream, err := broker.CreateOrUpdateStream(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return stream.CachedInfo(), removeDeliveryLimits(ctx, broker, stream)
}

// removeDeliveryLimits removes the delivery limit from the consumers of a stream. Earlier
// versions created consumers with a limit, and a fact that reaches it is lost silently.
// Sidecars do not update existing consumers.
func removeDeliveryLimits(ctx context.Context, broker jetstream.JetStream, stream jetstream.Stream) error {
	consumers := stream.ListConsumers(ctx)
	for info := range consumers.Info() {
		cfg := info.Config
		if cfg.MaxDeliver <= 0 || cfg.DeliverSubject == "" {
			continue
		}
		cfg.MaxDeliver = -1
		if _, err := broker.UpdatePushConsumer(ctx, info.Stream, cfg); err != nil {
			return fmt.Errorf("consumer %s: %w", info.Name, err)
		}
	}
	return consumers.Err()
}

// encode returns the announcement as a CloudEvent. Its id is a hash of its data. If two
// runs announce the same streams at once, the broker therefore drops the duplicate.
func encode(made streams.Made) (id string, event []byte, err error) {
	data, err := json.Marshal(made)
	if err != nil {
		return "", nil, err
	}
	sum := sha256.Sum256(data)
	id = hex.EncodeToString(sum[:16])
	event, err = json.Marshal(map[string]any{
		"specversion": "1.0", "id": id, "source": "streams", "type": streams.FactMade,
		"datacontenttype": "application/json", "data": json.RawMessage(data),
	})
	return id, event, err
}

// announce publishes an announcement on a topic and then records its id in the stream's
// metadata. If the command crashes between the two steps, the next run announces again.
func announce(ctx context.Context, broker jetstream.JetStream, cfg jetstream.StreamConfig, id string, event []byte) error {
	if _, err := broker.Publish(ctx, cfg.Name, event, jetstream.WithMsgID(id), jetstream.WithExpectStream(cfg.Name)); err != nil {
		return err
	}
	cfg.Metadata = maps.Clone(cfg.Metadata)
	if cfg.Metadata == nil {
		cfg.Metadata = map[string]string{}
	}
	cfg.Metadata[announcedKey] = id
	_, err := broker.UpdateStream(ctx, cfg)
	return err
}
