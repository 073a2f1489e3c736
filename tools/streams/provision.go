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

// provisioner creates and updates streams and consumers.
type provisioner struct {
	broker        jetstream.JetStream
	maxAckPending int // of the sidecars' consumers
}

// provision creates or updates the streams of topics. It then announces their creation
// times on each topic, unless the last announcement there had the same times.
func (p provisioner) provision(ctx context.Context, topics []string) error {
	made := streams.Made{Streams: map[string]contract.Time{}}
	var configs []jetstream.StreamConfig
	for _, topic := range topics {
		info, err := p.ensureTopic(ctx, topic)
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
		if err := announce(ctx, p.broker, cfg, id, event); err != nil {
			return fmt.Errorf("announce on %s: %w", cfg.Name, err)
		}
	}
	return nil
}

// ensureTopic creates or updates the streams of a topic and its dead letters, and the
// topic's consumers. It returns the stream of the topic.
//
// A dead letter has the message id of its original, so a stream that contained both would
// drop it as a duplicate, as streams of earlier versions did. The server allows a subject
// in one stream only. An update therefore removes it from the topic's stream before it
// creates the other one. A dead letter that is published between the two is not stored.
// The sidecar then does not acknowledge the fact, and receives it again.
func (p provisioner) ensureTopic(ctx context.Context, topic string) (*jetstream.StreamInfo, error) {
	stream, err := p.ensure(ctx, jetstream.StreamConfig{
		Name:       topic,
		Subjects:   []string{topic},
		Storage:    jetstream.FileStorage,
		MaxAge:     retention,
		Duplicates: dedupWindow,
	})
	if err != nil {
		return nil, err
	}
	if _, err := p.ensure(ctx, jetstream.StreamConfig{
		Name:       topic + deadSuffix,
		Subjects:   []string{topic + deadSuffix},
		Storage:    jetstream.FileStorage,
		MaxAge:     deadRetention,
		MaxBytes:   deadBytes,
		Discard:    jetstream.DiscardOld,
		Duplicates: dedupWindow,
	}); err != nil {
		return nil, fmt.Errorf("dead letters: %w", err)
	}
	return stream.CachedInfo(), p.updateConsumers(ctx, stream)
}

// ensure creates or updates a stream. It keeps the metadata of an existing one.
func (p provisioner) ensure(ctx context.Context, cfg jetstream.StreamConfig) (jetstream.Stream, error) {
	switch existing, err := p.broker.Stream(ctx, cfg.Name); {
	case err == nil:
		cfg.Metadata = existing.CachedInfo().Config.Metadata // an update replaces the metadata
	case !errors.Is(err, jetstream.ErrStreamNotFound):
		return nil, err
	}
	return p.broker.CreateOrUpdateStream(ctx, cfg)
}

// updateConsumers sets the limits of the sidecars' consumers of a stream to those of the
// pub/sub component, because a sidecar does not update a consumer that exists:
//
//   - There is no limit of deliveries. A fact that reached it would be lost silently.
//   - The limit of unacknowledged facts is that of the settings. A sidecar that asks for
//     another one than the consumer has does not receive any fact.
//
// The consumers of other components and programs are left alone. Those of the sidecars are
// the ones with a queue group of the same name.
func (p provisioner) updateConsumers(ctx context.Context, stream jetstream.Stream) error {
	consumers := stream.ListConsumers(ctx)
	for info := range consumers.Info() {
		cfg := info.Config
		if cfg.Durable == "" || cfg.DeliverGroup != cfg.Durable {
			continue
		}
		cfg.MaxDeliver, cfg.MaxAckPending = -1, p.maxAckPending
		if cfg.MaxDeliver == info.Config.MaxDeliver && cfg.MaxAckPending == info.Config.MaxAckPending {
			continue
		}
		if _, err := p.broker.UpdatePushConsumer(ctx, info.Stream, cfg); err != nil {
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
