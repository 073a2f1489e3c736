package main

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
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

func TestErrorNamesTheMissingVariable(t *testing.T) {
	err := run(t.Context(), nil, func(string) string { return "" }, t.Output())
	if want := "configuration: NATS_URL must be set"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// fixture is a broker with a subscription to every topic.
type fixture struct {
	t      *testing.T
	url    string
	broker jetstream.JetStream
	subs   map[string]*nats.Subscription
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{t: t, url: servers.StartNATS(t), subs: map[string]*nats.Subscription{}}
	conn, err := nats.Connect(f.url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	if f.broker, err = jetstream.New(conn); err != nil {
		t.Fatal(err)
	}
	for _, topic := range topics() {
		if f.subs[topic], err = conn.SubscribeSync(topic); err != nil {
			t.Fatal(err)
		}
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fixture) getenv(name string) string { return map[string]string{"NATS_URL": f.url}[name] }

// run runs the command with args, and returns its output.
func (f *fixture) run(args ...string) string {
	f.t.Helper()
	var out strings.Builder
	if err := run(f.t.Context(), args, f.getenv, &out); err != nil {
		f.t.Fatal(err)
	}
	return out.String()
}

// announcements returns the announcements that were published on a topic since the
// last call. They include duplicates that the broker then dropped.
func (f *fixture) announcements(topic string) []streams.Made {
	f.t.Helper()
	var all []streams.Made
	// The server handles messages in order. When it responds to this request, it has
	// delivered everything that the command had published.
	if _, err := f.broker.AccountInfo(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
	for {
		n, _, err := f.subs[topic].Pending()
		if err != nil {
			f.t.Fatal(err)
		}
		if n == 0 {
			return all
		}
		msg, err := f.subs[topic].NextMsg(time.Second)
		if err != nil {
			f.t.Fatal(err)
		}
		all = append(all, parse(f.t, msg.Data))
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
		t.Errorf("got %s, want a CloudEvent of type %s", event, streams.FactMade)
	}
	return e.Data
}

// last returns the newest message of a topic's stream.
func (f *fixture) last(topic string) streams.Made {
	f.t.Helper()
	stream, err := f.broker.Stream(f.t.Context(), topic)
	if err != nil {
		f.t.Fatal(err)
	}
	msg, err := stream.GetLastMsgForSubject(f.t.Context(), topic)
	if err != nil {
		f.t.Fatalf("last message of %s: %v", topic, err)
	}
	return parse(f.t, msg.Data)
}

// info returns the state of a topic's stream.
func (f *fixture) info(topic string) *jetstream.StreamInfo {
	f.t.Helper()
	stream, err := f.broker.Stream(f.t.Context(), topic)
	if err != nil {
		f.t.Fatal(err)
	}
	return stream.CachedInfo()
}

// wantCurrentAnnouncements checks that the last message of every topic has the
// creation times of all streams.
func (f *fixture) wantCurrentAnnouncements() {
	f.t.Helper()
	want := map[string]contract.Time{}
	for _, topic := range topics() {
		want[topic] = contract.At(f.info(topic).Created)
	}
	for _, topic := range topics() {
		if got := f.last(topic).Streams; !maps.Equal(got, want) {
			f.t.Errorf("%s: got %v, want %v", topic, got, want)
		}
	}
}

// deleteStream deletes a topic's stream with its messages.
func (f *fixture) deleteStream(topic string) {
	f.t.Helper()
	if err := f.broker.DeleteStream(f.t.Context(), topic); err != nil {
		f.t.Fatal(err)
	}
}

// wantNoAnnouncements checks that nothing was announced since the last call of
// announcements.
func (f *fixture) wantNoAnnouncements(what string) {
	f.t.Helper()
	for _, topic := range topics() {
		if got := f.announcements(topic); len(got) > 0 {
			f.t.Errorf("%s: got announcements %v on %s, want none", what, got, topic)
		}
	}
}

func TestStreamsAreCreatedAndAnnouncedOnce(t *testing.T) {
	f := newFixture(t)
	f.run()
	for _, topic := range topics() {
		cfg := f.info(topic).Config
		if want := []string{topic}; !slices.Equal(cfg.Subjects, want) || cfg.MaxAge < 48*time.Hour || cfg.Storage != jetstream.FileStorage {
			t.Errorf("got %+v, want subjects %v, file storage and two days or more", cfg, want)
		}
		dead := f.info(topic + "-dead").Config
		if want := []string{topic + "-dead"}; !slices.Equal(dead.Subjects, want) || dead.MaxAge < cfg.MaxAge || dead.Storage != jetstream.FileStorage {
			t.Errorf("got %+v, want subjects %v, file storage and %s or more", dead, want, cfg.MaxAge)
		}
		if dead.MaxBytes <= 0 || dead.Discard != jetstream.DiscardOld {
			t.Errorf("got %+v, want a limited size and the oldest dead letters discarded", dead)
		}
		if got := f.announcements(topic); len(got) != 1 {
			t.Errorf("%s: got announcements %v, want one", topic, got)
		}
	}
	f.wantCurrentAnnouncements()
	for range 2 {
		f.run()
		f.wantNoAnnouncements("nothing has changed")
	}

	for _, lost := range [][]string{{bookingapi.Topic}, {eventapi.Topic}, topics()} {
		was := f.info(lost[0]).Created
		for _, topic := range lost {
			f.deleteStream(topic)
		}
		f.run()
		if made := f.info(lost[0]).Created; !made.After(was) {
			t.Errorf("%s: got creation time %s, want it after %s", lost[0], made, was)
		}
		f.wantCurrentAnnouncements()
		for _, topic := range topics() {
			f.announcements(topic)
		}
		f.run()
		f.wantNoAnnouncements("everything was announced before")
	}
}

func TestExistingStreamKeepsItsMessagesAndMetadata(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	_, err := f.broker.CreateStream(ctx, jetstream.StreamConfig{
		Name: bookingapi.Topic, Subjects: []string{bookingapi.Topic}, Metadata: map[string]string{"owner": "me"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.broker.Publish(ctx, bookingapi.Topic, []byte("a fact")); err != nil {
		t.Fatal(err)
	}
	made := f.info(bookingapi.Topic).Created
	f.run()
	info := f.info(bookingapi.Topic)
	if !info.Created.Equal(made) || info.State.Msgs != 2 || info.Config.Metadata["owner"] != "me" || len(info.Config.Subjects) != 1 {
		t.Errorf("got %+v, want the old message, one announcement and the owner", info)
	}
	// The stream existed without an announcement, as it does after a run that crashed.
	f.wantCurrentAnnouncements()
	f.run()
	if got := f.info(bookingapi.Topic); got.State.Msgs != 2 || got.Config.Metadata["owner"] != "me" {
		t.Errorf("got %+v, want two messages and the owner", got)
	}
}

// addConsumer creates the consumer that the event app's sidecar would create, with the
// limits of cfg.
func (f *fixture) addConsumer(cfg jetstream.ConsumerConfig) *jetstream.ConsumerInfo {
	f.t.Helper()
	cfg.Durable, cfg.DeliverGroup, cfg.DeliverSubject, cfg.FilterSubject = "event", "event", nats.NewInbox(), bookingapi.Topic
	cfg.AckPolicy, cfg.AckWait = jetstream.AckExplicitPolicy, 30*time.Second
	consumer, err := f.broker.CreatePushConsumer(f.t.Context(), bookingapi.Topic, cfg)
	if err != nil {
		f.t.Fatal(err)
	}
	return consumer.CachedInfo()
}

// The consumer must be updated, not recreated: a new consumer would receive all facts
// again.
func TestLimitsOfAnExistingConsumerAreUpdated(t *testing.T) {
	f := newFixture(t)
	f.run()
	was := f.addConsumer(jetstream.ConsumerConfig{MaxDeliver: 10, MaxAckPending: 1000})
	broadcast, err := f.broker.CreatePushConsumer(t.Context(), bookingapi.Topic, jetstream.ConsumerConfig{
		DeliverSubject: nats.NewInbox(), FilterSubject: bookingapi.Topic, AckPolicy: jetstream.AckNonePolicy, DeliverPolicy: jetstream.DeliverNewPolicy,
	})
	if err != nil {
		t.Fatal(err)
	}
	f.run()
	after, err := f.broker.PushConsumer(t.Context(), bookingapi.Topic, was.Name)
	if err != nil {
		t.Fatal(err)
	}
	is := after.CachedInfo()
	if is.Config.MaxDeliver != -1 || is.Config.MaxAckPending != 8 {
		t.Errorf("got limits of %d deliveries and %d unacknowledged facts, want none (-1) and 8", is.Config.MaxDeliver, is.Config.MaxAckPending)
	}
	if !is.Created.Equal(was.Created) || is.Config.AckWait != was.Config.AckWait || is.Config.DeliverSubject != was.Config.DeliverSubject {
		t.Errorf("got %+v, want %+v", is, was)
	}
	other, err := broadcast.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := other.Config.MaxAckPending, broadcast.CachedInfo().Config.MaxAckPending; got != want {
		t.Errorf("the consumer of a component without acknowledgements: got a limit of %d, want %d as before", got, want)
	}
}

// Earlier versions stored dead letters in the stream of their topic, which drops a message
// whose id it knows. The subject must move to the stream of dead letters, and both streams
// keep their messages.
func TestDeadLettersMoveToTheirOwnStream(t *testing.T) {
	f := newFixture(t)
	ctx, dead := t.Context(), bookingapi.Topic+"-dead"
	if _, err := f.broker.CreateStream(ctx, jetstream.StreamConfig{
		Name: bookingapi.Topic, Subjects: []string{bookingapi.Topic, dead}, Duplicates: dedupWindow, MaxAge: retention,
	}); err != nil {
		t.Fatal(err)
	}
	publish := func(subject, id string) (duplicate bool) {
		t.Helper()
		ack, err := f.broker.Publish(ctx, subject, []byte("{}"), jetstream.WithMsgID(id))
		if err != nil {
			t.Fatal(err)
		}
		return ack.Duplicate
	}
	publish(bookingapi.Topic, "f1")
	if !publish(dead, "f1") {
		t.Fatal("got a stored dead letter, want the problem that this test is about")
	}
	f.run()
	if publish(dead, "f1") {
		t.Error("the dead letter was dropped as a duplicate of the original")
	}
	f.run()
	if n := f.info(dead).State.Msgs; n != 1 {
		t.Errorf("got %d dead letters, want 1", n)
	}
	if n := f.info(bookingapi.Topic).State.Msgs; n != 2 {
		t.Errorf("got %d messages in the topic's stream, want the fact and the announcement", n)
	}
}

func TestDeadLettersAreCountedAndPrinted(t *testing.T) {
	f := newFixture(t)
	f.run()
	if got, want := f.run("dead"), "auth-events-dead 0\nevent-events-dead 0\nbooking-events-dead 0\n"; got != want {
		t.Errorf("no dead letters: got %q, want %q", got, want)
	}
	dead := bookingapi.Topic + "-dead"
	for _, text := range []string{"{\n \"id\": \"f1\"}", "{\x1b", `{"id":"f3"}`} {
		if _, err := f.broker.Publish(t.Context(), dead, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := f.run("dead"), "auth-events-dead 0\nevent-events-dead 0\nbooking-events-dead 3\n"; got != want {
		t.Errorf("three dead letters: got %q, want %q", got, want)
	}
	stream, err := f.broker.Stream(t.Context(), dead)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.DeleteMsg(t.Context(), 1); err != nil { // by an operator
		t.Fatal(err)
	}
	lines := strings.Split(f.run("dead", "-print"), "\n")
	if len(lines) != 6 || lines[2] != dead+" 2" {
		t.Fatalf("got %q, want three counts and two dead letters", lines)
	}
	for i, want := range []string{`"{\x1b"`, `{"id":"f3"}`} {
		if got := strings.SplitN(lines[3+i], " ", 4); got[0] != dead || got[1] != strconv.Itoa(2+i) || got[3] != want {
			t.Errorf("got line %q, want the stream, the sequence number, the time and %s", got, want)
		}
	}
}

func TestUnknownArgumentsAreRefused(t *testing.T) {
	for _, args := range [][]string{{"alive"}, {"dead", "-x"}, {"dead", "now"}} {
		if err := run(t.Context(), args, func(string) string { return "" }, t.Output()); !errors.Is(err, errUsage) {
			t.Errorf("%q: got %v, want the usage", args, err)
		}
	}
}

// Several runs may be started at once, for example after a restart of all sidecars.
func TestConcurrentRunsAnnounceOnce(t *testing.T) {
	f := newFixture(t)
	ended := make(chan error)
	const runs = 4
	for range runs {
		go func() {
			ended <- run(t.Context(), nil, f.getenv, t.Output())
		}()
	}
	for range runs {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	for _, topic := range topics() {
		if n := f.info(topic).State.Msgs; n != 1 {
			t.Errorf("%s: got %d messages, want one", topic, n)
		}
	}
	f.wantCurrentAnnouncements()
}

// An error must not contain the password in a URL.
func TestErrorsDoNotContainThePassword(t *testing.T) {
	for _, url := range []string{
		"nats://streams:secret@127.0.0.1:port", "nats://streams:secret%zz@127.0.0.1:1", "nats://127.0.0.1:1,nats://streams:secret@[::1", "nats://streams:secret@127.0.0.1:1",
	} {
		err := run(t.Context(), nil, func(name string) string { return map[string]string{"NATS_URL": url}[name] }, t.Output())
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("got %v, want an error without the password", err)
		}
	}
}
