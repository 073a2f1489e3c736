package e2e_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	topic   = "facts"
	durable = "facts-of-e2e"

	// statusRestart is the exit status of a sidecar that must be restarted to
	// restore its subscriptions.
	statusRestart = 75
)

// frequentChecks makes a sidecar check its broker more often than by default.
const frequentChecks = "DAPRD_BROKER_LOOK_EVERY=20ms"

// testBroker makes the broker unreachable in different ways. The sidecar must exit
// for a restart exactly in those cases from which the JetStream component does not
// recover.
func testBroker(t *testing.T, bin string) {
	server := builtNATS(t)
	run := func(name string, fn func(*testing.T, *brokerTest)) {
		t.Run(name, func(t *testing.T) { fn(t, &brokerTest{nats: newNATS(t, server), daprd: bin, app: newApp(t)}) })
	}

	run("broker unreachable at startup", func(t *testing.T, b *brokerTest) {
		s := b.sidecar(t)
		b.invoke(t, s)
		b.nats.start(t)
		b.expectRestart(t, s)
	})
	run("watch disabled", func(t *testing.T, b *brokerTest) {
		s := b.sidecar(t, "DAPRD_BROKER_LOOK_EVERY=0s")
		log := s.log(t)
		if !strings.Contains(log, "Failed to init component pubsub.jetstream") || strings.Contains(log, "The broker is unreachable") {
			t.Error("log: want the failed component and no announcement of an exit")
		}
	})
	run("no stream at first", func(t *testing.T, b *brokerTest) {
		b.nats.start(t)
		s := b.sidecar(t)
		eventually(t, "the subscription fails", func() bool {
			return strings.Contains(s.log(t), "no stream matches subject")
		})
		b.provision(t)
		b.deliver(t, "after")
		b.expectRunning(t, s)
	})
	run("short outage", func(t *testing.T, b *brokerTest) {
		s := b.subscribed(t)
		b.nats.kill(t)
		b.invoke(t, s)
		b.nats.start(t)
		b.deliver(t, "after")
		b.expectRunning(t, s)
	})
	run("long outage", func(t *testing.T, b *brokerTest) {
		s := b.subscribed(t, "DAPRD_BROKER_AWAY_AT_MOST=200ms")
		b.nats.kill(t)
		eventually(t, "the sidecar reports that the outage is too long", func() bool {
			return strings.Contains(s.log(t), "The broker has been unreachable for too long")
		})
		b.nats.awaitAttempts(t, 10)
		b.invoke(t, s)
		b.nats.start(t)
		b.expectRestart(t, s)
	})
	run("broker lost its data", func(t *testing.T, b *brokerTest) {
		s := b.subscribed(t)
		b.nats.kill(t)
		b.nats.wipe(t)
		b.nats.start(t)
		b.expectRestart(t, s)
	})
	run("consumer was replaced", func(t *testing.T, b *brokerTest) {
		// With this interval a check is unlikely to happen between the deletion of the
		// consumer and the creation of the new one.
		s := b.subscribed(t, "DAPRD_BROKER_LOOK_EVERY=300ms")
		b.awaitChecks(t, 2)
		b.replaceConsumer(t)
		b.expectRestart(t, s)
	})

	// Without a durable consumer, the sidecar subscribes again and keeps running.
	broadcast := func(name string, fn func(*testing.T, *brokerTest)) {
		run("broadcast: "+name, func(t *testing.T, b *brokerTest) { b.isBroadcast = true; fn(t, b) })
	}
	broadcast("broker unreachable at startup", func(t *testing.T, b *brokerTest) {
		s := b.sidecar(t)
		b.invoke(t, s)
		b.nats.start(t)
		b.provision(t)
		b.deliver(t, "after")
		b.expectRunning(t, s)
	})
	broadcast("short outage", func(t *testing.T, b *brokerTest) {
		s := b.subscribed(t)
		b.nats.kill(t)
		b.nats.start(t)
		b.deliver(t, "after")
		b.expectRunning(t, s)
	})
	broadcast("long outage", func(t *testing.T, b *brokerTest) {
		s := b.subscribed(t, "DAPRD_BROKER_AWAY_AT_MOST=200ms")
		b.nats.kill(t)
		eventually(t, "the sidecar reports that the outage is too long", func() bool {
			return strings.Contains(s.log(t), "The broker has been unreachable for too long. The component will be replaced")
		})
		b.invoke(t, s)
		b.nats.start(t)
		b.deliver(t, "after")
		b.expectRunning(t, s)
	})
	broadcast("broker lost its data", func(t *testing.T, b *brokerTest) {
		s := b.subscribed(t)
		b.nats.kill(t)
		b.nats.wipe(t)
		b.nats.start(t)
		eventually(t, "the sidecar notices that the stream is missing", func() bool {
			return strings.Contains(s.log(t), "The component cannot be replaced yet")
		})
		b.provision(t)
		b.deliver(t, "after")
		b.expectRunning(t, s)
	})
	broadcast("facts reach every replica", func(t *testing.T, b *brokerTest) {
		b.subscribed(t)
		other := &brokerTest{nats: b.nats, app: newApp(t), daprd: b.daprd, isBroadcast: true}
		other.sidecar(t)
		other.deliver(t, "both")
		eventually(t, "the fact arrives at the first replica too", func() bool { return b.app.has("both") })
	})
}

