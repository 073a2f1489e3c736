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

// errStartAnew is the reason of a sidecar that ends although nothing in it has
// failed: what the broker's absence cost it, only a new start brings back.
var errStartAnew = errors.New("to be started anew")

// answerWithin is what the broker may take for the answers of one look.
const answerWithin = 2 * time.Second

// broker is the JetStream component and an eye on its broker. By itself the
// component never comes when the broker is absent at its start, closes its
// connection for good when the broker stays away for some two minutes
// (components-contrib#4563), and does not notice that a broker has come back
// without the consumers that it listens to. In each case the sidecar ends, but
// not before the broker is there: without it, it still carries invocations.
type broker struct {
	pubsub.PubSub
	log   logger.Logger
	watch watch
	conf  brokerConf

	mu            sync.Mutex
	subscriptions map[*subscription]struct{}
}

// watch says how brokers are watched.
type watch struct {
	every  time.Duration               // the time between two looks; zero: there are none
	atMost time.Duration               // an absence that the component surely survives
	spawn  func(func(context.Context)) // runs a function until the runtime ends
	leave  func(reason error)          // ends the runtime
}

// brokerWatch returns what the environment says of it.
func brokerWatch(getenv func(string) string) (w watch, err error) {
	for _, v := range []struct {
		name     string
		fallback time.Duration
		into     *time.Duration
	}{
		{"DAPRD_BROKER_LOOK_EVERY", 2 * time.Second, &w.every},
		{"DAPRD_BROKER_AWAY_AT_MOST", 90 * time.Second, &w.atMost},
	} {
		*v.into = v.fallback
		text := getenv(v.name)
		if text == "" {
			continue
		}
		if *v.into, err = time.ParseDuration(text); err != nil || *v.into < 0 {
			return watch{}, fmt.Errorf("%s is %q and must be a duration", v.name, text)
		}
	}
	return w, nil
}

