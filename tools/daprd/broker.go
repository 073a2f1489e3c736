package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/dapr/components-contrib/pubsub"
	"github.com/dapr/components-contrib/pubsub/jetstream"
	"github.com/dapr/kit/logger"
	"github.com/dapr/kit/metadata"
)

// errRestart is returned when the sidecar must be restarted although it has not
// failed. Only a new process restores the subscriptions that an outage of the
// broker broke.
var errRestart = errors.New("restart required")

// checkTimeout limits the time that the broker may take to answer the requests of
// one check.
const checkTimeout = 2 * time.Second

// broker is Dapr's JetStream component with a watch on its broker. The component
// alone does not recover in three cases:
//
//   - If the broker is unreachable when the component starts, the component never
//     connects.
//   - If the broker stays unreachable for about two minutes, the component closes
//     its connection (components-contrib#4563).
//   - If the broker comes back without the component's consumers, the component
//     does not notice.
//
// In each case the watch makes the sidecar exit, so that it can be restarted. The
// watch delays the exit until the broker is reachable, because the sidecar serves
// invocations without a broker.
//
// A component without durable consumers has no place in the stream to return to, so
// it gains nothing from a restart. The watch then replaces the component within the
// running sidecar, which receives what is published from that time on. Unlike other
// components it does not fail if the broker is unreachable when the sidecar starts.
type broker struct {
	log      logger.Logger
	watch    watchConfig
	metadata pubsub.Metadata
	conf     brokerConfig

	replacing sync.Mutex // held while the component is replaced or gets a subscription
	mu        sync.Mutex
	component pubsub.PubSub // nil before it has connected for the first time
	// subscriptions are the current ones, and without durable consumers also those for
	// which the component has not connected yet.
	subscriptions map[*subscription]struct{}
}

// watchConfig configures how brokers are watched.
type watchConfig struct {
	interval  time.Duration               // time between two checks; zero disables the watch
	maxOutage time.Duration               // outages up to this length require no restart
	spawn     func(func(context.Context)) // runs a function in a goroutine; its context ends with the runtime
	exit      func(reason error)          // stops the runtime
}

// watchConfigFromEnv reads the durations of a watchConfig from the environment.
func watchConfigFromEnv(getenv func(string) string) (w watchConfig, err error) {
	for _, v := range []struct {
		name     string
		fallback time.Duration
		into     *time.Duration
	}{
		{"DAPRD_BROKER_LOOK_EVERY", 2 * time.Second, &w.interval},
		{"DAPRD_BROKER_AWAY_AT_MOST", 90 * time.Second, &w.maxOutage},
	} {
		*v.into = v.fallback
		text := getenv(v.name)
		if text == "" {
			continue
		}
		if *v.into, err = time.ParseDuration(text); err != nil || *v.into < 0 {
			return watchConfig{}, fmt.Errorf("%s is %q but must be a non-negative duration such as 2s", v.name, text)
		}
	}
	return w, nil
}

// brokerConfig is the part of the component's metadata that locates the broker,
// authenticates the sidecar and names the consumers.
type brokerConfig struct {
	NatsURL       string `mapstructure:"natsURL"`
	JWT           string `mapstructure:"jwt"`
	SeedKey       string `mapstructure:"seedKey"`
	Token         string `mapstructure:"token"`
	TLSClientCert string `mapstructure:"tls_client_cert"`
	TLSClientKey  string `mapstructure:"tls_client_key"`
	Name          string `mapstructure:"name"`
	Domain        string `mapstructure:"domain"`
	APIPrefix     string `mapstructure:"apiPrefix"`
	StreamName    string `mapstructure:"streamName"`
	DurableName   string `mapstructure:"durableName"`
}

// subscription is the consumer of one topic.
type subscription struct {
	topic string
	// created is when the broker created the consumer, or the stream if the consumer is
	// not durable. It is zero before the first check.
	created time.Time

	// The arguments of Subscribe.
	ctx     context.Context
	req     pubsub.SubscribeRequest
	handler pubsub.Handler
}

// newBroker returns a JetStream component with a watch that w configures.
func newBroker(log logger.Logger, w watchConfig) *broker {
	return &broker{
		log:           log,
		watch:         w,
		subscriptions: map[*subscription]struct{}{},
	}
}