// brokerTest is the environment of a sidecar: its broker and its app.
type brokerTest struct {
	nats        *natsServer
	app         *app
	daprd       string
	isBroadcast bool // the component has no durable consumer
}

// sidecar starts a sidecar for the app, with the broker as its pub/sub component.
func (b *brokerTest) sidecar(t *testing.T, env ...string) *sidecar {
	t.Helper()
	metadata := map[string]string{"natsURL": b.nats.url(), "durableName": durable, "queueGroupName": durable, "ackWait": "1s"}
	if b.isBroadcast {
		metadata = map[string]string{"natsURL": b.nats.url(), "deliverPolicy": "new", "ackPolicy": "none"}
	}
	return start(t, b.daprd, []component{{kind: "pubsub.jetstream", metadata: metadata}}, append([]string{frequentChecks}, env...), "--app-port", strconv.Itoa(b.app.port))
}

// subscribed starts the broker with a stream and a sidecar, and waits until a fact
// has reached the app.
func (b *brokerTest) subscribed(t *testing.T, env ...string) *sidecar {
	t.Helper()
	b.nats.start(t)
	b.provision(t)
	s := b.sidecar(t, env...)
	b.deliver(t, "before")
	return s
}

// invoke checks that the sidecar forwards an invocation to the app.
func (b *brokerTest) invoke(t *testing.T, s *sidecar) {
	t.Helper()
	if r := s.do(t, http.MethodGet, "/v1.0/invoke/"+appID+"/method/ping", "", nil); r.status != http.StatusOK {
		t.Fatalf("invocation = %d %s, want 200", r.status, r.body)
	}
}

// expectRestart waits until the sidecar has exited for a restart.
func (b *brokerTest) expectRestart(t *testing.T, s *sidecar) {
	t.Helper()
	eventually(t, "the sidecar exits", s.ended)
	if got := s.cmd.ProcessState.ExitCode(); got != statusRestart {
		t.Errorf("exit code = %d, want %d", got, statusRestart)
	}
	if got := strings.Count(s.log(t), "Daprd exits for a restart: restart required"); got != 1 {
		t.Errorf("messages with the reason for the exit: got %d, want 1", got)
	}
}

// expectRunning checks that the sidecar still runs after some checks of the
// broker.
func (b *brokerTest) expectRunning(t *testing.T, s *sidecar) {
	t.Helper()
	b.awaitChecks(t, 5)
	b.invoke(t, s)
	if s.ended() {
		t.Errorf("the sidecar exited with %s, want it to run", s.cmd.ProcessState)
	}
}

// provision creates the stream of the topic.
func (b *brokerTest) provision(t *testing.T) {
	t.Helper()
	if _, err := b.nats.jetStream(t).AddStream(&nats.StreamConfig{Name: topic, Subjects: []string{topic}}); err != nil {
		t.Fatal(err)
	}
}

// deliver publishes a fact and waits until the app has received it. A broadcast only
// reaches subscriptions that exist already, so the fact is published repeatedly then.
func (b *brokerTest) deliver(t *testing.T, id string) {
	t.Helper()
	fact := fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":"e2e","type":"fact","data":{}}`, id)
	js, published := b.nats.jetStream(t), false
	eventually(t, "the fact "+id+" arrives", func() bool {
		if !published || b.isBroadcast {
			if _, err := js.Publish(topic, []byte(fact)); err != nil {
				t.Fatal(err)
			}
			published = true
		}
		return b.app.has(id)
	})
}

// awaitChecks waits until the sidecar has requested its consumer n times, or its stream
// if the consumer is not durable. By then the sidecar has received at least n-1 replies.
func (b *brokerTest) awaitChecks(t *testing.T, n int) {
	t.Helper()
	subject := "$JS.API.CONSUMER.INFO." + topic + "." + durable
	if b.isBroadcast {
		subject = "$JS.API.STREAM.INFO." + topic
	}
	requests, err := b.nats.connect(t).SubscribeSync(subject)
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		if _, err := requests.NextMsg(deadline); err != nil {
			t.Fatal(err)
		}
	}
}

