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

// told is the key in a stream's metadata under which stands what its listeners
// were told last. It goes with the stream, so that one that is made anew, or was
// made by a run that ended before it could tell, has none.
const told = "boxoffice-told"

// provision makes the streams of some topics and tells on each of them when all
// were made, unless that was told there before.
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
	id, notice, err := encode(made)
	if err != nil {
		return err
	}
	for _, cfg := range configs {
		if cfg.Metadata[told] == id {
			continue
		}
		if err := tell(ctx, broker, cfg, id, notice); err != nil {
			return fmt.Errorf("tell on %s: %w", cfg.Name, err)
		}
	}
	return nil
}

// ensure makes a stream or brings it up to date.
func ensure(ctx context.Context, broker jetstream.JetStream, topic string) (*jetstream.StreamInfo, error) {
	cfg := jetstream.StreamConfig{
		Name:       topic,
		Subjects:   []string{topic, topic + deadSuffix},
		Storage:    jetstream.FileStorage,
		MaxAge:     keepFor,
		Duplicates: sameFor,
	}
	switch there, err := broker.Stream(ctx, topic); {
	case err == nil:
		cfg.Metadata = there.CachedInfo().Config.Metadata // an update replaces it
	case !errors.Is(err, jetstream.ErrStreamNotFound):
		return nil, err
	}
	stream, err := broker.CreateOrUpdateStream(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return stream.CachedInfo(), unlimit(ctx, broker, stream)
}

// unlimit lets consumers that an earlier release made deliver as often as it
// takes: after the last of a limited number a fact would be lost without a trace,
// and the sidecars change no consumer that is there.
func unlimit(ctx context.Context, broker jetstream.JetStream, stream jetstream.Stream) error {
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

// encode returns the CloudEvent. Its id is the same for the same streams, so that
// the broker drops it when two runs tell it at once.
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

// tell is done again by the next run when it ends in between.
func tell(ctx context.Context, broker jetstream.JetStream, cfg jetstream.StreamConfig, id string, notice []byte) error {
	if _, err := broker.Publish(ctx, cfg.Name, notice, jetstream.WithMsgID(id), jetstream.WithExpectStream(cfg.Name)); err != nil {
		return err
	}
	cfg.Metadata = maps.Clone(cfg.Metadata)
	if cfg.Metadata == nil {
		cfg.Metadata = map[string]string{}
	}
	cfg.Metadata[told] = id
	_, err := broker.UpdateStream(ctx, cfg)
	return err
}
