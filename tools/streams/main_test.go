package main

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"boxoffice/shared/contract"
	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/shared/contract/streams"
	"boxoffice/test/servers"
)

func TestRunNamesWhatIsMissing(t *testing.T) {
	err := run(t.Context(), func(string) string { return "" }, t.Output())
	if want := "configuration: NATS_URL must be set"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// bench is a broker, with ears on every topic.
type bench struct {
	t      *testing.T
	url    string
	broker jetstream.JetStream
	heard  map[string]*nats.Subscription
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, url: servers.StartNATS(t), heard: map[string]*nats.Subscription{}}
	conn, err := nats.Connect(b.url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	if b.broker, err = jetstream.New(conn); err != nil {
		t.Fatal(err)
	}
	for _, topic := range topics() {
		if b.heard[topic], err = conn.SubscribeSync(topic); err != nil {
			t.Fatal(err)
		}
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) run() {
	b.t.Helper()
	if err := run(b.t.Context(), func(name string) string { return map[string]string{"NATS_URL": b.url}[name] }, b.t.Output()); err != nil {
		b.t.Fatal(err)
	}
}

// told returns what was published on a topic since it was last asked for: also
// what the broker then dropped.
func (b *bench) told(topic string) []streams.Made {
	b.t.Helper()
	var all []streams.Made
	// What the command published before it ended, the server has passed on when it
	// answers this.
	if _, err := b.broker.AccountInfo(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	for {
		n, _, err := b.heard[topic].Pending()
		if err != nil {
			b.t.Fatal(err)
		}
		if n == 0 {
			return all
		}
		msg, err := b.heard[topic].NextMsg(time.Second)
		if err != nil {
			b.t.Fatal(err)
		}
		all = append(all, parse(b.t, msg.Data))
	}
}

func parse(t *testing.T, event []byte) streams.Made {
	t.Helper()
	var e struct {
		SpecVersion, ID, Source, Type string
		Data                          streams.Made
	}
	if err := json.Unmarshal(event, &e); err != nil {
		t.Fatalf("%v: %s", err, event)
	}
	if e.SpecVersion != "1.0" || e.ID == "" || e.Source == "" || e.Type != streams.FactMade {
		t.Errorf("no such CloudEvent: %s", event)
	}
	return e.Data
}

// last returns the newest message of a topic's stream.
func (b *bench) last(topic string) streams.Made {
	b.t.Helper()
	stream, err := b.broker.Stream(b.t.Context(), topic)
	if err != nil {
		b.t.Fatal(err)
	}
	msg, err := stream.GetLastMsgForSubject(b.t.Context(), topic)
	if err != nil {
		b.t.Fatalf("last of %s: %v", topic, err)
	}
	return parse(b.t, msg.Data)
}

func (b *bench) info(topic string) *jetstream.StreamInfo {
	b.t.Helper()
	stream, err := b.broker.Stream(b.t.Context(), topic)
	if err != nil {
		b.t.Fatal(err)
	}
	return stream.CachedInfo()
}

// toldAll expects that the newest of every topic says when all streams were made.
func (b *bench) toldAll() {
	b.t.Helper()
	want := map[string]contract.Time{}
	for _, topic := range topics() {
		want[topic] = contract.At(b.info(topic).Created)
	}
	for _, topic := range topics() {
		if got := b.last(topic).Streams; !maps.Equal(got, want) {
			b.t.Errorf("%s: got %v, want %v", topic, got, want)
		}
	}
}

func (b *bench) lose(topic string) {
	b.t.Helper()
	if err := b.broker.DeleteStream(b.t.Context(), topic); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) quiet(what string) {
	b.t.Helper()
	for _, topic := range topics() {
		if got := b.told(topic); len(got) > 0 {
			b.t.Errorf("%s: %s was told %v", what, topic, got)
		}
	}
}

func TestStreams(t *testing.T) {
	b := newBench(t)
	b.run()
	for _, topic := range topics() {
		cfg := b.info(topic).Config
		if want := []string{topic, topic + "-dead"}; !slices.Equal(cfg.Subjects, want) || cfg.MaxAge < 48*time.Hour || cfg.Storage != jetstream.FileStorage {
			t.Errorf("got %+v", cfg)
		}
		if got := b.told(topic); len(got) != 1 {
			t.Errorf("%s was told %v, want once", topic, got)
		}
	}
	b.toldAll()
	for range 2 {
		b.run()
		b.quiet("nothing is new")
	}

	for _, lost := range [][]string{{bookingapi.Topic}, {eventapi.Topic}, topics()} {
		was := b.info(lost[0]).Created
		for _, topic := range lost {
			b.lose(topic)
		}
		b.run()
		if made := b.info(lost[0]).Created; !made.After(was) {
			t.Errorf("%s was made at %s, before at %s", lost[0], made, was)
		}
		b.toldAll()
		for _, topic := range topics() {
			b.told(topic)
		}
		b.run()
		b.quiet("all was told")
	}
}

// What is in a stream stays, and what others have noted of it.
func TestStreamsThatAreThereStay(t *testing.T) {
	b := newBench(t)
	ctx := t.Context()
	_, err := b.broker.CreateStream(ctx, jetstream.StreamConfig{
		Name: bookingapi.Topic, Subjects: []string{bookingapi.Topic}, Metadata: map[string]string{"owner": "me"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.broker.Publish(ctx, bookingapi.Topic, []byte("a fact")); err != nil {
		t.Fatal(err)
	}
	made := b.info(bookingapi.Topic).Created
	b.run()
	info := b.info(bookingapi.Topic)
	if !info.Created.Equal(made) || info.State.Msgs != 2 || info.Config.Metadata["owner"] != "me" || len(info.Config.Subjects) != 2 {
		t.Errorf("got %+v", info)
	}
	// It was there, as after a run that ended before it told.
	b.toldAll()
	b.run()
	if got := b.info(bookingapi.Topic); got.State.Msgs != 2 || got.Config.Metadata["owner"] != "me" {
		t.Errorf("got %+v", got)
	}
}

// A consumer that was made with a limit to deliveries has none, and is the same.
func TestDeliveriesAreNotLimited(t *testing.T) {
	b := newBench(t)
	b.run()
	limited := jetstream.ConsumerConfig{
		Durable: "event", DeliverGroup: "event", DeliverSubject: nats.NewInbox(), FilterSubject: bookingapi.Topic,
		AckPolicy: jetstream.AckExplicitPolicy, AckWait: 30 * time.Second, MaxDeliver: 10,
	}
	before, err := b.broker.CreatePushConsumer(t.Context(), bookingapi.Topic, limited)
	if err != nil {
		t.Fatal(err)
	}
	b.run()
	after, err := b.broker.PushConsumer(t.Context(), bookingapi.Topic, limited.Durable)
	if err != nil {
		t.Fatal(err)
	}
	was, is := before.CachedInfo(), after.CachedInfo()
	if is.Config.MaxDeliver != -1 {
		t.Errorf("at most %d deliveries, want any number", is.Config.MaxDeliver)
	}
	if !is.Created.Equal(was.Created) || is.Config.AckWait != limited.AckWait || is.Config.DeliverSubject != limited.DeliverSubject {
		t.Errorf("got %+v, want %+v", is, was)
	}
}

// Several at once, as when all sidecars are started anew, tell it once.
func TestRunsAtOnce(t *testing.T) {
	b := newBench(t)
	ended := make(chan error)
	const runs = 4
	for range runs {
		go func() {
			ended <- run(t.Context(), func(name string) string { return map[string]string{"NATS_URL": b.url}[name] }, t.Output())
		}()
	}
	for range runs {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	for _, topic := range topics() {
		if n := b.info(topic).State.Msgs; n != 1 {
			t.Errorf("%s has %d messages, want one", topic, n)
		}
	}
	b.toldAll()
}
