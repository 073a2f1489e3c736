package fault_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/test/kit"
	"boxoffice/test/stack"
)

// TestSweepsMakeUpForLostFacts deletes facts from their streams before they are delivered.
// The event app does not ask about holds, so the counters can become right again only by
// what the bookings owe.
func TestSweepsMakeUpForLostFacts(t *testing.T) {
	s := start(t, stack.Options{Data: t.TempDir(), Env: append(fastExpiryEnv(), "HOLD_SETTLE_AFTER="+settleAfter.String())})
	t.Cleanup(func() { stop(t, s) })
	t.Run("facts are deleted at random", func(t *testing.T) { deletedAtRandom(t, s) })
	t.Run("the fact of a cancelled event is deleted", func(t *testing.T) { deletedCancellation(t, s) })
	t.Run("refused facts are found among the dead letters", func(t *testing.T) { refusedFacts(t, s) })
}

// published is the part of a fact's CloudEvent by which tests choose it.
type published struct{ Type, Subject string }

// lossyTopic is the stream of a topic from which a test deletes facts.
type lossyTopic struct {
	name, app string // the topic and its subscriber
	broker    jetstream.JetStream
	stream    jetstream.Stream
	rng       *rand.Rand
	deleted   map[string]int // facts by type
}

// openTopic connects to the stream of a topic. The connection closes when the test ends.
func openTopic(t *testing.T, s *stack.Stack, topic string) *lossyTopic {
	t.Helper()
	l := &lossyTopic{name: topic, app: subscriptions()[topic], rng: rand.New(rand.NewPCG(1, 2)), deleted: map[string]int{}}
	l.broker = openBroker(t, s.NATSURL)
	var err error
	if l.stream, err = l.broker.Stream(t.Context(), topic); err != nil {
		t.Fatal(err)
	}
	return l
}

// openBroker connects to JetStream. The connection closes when the test ends.
func openBroker(t *testing.T, url string) jetstream.JetStream {
	t.Helper()
	conn, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	broker, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	return broker
}

// pause stops all deliveries until the caller calls resume, or until the test ends.
func (l *lossyTopic) pause(t *testing.T) (resume func()) {
	t.Helper()
	if _, err := l.stream.PauseConsumer(t.Context(), l.app, time.Now().Add(stack.WaitTimeout)); err != nil {
		t.Fatal(err)
	}
	resume = sync.OnceFunc(func() {
		if _, err := l.stream.ResumeConsumer(context.WithoutCancel(t.Context()), l.app); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(resume)
	return resume
}

// deleteUndelivered deletes the facts for which chooses returns true among those that have
// not been delivered. The topic must be paused.
func (l *lossyTopic) deleteUndelivered(t *testing.T, chooses func(published) bool) {
	t.Helper()
	consumer, err := l.broker.PushConsumer(t.Context(), l.name, l.app)
	if err != nil {
		t.Fatal(err)
	}
	info, err := l.stream.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for seq := consumer.CachedInfo().Delivered.Stream + 1; seq <= info.State.LastSeq; seq++ {
		msg, err := l.stream.GetMsg(t.Context(), seq)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue // deleted earlier
		}
		if err != nil {
			t.Fatal(err)
		}
		var f published
		if err := json.Unmarshal(msg.Data, &f); err != nil {
			t.Fatal(err)
		}
		if !chooses(f) {
			continue
		}
		if err := l.stream.DeleteMsg(t.Context(), seq); err != nil {
			t.Fatal(err)
		}
		l.deleted[f.Type]++
	}
}

// deletedAtRandom deletes every second undelivered fact about bookings, again and again,
// while a crowd books.
func deletedAtRandom(t *testing.T, s *stack.Stack) {
	events := createEvents(t, s)
	c := newCrowd(t, s, 8, events)
	topic := openTopic(t, s, bookingapi.Topic)
	stopBooking := c.startBooking(t)
	for enough := false; !enough; {
		resume := topic.pause(t)
		c.awaitBookings(t, 15)
		topic.deleteUndelivered(t, func(published) bool { return topic.rng.IntN(2) == 0 })
		resume()
		enough = topic.deleted[bookingapi.FactConfirmed] >= 5 && topic.deleted[bookingapi.FactCancelled] >= 3 && topic.deleted[bookingapi.FactExpired] >= 3
	}
	stopBooking()
	t.Logf("deleted facts: %v", topic.deleted)
	awaitInvariantsWithoutFacts(t, s, events, c.ledger)
}

// deletedCancellation cancels an event, and deletes the fact about it. All of its bookings
// must be cancelled nevertheless.
func deletedCancellation(t *testing.T, s *stack.Stack) {
	const users, each = 2, 4
	eventID := s.CreateEvent(t, users*each)
	topic := openTopic(t, s, eventapi.Topic)
	bookAll(t, s, eventID, users, each)
	resume := topic.pause(t)
	admin, _ := s.Admin(t)
	admin.Do(t, "POST", "/api/events/"+eventID+"/cancel", nil).Want(t, 200, nil)
	kit.Eventually(t, stack.WaitTimeout, "the fact is published and deleted", func() bool {
		topic.deleteUndelivered(t, func(f published) bool { return f.Type == eventapi.FactCancelled && f.Subject == eventID })
		return topic.deleted[eventapi.FactCancelled] > 0
	})
	resume()
	kit.Eventually(t, stack.WaitTimeout, "all bookings are cancelled", func() error {
		for id, b := range readState(t, s, eventID).Bookings {
			if b.State != bookingapi.StatusCancelled && b.State != bookingapi.StatusExpired {
				return fmt.Errorf("booking %s is %s", id, b.State)
			}
		}
		return nil
	})
	awaitInvariantsWithoutFacts(t, s, []string{eventID}, nil)
}

// refusedFacts publishes facts that the event app refuses, as its sidecar would publish
// them. They must not delay other facts, and the operator's command must find them.
func refusedFacts(t *testing.T, s *stack.Stack) {
	broker := openBroker(t, s.NATSURL)
	ids := []string{stack.Unique("refused"), stack.Unique("malformed")}
	for i, data := range []string{`{"resource":{}}`, "7"} {
		event := fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":"test","type":%q,"datacontenttype":"application/json","data":%s}`,
			ids[i], bookingapi.FactConfirmed, data)
		if _, err := broker.Publish(t.Context(), bookingapi.Topic, []byte(event), jetstream.WithMsgID(ids[i])); err != nil {
			t.Fatal(err)
		}
	}
	if err := journey(t, s, s.CreateEvent(t, 10)); err != nil {
		t.Error(err)
	}
	kit.Eventually(t, stack.WaitTimeout, "the dead letters are found", func() error {
		cmd := exec.CommandContext(t.Context(), "go", "run", "../../tools/streams", "dead", "-print")
		cmd.Env = append(os.Environ(), "GOWORK=off", "NATS_URL="+s.NATSURL)
		out, err := cmd.CombinedOutput()
		if text := string(out); err != nil || !strings.Contains(text, bookingapi.Topic+"-dead 2\n") ||
			!strings.Contains(text, ids[0]) || !strings.Contains(text, ids[1]) {
			return fmt.Errorf("got %s, %w, want %v", text, err, ids)
		}
		return nil
	})
	for _, message := range []string{"dropped refused event", "dropped malformed event"} {
		if !strings.Contains(s.Log(), message) {
			t.Errorf("the log does not contain %q", message)
		}
	}
}