// replaceConsumer deletes the durable consumer and creates another one with the same
// name. A sidecar finds the same state if its consumer was lost and the sidecar of
// another replica has already created a new one.
func (b *brokerTest) replaceConsumer(t *testing.T) {
	t.Helper()
	js := b.nats.jetStream(t)
	info, err := js.ConsumerInfo(topic, durable)
	if err != nil {
		t.Fatal(err)
	}
	conf := info.Config
	conf.DeliverSubject = nats.NewInbox()
	if err := js.DeleteConsumer(topic, durable); err != nil {
		t.Fatal(err)
	}
	if _, err := js.AddConsumer(topic, &conf); err != nil {
		t.Fatal(err)
	}
}

// natsServer is a NATS server that a test starts and kills.
type natsServer struct {
	program, data, addr string
	cmd                 *exec.Cmd
}

// newNATS returns a server that is not started yet. It is killed when t ends.
func newNATS(t *testing.T, program string) *natsServer {
	n := &natsServer{program: program, data: filepath.Join(t.TempDir(), "nats")}
	n.addr = fmt.Sprintf("127.0.0.1:%d", freePorts(t)["dapr-http-port"])
	t.Cleanup(func() {
		if n.cmd != nil {
			n.kill(t)
		}
	})
	return n
}

func (n *natsServer) url() string { return "nats://" + n.addr }

// start starts the server and waits until JetStream answers.
func (n *natsServer) start(t *testing.T) {
	t.Helper()
	n.cmd = exec.Command(n.program, "nats", "--listen", n.addr, "--data", n.data)
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the broker answers", func() bool {
		conn, err := nats.Connect(n.url())
		if err != nil {
			return false
		}
		defer conn.Close()
		js, err := conn.JetStream()
		if err != nil {
			return false
		}
		_, err = js.AccountInfo()
		return err == nil
	})
}

// awaitAttempts listens in place of the server until it has accepted the given
// number of connections.
func (n *natsServer) awaitAttempts(t *testing.T, times int) {
	t.Helper()
	l, err := net.Listen("tcp", n.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.(*net.TCPListener).SetDeadline(time.Now().Add(deadline)); err != nil {
		t.Fatal(err)
	}
	for range times {
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
}

func (n *natsServer) kill(t *testing.T) {
	t.Helper()
	if err := n.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = n.cmd.Wait() // killed
	n.cmd = nil
}

// wipe deletes the server's data.
func (n *natsServer) wipe(t *testing.T) {
	t.Helper()
	if err := os.RemoveAll(n.data); err != nil {
		t.Fatal(err)
	}
}

// connect returns a connection that is closed when t ends.
func (n *natsServer) connect(t *testing.T) *nats.Conn {
	t.Helper()
	conn, err := nats.Connect(n.url(), nats.NoReconnect())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}

func (n *natsServer) jetStream(t *testing.T) nats.JetStreamContext {
	t.Helper()
	js, err := n.connect(t).JetStream()
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// builtNATS builds devstack and returns the path of its binary, which contains a
// NATS server.
func builtNATS(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "devstack")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", path, ".")
	cmd.Dir = "../../devstack"
	cmd.Env = append(cmd.Environ(), "GOWORK=off", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	return path
}

// app is the application of a sidecar. It subscribes to the topic, records the
// facts that it receives, and answers all other requests with 200.
type app struct {
	port int

	mu  sync.Mutex
	ids map[string]bool // of the received facts
}

// newApp starts an app that stops when t ends.
func newApp(t *testing.T) *app {
	t.Helper()
	a := &app{ids: map[string]bool{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /dapr/subscribe", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `[{"pubsubname": "pubsub.jetstream", "topic": %q, "route": "/fact"}]`, topic)
	})
	mux.HandleFunc("POST /fact", func(_ http.ResponseWriter, r *http.Request) {
		var fact struct{ ID string }
		if err := json.NewDecoder(r.Body).Decode(&fact); err != nil {
			t.Errorf("decode fact: %v", err)
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		a.ids[fact.ID] = true
	})
	mux.HandleFunc("/", func(http.ResponseWriter, *http.Request) {})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	a.port = server.Listener.Addr().(*net.TCPAddr).Port
	return a
}

// has reports whether the app has received the fact with the given id.
func (a *app) has(id string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.ids[id]
}