// Init initializes the component and starts the watch. It returns the component's
// error. If the component failed because the broker is unreachable, the watch still
// runs. It then makes the sidecar exit when the broker is reachable, or, without
// durable consumers, initializes the component then; in that case Init returns nil.
func (b *broker) Init(ctx context.Context, md pubsub.Metadata) error {
	component := jetstream.NewJetStream(b.log)
	failed := component.Init(ctx, md)
	if failed == nil {
		b.component = component
	}
	// A restart cannot fix any other error than an unreachable broker.
	if b.watch.interval == 0 || failed != nil && !isUnreachable(failed) {
		return failed
	}
	b.metadata = md
	if err := metadata.DecodeMetadata(md.Properties, &b.conf); err != nil {
		return errors.Join(failed, err)
	}
	b.watch.spawn(func(ctx context.Context) { b.run(ctx, failed != nil) })
	switch {
	case failed == nil:
	case b.conf.durable():
		b.log.Warn("The broker is unreachable at startup. The sidecar will exit for a restart when the broker is reachable")
	default:
		b.log.Warn("The broker is unreachable at startup. The component will connect when the broker is reachable")
		return nil
	}
	return failed
}

// durable reports whether the component's consumers are durable.
func (c brokerConfig) durable() bool { return c.DurableName != "" }

// errNotConnected is returned for a message while the component has not connected yet.
var errNotConnected = errors.New("the broker has been unreachable since the start")

// current returns the component, or nil if it has not connected yet.
func (b *broker) current() pubsub.PubSub {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.component
}

// Features implements pubsub.PubSub.
func (b *broker) Features() []pubsub.Feature { return nil }

// Publish publishes a message.
func (b *broker) Publish(ctx context.Context, req *pubsub.PublishRequest) error {
	if c := b.current(); c != nil {
		return c.Publish(ctx, req)
	}
	return pubsub.NewRetriableError(errNotConnected)
}

// Close closes the component.
func (b *broker) Close() error {
	b.replacing.Lock()
	defer b.replacing.Unlock()
	if c := b.current(); c != nil {
		return c.Close()
	}
	return nil
}

// isUnreachable reports whether a connection failed because no broker answered.
func isUnreachable(err error) bool {
	var network net.Error
	return errors.Is(err, nats.ErrNoServers) || errors.Is(err, nats.ErrTimeout) ||
		errors.Is(err, io.EOF) || errors.As(err, &network)
}

// Subscribe subscribes to a topic. The watch checks the subscription until ctx is
// done. If Subscribe fails, for example because the stream does not exist, Dapr
// calls it again.
func (b *broker) Subscribe(ctx context.Context, req pubsub.SubscribeRequest, handler pubsub.Handler) error {
	b.replacing.Lock()
	defer b.replacing.Unlock()
	if c := b.current(); c != nil {
		if err := c.Subscribe(ctx, req, handler); err != nil {
			return err
		}
	}
	s := &subscription{topic: req.Topic, ctx: ctx, req: req, handler: handler}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.subscriptions[s] = struct{}{}
	context.AfterFunc(ctx, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.subscriptions, s)
	})
	return nil
}

// replace replaces the component with a new one that has the same subscriptions.
func (b *broker) replace(ctx context.Context) error {
	b.replacing.Lock()
	defer b.replacing.Unlock()
	next := jetstream.NewJetStream(b.log)
	if err := next.Init(ctx, b.metadata); err != nil {
		return err
	}
	for _, s := range b.subscribed() {
		if err := next.Subscribe(s.ctx, s.req, s.handler); err != nil { //nolint:contextcheck // a subscription keeps the context of its subscriber
			return errors.Join(fmt.Errorf("topic %s: %w", s.topic, err), next.Close())
		}
		s.created = time.Time{}
	}
	b.mu.Lock()
	old := b.component
	b.component = next
	b.mu.Unlock()
	if old != nil {
		_ = old.Close() // fails because its connection is closed
	}
	return nil
}