// TestRolledBackNATSLosesNoSeats replaces the files of NATS by an earlier copy while a crowd
// books and the event and booking apps are frozen. NATS then forgets facts, and delivers
// others again.
func TestRolledBackNATSLosesNoSeats(t *testing.T) {
	s := start(t, stack.Options{Data: t.TempDir(), Env: fastExpiryEnv()})
	t.Cleanup(func() { stop(t, s) })
	events := createEvents(t, s)
	c := newCrowd(t, s, 8, events)
	rng := rand.New(rand.NewPCG(3, 4))
	broker := openBroker(t, s.NATSURL)
	lastSequence := func() uint64 {
		t.Helper()
		stream, err := broker.Stream(t.Context(), bookingapi.Topic)
		if err != nil {
			t.Fatal(err)
		}
		return stream.CachedInfo().State.LastSeq
	}
	for _, order := range [][]string{{"event", "booking"}, {"booking", "event"}} {
		t.Run(strings.Join(order, " first, then "), func(t *testing.T) {
			stopBooking := c.startBooking(t)
			c.awaitBookings(t, 10)
			earlier := filepath.Join(t.TempDir(), "nats")
			s.Freeze(t, "nats")
			if err := os.CopyFS(earlier, os.DirFS(filepath.Join(s.Data, "nats"))); err != nil {
				t.Fatal(err)
			}
			s.Thaw(t, "nats")
			c.awaitBookings(t, 20)
			c.awaitBookings(t, 1+rng.IntN(8))
			for _, name := range order {
				s.Freeze(t, name)
			}
			before := lastSequence()
			rollBack(t, s, earlier)
			if after := lastSequence(); after >= before {
				t.Errorf("got last sequence number %d, want less than the %d of before", after, before)
			}
			for _, name := range order {
				s.Thaw(t, name)
			}
			c.awaitBookings(t, 5)
			stopBooking()
			awaitInvariantsWithoutFacts(t, s, events, c.ledger)
		})
	}
	t.Logf("responses by status: %v", c.ledger.Counts())
}

// rollBack kills NATS and replaces its files by those in the directory earlier. It returns
// when NATS answers again.
func rollBack(t *testing.T, s *stack.Stack, earlier string) {
	t.Helper()
	files := filepath.Join(s.Data, "nats")
	// The devstack starts NATS again as soon as it has ended, so its files must be replaced
	// before. A frozen process does not notice.
	s.Freeze(t, "nats")
	for _, move := range [][2]string{{files, earlier + "-forgotten"}, {earlier, files}} {
		if err := os.Rename(move[0], move[1]); err != nil {
			t.Fatal(err)
		}
	}
	kill(t, s, "nats")()
	kit.Eventually(t, stack.WaitTimeout, "NATS answers again", func() error {
		conn, err := nats.Connect(s.NATSURL)
		if err != nil {
			return err
		}
		conn.Close()
		return nil
	})
}