// brokerConf is what finds the broker and the component's consumers there, by
// the component's own names.
type brokerConf struct {
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

// subscription is what is known of one topic's consumer.
type subscription struct {
	topic   string
	created time.Time // when the broker made it; zero: not looked at yet
}

func newBroker(log logger.Logger, w watch) *broker {
	return &broker{
		PubSub:        jetstream.NewJetStream(log),
		log:           log,
		watch:         w,
		subscriptions: map[*subscription]struct{}{},
	}
}

// Init is the component's own. Its error is passed on, and watched for its end
// when it is that the broker is away.
func (b *broker) Init(ctx context.Context, md pubsub.Metadata) error {
	failed := b.PubSub.Init(ctx, md)
	if b.watch.every == 0 || failed != nil && !isAbsence(failed) { // which a new start would meet again
		return failed
	}
	if err := metadata.DecodeMetadata(md.Properties, &b.conf); err != nil {
		return errors.Join(failed, err)
	}
	if failed != nil {
		b.log.Warnf("The broker is away. The sidecar runs without it, and ends when it is there, to be started anew")
	}
	b.watch.spawn(func(ctx context.Context) { b.run(ctx, failed != nil) })
	return failed
}

// isAbsence reports whether a connection failed because nobody answered.
func isAbsence(err error) bool {
	var network net.Error
	return errors.Is(err, nats.ErrNoServers) || errors.Is(err, nats.ErrTimeout) ||
		errors.Is(err, io.EOF) || errors.As(err, &network)
}

// Subscribe is the component's own, and remembers what there is to look after
// until ctx is done. One that fails, for want of a stream say, Dapr tries again.
func (b *broker) Subscribe(ctx context.Context, req pubsub.SubscribeRequest, handler pubsub.Handler) error {
	if err := b.PubSub.Subscribe(ctx, req, handler); err != nil {
		return err
	}
	s := &subscription{topic: req.Topic}
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

// run looks at the broker, over a connection of its own that is never given up,
// until there is a reason to leave or ctx is done.
func (b *broker) run(ctx context.Context, absent bool) {
	conn, js, err := b.connect()
	if err != nil {
		b.log.Warnf("The broker cannot be watched: %s", err)
		return
	}
	defer conn.Close()

	p := presence{overdue: absent}
	tick := time.NewTicker(b.watch.every)
	defer tick.Stop()
	for {
		if reason := b.look(ctx, conn, js, &p); reason != nil && ctx.Err() == nil {
			b.watch.leave(fmt.Errorf("%w: %w", errStartAnew, reason))
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// connect returns a connection that is made as soon as it can be.
func (b *broker) connect() (*nats.Conn, nats.JetStreamContext, error) {
	c := b.conf
	opts := []nats.Option{
		nats.Name(c.Name + " (watch)"),
		nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1),
		nats.IgnoreAuthErrorAbort(),
		nats.ReconnectWait(b.watch.every),
		nats.ReconnectJitter(b.watch.every/10, b.watch.every/10),
		nats.ReconnectBufSize(-1),          // a question of before is of no use later
		nats.PingInterval(5 * time.Second), // a peer that fell silent is away, too
	}
	switch { // in the component's order
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

// presence is what is known of a broker from one look to the next.
type presence struct {
	since      time.Time // of its absence; zero while it is there
	overdue    bool      // the component has not survived the absence, or may not have
	reconnects uint64
}

// look returns a reason to leave, or nil.
func (b *broker) look(ctx context.Context, conn *nats.Conn, js nats.JetStreamContext, p *presence) error {
	if !conn.IsConnected() {
		if p.since.IsZero() {
			p.since = time.Now()
		}
		if away := time.Since(p.since); away > b.watch.atMost && !p.overdue {
			p.overdue = true
			b.log.Warnf("The broker has been away for %s. The sidecar runs without it, and ends when it is back, to be started anew",
				away.Round(time.Second))
		}
		return nil
	}
	if p.overdue {
		return errors.New("the broker is there again")
	}
	reconnects := conn.Stats().Reconnects
	returned := !p.since.IsZero() || reconnects != p.reconnects
	p.since, p.reconnects = time.Time{}, reconnects

	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	for _, s := range b.current() {
		if err := b.conf.check(ctx, js, s, returned); err != nil {
			return fmt.Errorf("topic %s: %w", s.topic, err)
		}
	}
	return nil
}

func (b *broker) current() []*subscription {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Collect(maps.Keys(b.subscriptions))
}

// check returns why a subscription gets nothing any more. It returns nil when
// that cannot be told: a broker that does not answer is asked again at the next
// look.
func (c brokerConf) check(ctx context.Context, js nats.JetStreamContext, s *subscription, returned bool) error {
	created, err := c.consumer(ctx, js, s.topic)
	switch {
	case errors.Is(err, nats.ErrNoMatchingStream) || errors.Is(err, nats.ErrStreamNotFound):
		return errors.New("its stream is gone")
	case errors.Is(err, nats.ErrConsumerNotFound):
		return errors.New("its consumer is gone")
	case c.DurableName == "" && returned:
		return errors.New("its consumer had no durable name and the broker was away")
	case err != nil:
		return nil
	case s.created.IsZero():
		s.created = created
	case !created.Equal(s.created):
		return errors.New("its consumer is another one of the same name")
	}
	return nil
}

// consumer returns when a topic's durable consumer was made; the zero time when
// the component uses none.
func (c brokerConf) consumer(ctx context.Context, js nats.JetStreamContext, topic string) (created time.Time, err error) {
	stream := c.StreamName
	if stream == "" {
		if stream, err = js.StreamNameBySubject(topic, nats.Context(ctx)); err != nil {
			return time.Time{}, err
		}
	}
	if c.DurableName == "" {
		_, err = js.StreamInfo(stream, nats.Context(ctx))
		return time.Time{}, err
	}
	info, err := js.ConsumerInfo(stream, c.DurableName, nats.Context(ctx))
	if err != nil {
		return time.Time{}, err
	}
	return info.Created, nil
}