// run checks the broker at regular intervals, over a separate connection that
// reconnects forever. It returns when it has stopped the runtime or when ctx is
// done; a component without durable consumers is replaced instead. The argument mustRestart reports whether the component failed to connect.
func (b *broker) run(ctx context.Context, mustRestart bool) {
	conn, js, err := b.connect()
	if err != nil {
		b.log.Warnf("Cannot watch the broker: %s", err)
		return
	}
	defer conn.Close()

	state := connState{mustRestart: mustRestart}
	tick := time.NewTicker(b.watch.interval)
	defer tick.Stop()
	for {
		if reason := b.check(ctx, conn, js, &state); reason != nil && ctx.Err() == nil {
			if b.conf.durable() {
				b.watch.exit(fmt.Errorf("%w: %w", errRestart, reason))
				return
			}
			if err := b.replace(ctx); err != nil {
				b.log.Warnf("The component cannot be replaced yet: %s", err)
				state.mustRestart = true
			} else {
				b.log.Warnf("The component was replaced: %s", reason)
				state = connState{reconnects: conn.Stats().Reconnects}
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// connect returns a connection that is established in the background as soon as
// the broker is reachable, and that reconnects forever.
func (b *broker) connect() (*nats.Conn, nats.JetStreamContext, error) {
	c := b.conf
	opts := []nats.Option{
		nats.Name(c.Name + " (watch)"),
		nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1),
		nats.IgnoreAuthErrorAbort(),
		nats.ReconnectWait(b.watch.interval),
		nats.ReconnectJitter(b.watch.interval/10, b.watch.interval/10),
		nats.ReconnectBufSize(-1),          // a check that is sent late is useless
		nats.PingInterval(5 * time.Second), // detects a broker that no longer answers
	}
	switch { // the same precedence as in the component
	case c.JWT != "" && c.SeedKey != "":
		opts = append(opts, nats.UserJWTAndSeed(c.JWT, c.SeedKey))
	case c.TLSClientCert != "" && c.TLSClientKey != "":
		opts = append(opts, nats.ClientCert(c.TLSClientCert, c.TLSClientKey))
	case c.Token != "":
		opts = append(opts, nats.Token(c.Token))
	}
	conn, err := nats.Connect(c.NatsURL, opts...)
	if err != nil {
		return nil, nil, err
	}
	var jsOpts []nats.JSOpt
	if c.Domain != "" {
		jsOpts = append(jsOpts, nats.Domain(c.Domain))
	}
	if c.APIPrefix != "" {
		jsOpts = append(jsOpts, nats.APIPrefix(c.APIPrefix))
	}
	js, err := conn.JetStream(jsOpts...)
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	return conn, js, nil
}

// connState is the state of the watch's connection between two checks.
type connState struct {
	lostAt      time.Time // when the broker became unreachable; zero while it is reachable
	mustRestart bool      // the component did not survive the outage, or may not have; a restart or replacement is due
	reconnects  uint64    // the connection's number of reconnects
}

// check returns the reason for which the sidecar must exit now, or the component must
// be replaced, or nil if it can continue.
func (b *broker) check(ctx context.Context, conn *nats.Conn, js nats.JetStreamContext, state *connState) error {
	if !conn.IsConnected() {
		if state.lostAt.IsZero() {
			state.lostAt = time.Now()
		}
		if outage := time.Since(state.lostAt); outage > b.watch.maxOutage && !state.mustRestart {
			state.mustRestart = true
			remedy := "The sidecar will exit for a restart"
			if !b.conf.durable() {
				remedy = "The component will be replaced"
			}
			b.log.Warnf("The broker has been unreachable for too long. %s when the broker is reachable. Outage so far: %s", remedy, outage.Round(time.Second))
		}
		return nil
	}
	if state.mustRestart {
		return errors.New("the broker is reachable again")
	}
	reconnects := conn.Stats().Reconnects
	wasLost := !state.lostAt.IsZero() || reconnects != state.reconnects
	state.lostAt, state.reconnects = time.Time{}, reconnects

	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	for _, s := range b.subscribed() {
		if err := b.conf.check(ctx, js, s, wasLost); err != nil {
			return fmt.Errorf("topic %s: %w", s.topic, err)
		}
	}
	return nil
}

// subscribed returns the current subscriptions.
func (b *broker) subscribed() []*subscription {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Collect(maps.Keys(b.subscriptions))
}

// check returns an error that says why a subscription no longer receives messages,
// or nil if the subscription is intact. The argument wasLost reports whether the
// broker has been unreachable at any time since the last check. A consumer without
// a durable name counts as lost after every such outage. Otherwise check returns nil
// if the broker does not answer, because the next check asks again.
func (c brokerConfig) check(ctx context.Context, js nats.JetStreamContext, s *subscription, wasLost bool) error {
	created, err := c.consumer(ctx, js, s.topic)
	switch {
	case errors.Is(err, nats.ErrNoMatchingStream) || errors.Is(err, nats.ErrStreamNotFound):
		return errors.New("the stream no longer exists")
	case errors.Is(err, nats.ErrConsumerNotFound):
		return errors.New("the consumer no longer exists")
	case !c.durable() && wasLost:
		return errors.New("the consumer is not durable and the broker was unreachable")
	case err != nil:
		return nil
	case s.created.IsZero():
		s.created = created
	case !created.Equal(s.created):
		return errors.New("the consumer or its stream was replaced by another one with the same name")
	}
	return nil
}

// consumer returns the time at which the broker created the durable consumer of a
// topic, or the stream if the component uses no durable consumer.
func (c brokerConfig) consumer(ctx context.Context, js nats.JetStreamContext, topic string) (created time.Time, err error) {
	stream := c.StreamName
	if stream == "" {
		if stream, err = js.StreamNameBySubject(topic, nats.Context(ctx)); err != nil {
			return time.Time{}, err
		}
	}
	if !c.durable() {
		info, err := js.StreamInfo(stream, nats.Context(ctx))
		if err != nil {
			return time.Time{}, err
		}
		return info.Created, nil
	}
	info, err := js.ConsumerInfo(stream, c.DurableName, nats.Context(ctx))
	if err != nil {
		return time.Time{}, err
	}
	return info.Created, nil
}
