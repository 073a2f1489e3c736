package attack_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/redis/go-redis/v9"

	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/test/kit"
	"boxoffice/test/stack"
)

// instance returns the first instance of an app.
func instance(t *testing.T, app string) stack.Instance {
	t.Helper()
	i, err := running.Instance(app)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func TestNATSRefusesClientsWithoutTheirPassword(t *testing.T) {
	booking := instance(t, "booking")
	for name, options := range map[string][]nats.Option{
		"nobody":                         nil,
		"a token":                        {nats.Token(booking.NATSPassword)},
		"a user without a password":      {nats.UserInfo("booking", "")},
		"booking with another password":  {nats.UserInfo("booking", instance(t, "auth").NATSPassword)},
		"streams with booking's":         {nats.UserInfo("streams", booking.NATSPassword)},
		"the shared user with booking's": {nats.UserInfo("shared", booking.NATSPassword)},
		"booking with its API token":     {nats.UserInfo("booking", booking.APIToken)},
	} {
		if conn, err := nats.Connect(running.Env["NATS_URL"], options...); err == nil {
			conn.Close()
			t.Errorf("%s: connected, want a refusal", name)
		}
	}
}

// connectAs connects to NATS as the user of an app.
func connectAs(t *testing.T, app string) *nats.Conn {
	t.Helper()
	conn, err := nats.Connect(running.Env["NATS_URL"], nats.UserInfo(app, instance(t, app).NATSPassword), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}

// wantViolation does something with a connection, and fails the test unless NATS refuses it.
func wantViolation(t *testing.T, conn *nats.Conn, what string, do func() error) {
	t.Helper()
	if err := do(); err != nil {
		t.Fatal(err)
	}
	if err := conn.Flush(); err != nil { // the reply comes after the violation
		t.Fatal(err)
	}
	subject := what[strings.LastIndex(what, " ")+1:]
	if err := conn.LastError(); err == nil || !strings.Contains(err.Error(), `"`+subject+`"`) {
		t.Errorf("%s: got %v, want a violation", what, err)
	}
}

// The users of NATS are those of the sidecars. Each may publish the facts of its own app only,
// and may neither read nor change what belongs to others.
func TestNATSUsersMayOnlyDoWhatTheirAppsDo(t *testing.T) {
	own := map[string]string{"auth": "auth-events", "event": eventapi.Topic, "booking": bookingapi.Topic, "gateway": ""}
	consumer := map[string]string{eventapi.Topic: "booking", bookingapi.Topic: "event"}
	for app, topic := range own {
		conn := connectAs(t, app)
		for _, other := range slices.Sorted(maps.Values(own)) {
			if other == "" {
				continue
			}
			subjects := []string{"$JS.API.STREAM.DELETE." + other, "$JS.API.STREAM.PURGE." + other, "$JS.API.STREAM.UPDATE." + other,
				"$JS.API.STREAM.MSG.GET." + other, "$JS.API.DIRECT.GET." + other, "$JS.API.STREAM.MSG.DELETE." + other,
				"$JS.API.CONSUMER.DELETE." + other + "." + consumer[other], "$JS.API.CONSUMER.CREATE." + other + ".thief." + other,
				"$JS.API.CONSUMER.PAUSE." + other + "." + consumer[other], "$JS.API.CONSUMER.DURABLE.CREATE." + other + "." + app}
			if other != topic {
				subjects = append(subjects, other)
			}
			if consumer[other] != app {
				subjects = append(subjects, "$JS.ACK."+other+"."+consumer[other]+".1.1.1.1.0")
			}
			for _, subject := range subjects {
				wantViolation(t, conn, app+" publishes on "+subject, func() error { return conn.Publish(subject, []byte("{}")) })
			}
		}
		for _, subject := range []string{"_INBOX.forged", "$SYS.REQ.SERVER.PING", "$JS.API.INFO", "$JS.API.STREAM.CREATE.mine", "anything"} {
			wantViolation(t, conn, app+" publishes on "+subject, func() error { return conn.Publish(subject, []byte("{}")) })
		}
		for _, subject := range []string{">", "*", bookingapi.Topic, eventapi.Topic, "auth-events", "$JS.ACK.>", "$JS.API.>"} {
			wantViolation(t, conn, app+" subscribes to "+subject, func() error { _, err := conn.SubscribeSync(subject); return err })
		}
	}
}

func TestRedisRefusesClientsWithoutItsPassword(t *testing.T) {
	for _, password := range []string{"", "guessed", instance(t, "gateway").APIToken} {
		client := redis.NewClient(&redis.Options{Addr: running.Redis.Addr, Password: password})
		t.Cleanup(func() { _ = client.Close() })
		for _, command := range [][]any{
			{"KEYS", "*"}, {"GET", "session:x"}, {"SET", "session:x", "y"}, {"FLUSHALL"}, {"INFO"}, {"CONFIG", "GET", "requirepass"}, {"EVAL", "return 1", "0"},
		} {
			if got, err := client.Do(t.Context(), command...).Result(); err == nil {
				t.Errorf("%v with the password %q: got %v, want an error", command, password, got)
			}
		}
	}
	client := redis.NewClient(running.Redis)
	t.Cleanup(func() { _ = client.Close() })
	if err := client.Ping(t.Context()).Err(); err != nil {
		t.Errorf("with the password: %v", err)
	}
}

// post sends a request to a program on this machine.
func post(t *testing.T, url, token, body string, headers ...string) stack.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("dapr-api-token", token)
	r.Header.Set("Content-Type", "application/cloudevents+json")
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return stack.Send(t, r)
}

// notSampled is the traceparent of a request without spans. Dapr's sidecar writes a token that
// it refuses into its span, and TestSpansAndLogsContainNothingPersonal searches all spans.
const notSampled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"

// Every app may invoke every other one, but facts and ticks come from an app's own sidecar.
func TestFactsAndTicksCannotBeInvoked(t *testing.T) {
	const fact = `{"specversion":"1.0","id":"forged","source":"x","type":"forged","data":{}}`
	routes := map[string][]string{
		"event": {"facts/bookings", "facts/streams", "sweep", "cleanup"}, "booking": {"facts/events", "facts/streams", "sweep"}, "gateway": {"facts/events"}, "auth": {"sweep"},
	}
	for _, caller := range running.Instances {
		for callee, paths := range routes {
			if callee == caller.App {
				continue
			}
			for _, path := range paths {
				for _, spelling := range []string{path, "/" + path, strings.ReplaceAll(path, "/", "//"), path + "?x=1"} {
					url := fmt.Sprintf("http://127.0.0.1:%d/v1.0/invoke/%s/method/%s", caller.HTTPPort, callee, spelling)
					// The sidecar replaces the header.
					res := post(t, url, caller.APIToken, fact, "dapr-caller-app-id", "", "dapr-callee-app-id", "")
					if res.StatusCode/100 == 2 {
						t.Errorf("%s invokes %s of %s: got %d %s, want a refusal", caller.App, spelling, callee, res.StatusCode, res.Text)
					}
				}
			}
		}
		// The token of one app opens no other app's sidecar, and no app.
		for _, other := range running.Instances {
			if other.App == caller.App {
				continue
			}
			for _, url := range []string{
				fmt.Sprintf("http://127.0.0.1:%d/v1.0/invoke/%s/method/facts/events", other.HTTPPort, other.App),
				fmt.Sprintf("http://127.0.0.1:%d/v1.0/publish/pubsub/%s", other.HTTPPort, bookingapi.Topic),
			} {
				if res := post(t, url, caller.APIToken, fact, "traceparent", notSampled); res.StatusCode != http.StatusUnauthorized {
					t.Errorf("%s with the token of %s: got %d, want 401", url, caller.App, res.StatusCode)
				}
			}
			for _, path := range append(routes[other.App], "auth.jwks") {
				url := fmt.Sprintf("http://127.0.0.1:%d/%s", other.Port, path)
				for _, token := range []string{caller.AppToken, caller.APIToken, other.APIToken} {
					if res := post(t, url, token, fact); res.StatusCode/100 == 2 {
						t.Errorf("%s with a token of %s: got %d, want a refusal", url, caller.App, res.StatusCode)
					}
				}
			}
		}
	}
}

// topic is a stream into which a test publishes forged facts with the password of its app.
type topic struct {
	broker jetstream.JetStream
	stream jetstream.Stream
	reader string // the app that receives the facts
}

func openTopic(t *testing.T, name, reader string) topic {
	t.Helper()
	conn, err := nats.Connect(running.NATSURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	broker, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := broker.Stream(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return topic{broker, stream, reader}
}

// event is a CloudEvent with a fact.
type event struct {
	SpecVersion     string         `json:"specversion"`
	ID              string         `json:"id"`
	Source          string         `json:"source"`
	Type            string         `json:"type"`
	Subject         string         `json:"subject"`
	DataContentType string         `json:"datacontenttype"`
	Data            map[string]any `json:"data"`
}

// find returns the fact of a type about a subject once it has been published.
func (p topic) find(t *testing.T, kind, subject string) event {
	t.Helper()
	var found event
	kit.Eventually(t, stack.WaitTimeout, kind+" is published", func() error {
		info, err := p.stream.Info(t.Context())
		if err != nil {
			return err
		}
		for seq := info.State.LastSeq; seq >= max(1, info.State.FirstSeq); seq-- {
			msg, err := p.stream.GetMsg(t.Context(), seq)
			if err != nil {
				continue // it was deleted
			}
			var e event
			if json.Unmarshal(msg.Data, &e) == nil && e.Type == kind && e.Subject == subject {
				found = e
				return nil
			}
		}
		return fmt.Errorf("no %s about %s", kind, subject)
	})
	return found
}

// publish publishes facts under new ids, and waits until the app has handled them.
func (p topic) publish(t *testing.T, facts ...event) {
	t.Helper()
	var last uint64
	for _, e := range facts {
		e.ID = stack.Unique("forged")
		data, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		ack, err := p.broker.Publish(t.Context(), p.stream.CachedInfo().Config.Name, data)
		if err != nil {
			t.Fatal(err)
		}
		last = ack.Sequence
	}
	kit.Eventually(t, stack.WaitTimeout, "the facts are handled", func() error {
		consumer, err := p.broker.PushConsumer(t.Context(), p.stream.CachedInfo().Config.Name, p.reader)
		if err != nil {
			return err
		}
		if floor := consumer.CachedInfo().AckFloor.Stream; floor < last {
			return fmt.Errorf("handled up to %d of %d", floor, last)
		}
		return nil
	})
}

// as returns the fact with another type and other fields of its resource.
func (e event) as(kind string, fields ...any) event {
	data, _ := json.Marshal(e)
	var forged event
	_ = json.NewDecoder(bytes.NewReader(data)).Decode(&forged)
	forged.Type = kind
	resource, _ := forged.Data["resource"].(map[string]any)
	for i := 0; i+1 < len(fields); i += 2 {
		resource[fields[i].(string)] = fields[i+1]
	}
	return forged
}

// A fact about a booking changes nothing unless the booking app confirms it.
func TestForgedFactsAboutBookingsChangeNothing(t *testing.T) {
	eventID, other := running.CreateEvent(t, 100), running.CreateEvent(t, 50)
	user, _ := running.Register(t)
	var confirmed, pending, elsewhere bookingapi.Booking
	user.Book(t, eventID, 2, "").Want(t, 201, &confirmed)
	user.Do(t, "POST", "/api/bookings/"+confirmed.ID+"/confirm", map[string]any{}).Want(t, 200, nil)
	user.Book(t, eventID, 3, "").Want(t, 201, &pending)
	user.Book(t, other, 1, "").Want(t, 201, &elsewhere)
	facts := openTopic(t, bookingapi.Topic, "event")
	sold, held := facts.find(t, bookingapi.FactConfirmed, confirmed.ID), facts.find(t, bookingapi.FactCreated, pending.ID)
	far := time.Now().AddDate(50, 0, 0).UTC().Truncate(time.Second)
	for round := range 2 {
		for _, id := range []string{eventID, other} {
			kit.Eventually(t, stack.WaitTimeout, "seats are moved", func() error {
				if s := running.Seats(t, id); s.Sold != map[string]int64{eventID: 2, other: 0}[id] || s.Held != map[string]int64{eventID: 3, other: 1}[id] {
					return fmt.Errorf("round %d: got %+v", round, s)
				}
				return nil
			})
		}
		if round > 0 {
			break
		}
		facts.publish(t,
			sold.as(bookingapi.FactExpired, "status", "expired"),
			sold.as(bookingapi.FactCancelled, "status", "cancelled"),
			sold.as(bookingapi.FactExpired, "eventId", other),
			sold.as(bookingapi.FactExpired, "quantity", 90),
			held.as(bookingapi.FactConfirmed, "status", "confirmed"),
			held.as(bookingapi.FactExpired, "status", "expired", "userId", "somebody"),
			held.as(bookingapi.FactCancelled, "eventId", other, "quantity", 1),
			held.as(bookingapi.FactCreated, "expiresAt", far),
			held.as(bookingapi.FactCancelled, "holdId", pending.ID+"_7_forged"),
			held.as(bookingapi.FactExpired, "holdId", "no hold"),
			held.as("booking.unknown"),
		)
	}
	for id, want := range map[string]string{confirmed.ID: "confirmed", pending.ID: "pending", elsewhere.ID: "pending"} {
		var got bookingapi.Booking
		user.Do(t, "GET", "/api/bookings/"+id, nil).Want(t, 200, &got)
		if got.Status != want {
			t.Errorf("booking %s is %s, want %s", id, got.Status, want)
		}
	}
	// The bookings work as before.
	user.Do(t, "POST", "/api/bookings/"+pending.ID+"/confirm", map[string]any{}).Want(t, 200, nil)
	user.Do(t, "POST", "/api/bookings/"+confirmed.ID+"/cancel", nil).Want(t, 200, nil)
	kit.Eventually(t, stack.WaitTimeout, "seats are counted", func() error {
		if s := running.Seats(t, eventID); s.Sold != 3 || s.Held != 0 || s.Available != 97 {
			return fmt.Errorf("got %+v", s)
		}
		return nil
	})
}

// A fact about an event cancels no booking unless the event app confirms it.
func TestForgedCancellationOfAnEventChangesNothing(t *testing.T) {
	eventID := running.CreateEvent(t, 10)
	user, _ := running.Register(t)
	var confirmed, pending bookingapi.Booking
	user.Book(t, eventID, 2, "").Want(t, 201, &confirmed)
	user.Do(t, "POST", "/api/bookings/"+confirmed.ID+"/confirm", map[string]any{}).Want(t, 200, nil)
	user.Book(t, eventID, 3, "").Want(t, 201, &pending)
	facts := openTopic(t, eventapi.Topic, "booking")
	created := facts.find(t, eventapi.FactCreated, eventID)
	facts.publish(t,
		created.as(eventapi.FactCancelled, "status", "cancelled"),
		created.as(eventapi.FactCancelled, "id", "no-such-event"),
		created.as(eventapi.FactDeleted),
		created.as("streams.made"),
	)
	// A job that the facts had started would have cancelled the bookings of this later event as
	// well as those of the first one.
	later := running.CreateEvent(t, 10)
	var doomed bookingapi.Booking
	user.Book(t, later, 1, "").Want(t, 201, &doomed)
	admin, _ := running.Admin(t)
	admin.Do(t, "POST", "/api/events/"+later+"/cancel", nil).Want(t, 200, nil)
	status := func(b bookingapi.Booking) string {
		user.Do(t, "GET", "/api/bookings/"+b.ID, nil).Want(t, 200, &b)
		return b.Status
	}
	kit.Eventually(t, stack.WaitTimeout, "the bookings of a cancelled event are cancelled", func() error {
		if got := status(doomed); got != "cancelled" {
			return fmt.Errorf("the booking is %s", got)
		}
		return nil
	})
	if got := []string{status(confirmed), status(pending)}; !slices.Equal(got, []string{"confirmed", "pending"}) {
		t.Errorf("got %v, want a confirmed and a pending booking", got)
	}
	if s := running.Seats(t, eventID); s.Sold != 2 || s.Held != 3 {
		t.Errorf("got %+v, want 2 sold and 3 held", s)
	}
}

// The token of an app's sidecar is enough to send ticks. They do no harm.
func TestManyTicksDoNoHarm(t *testing.T) {
	eventID := running.CreateEvent(t, 10)
	user, _ := running.Register(t)
	var pending bookingapi.Booking
	user.Book(t, eventID, 3, "").Want(t, 201, &pending)
	for app, ticks := range map[string][]string{"event": {"sweep", "cleanup"}, "booking": {"sweep"}} {
		i := instance(t, app)
		for _, tick := range ticks {
			kit.Concurrently(100, func(int) {
				r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, fmt.Sprintf("http://127.0.0.1:%d/%s", i.Port, tick), nil)
				if err != nil {
					t.Error(err)
					return
				}
				r.Header.Set("dapr-api-token", i.AppToken)
				if res := stack.Send(t, r); res.StatusCode != http.StatusOK {
					t.Errorf("%s of %s: got %d, want 200", tick, app, res.StatusCode)
				}
			})
		}
	}
	user.Do(t, "POST", "/api/bookings/"+pending.ID+"/confirm", map[string]any{}).Want(t, 200, nil)
	if s := running.Seats(t, eventID); s.Sold+s.Held != 3 || s.Available != 7 {
		t.Errorf("got %+v, want 3 seats that are not available", s)
	}
}
