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

	// statusStartAnew is what a sidecar ends with when its broker is back.
	statusStartAnew = 75
)

// soon makes a sidecar look at its broker more often than a user's would.
const soon = "DAPRD_BROKER_LOOK_EVERY=20ms"

// testBroker has the broker go away in ways that the JetStream component does not
// survive by itself, and in some that it does.
func testBroker(t *testing.T, bin string) {
	server := builtNATS(t)
	run := func(name string, fn func(*testing.T, *brokerTest)) {
		t.Run(name, func(t *testing.T) { fn(t, &brokerTest{nats: newNATS(t, server), daprd: bin, app: newApp(t)}) })
	}

	run("AbsentAtStart", func(t *testing.T, b *brokerTest) {
		s := b.sidecar(t)
		b.invoke(t, s)
		b.nats.start(t)
		b.leaves(t, s)
	})
	run("NotWatched", func(t *testing.T, b *brokerTest) {
		s := b.sidecar(t, "DAPRD_BROKER_LOOK_EVERY=0s")
		log := s.log(t)
		if !strings.Contains(log, "Failed to init component pubsub.jetstream") || strings.Contains(log, "The broker is away") {
			t.Error("it says that it will end, or has not failed")
		}
	})
	run("WithoutStreams", func(t *testing.T, b *brokerTest) {
		b.nats.start(t)
		s := b.sidecar(t)
		eventually(t, "the subscription fails", func() bool {
			return strings.Contains(s.log(t), "no stream matches subject")
		})
		b.provision(t)
		b.deliver(t, "after")
		b.stays(t, s)
	})
	run("AwayShort", func(t *testing.T, b *brokerTest) {
		s := b.subscribed(t)
		b.nats.kill(t)
		b.invoke(t, s)
		b.nats.start(t)
		b.deliver(t, "after")
		b.stays(t, s)
	})
	run("AwayLong", func(t *testing.T, b *brokerTest) {
		s := b.subscribed(t, "DAPRD_BROKER_AWAY_AT_MOST=200ms")
		b.nats.kill(t)
		eventually(t, "the sidecar finds the broker away for too long", func() bool {
			return strings.Contains(s.log(t), "The broker has been away for")
		})
		b.nats.awaitAttempts(t, 10)
		b.invoke(t, s)
		b.nats.start(t)
		b.leaves(t, s)
	})
	run("BackEmpty", func(t *testing.T, b *brokerTest) {
		s := b.subscribed(t)
		b.nats.kill(t)
		b.nats.wipe(t)
		b.nats.start(t)
		b.leaves(t, s)
	})
	run("AnotherConsumer", func(t *testing.T, b *brokerTest) {
		// Seldom enough that none is likely between the two halves of the change.
		s := b.subscribed(t, "DAPRD_BROKER_LOOK_EVERY=300ms")
		b.awaitLooks(t, 2)
		b.replaceConsumer(t)
		b.leaves(t, s)
	})
}

// brokerTest is a sidecar's surroundings.
type brokerTest struct {
	nats  *natsServer
	app   *app
	daprd string
}

// sidecar starts one that has a subscription and serves the app.
func (b *brokerTest) sidecar(t *testing.T, env ...string) *sidecar {
	t.Helper()
	return start(t, b.daprd, []component{{kind: "pubsub.jetstream", metadata: map[string]string{
		"natsURL": b.nats.url(), "durableName": durable, "queueGroupName": durable, "ackWait": "1s",
	}}}, append([]string{soon}, env...), "--app-port", strconv.Itoa(b.app.port))
}

// subscribed starts a sidecar on a broker with streams and sees a fact arrive.
func (b *brokerTest) subscribed(t *testing.T, env ...string) *sidecar {
	t.Helper()
	b.nats.start(t)
	b.provision(t)
	s := b.sidecar(t, env...)
	b.deliver(t, "before")
	return s
}

// invoke calls the app through the sidecar.
func (b *brokerTest) invoke(t *testing.T, s *sidecar) {
	t.Helper()
	if r := s.do(t, http.MethodGet, "/v1.0/invoke/"+appID+"/method/ping", "", nil); r.status != http.StatusOK {
		t.Fatalf("invocation = %d %s, want 200", r.status, r.body)
	}
}

// leaves waits until the sidecar has ended in order.
func (b *brokerTest) leaves(t *testing.T, s *sidecar) {
	t.Helper()
	eventually(t, "the sidecar ends", s.ended)
	if got := s.cmd.ProcessState.ExitCode(); got != statusStartAnew {
		t.Errorf("exit code = %d, want %d", got, statusStartAnew)
	}
	if got := strings.Count(s.log(t), "Daprd ends to be started anew"); got != 1 {
		t.Errorf("it says %d times why it ends, want once", got)
	}
}

// stays sees that the sidecar runs on, some looks after the broker is well.
func (b *brokerTest) stays(t *testing.T, s *sidecar) {
	t.Helper()
	b.awaitLooks(t, 5)
	b.invoke(t, s)
	if s.ended() {
		t.Errorf("the sidecar ended with %s", s.cmd.ProcessState)
	}
}

func (b *brokerTest) provision(t *testing.T) {
	t.Helper()
	if _, err := b.nats.jetStream(t).AddStream(&nats.StreamConfig{Name: topic, Subjects: []string{topic}}); err != nil {
		t.Fatal(err)
	}
}

// deliver publishes a fact and waits until the app has it.
func (b *brokerTest) deliver(t *testing.T, id string) {
	t.Helper()
	fact := fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":"e2e","type":"fact","data":{}}`, id)
	if _, err := b.nats.jetStream(t).Publish(topic, []byte(fact)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the fact "+id+" arrives", func() bool { return b.app.has(id) })
}

// awaitLooks waits until the sidecar has asked n times for its consumer, so that
// it has had n-1 answers.
func (b *brokerTest) awaitLooks(t *testing.T, n int) {
	t.Helper()
	asked, err := b.nats.connect(t).SubscribeSync("$JS.API.CONSUMER.INFO." + topic + "." + durable)
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		if _, err := asked.NextMsg(deadline); err != nil {
			t.Fatal(err)
		}
	}
}

// replaceConsumer makes the durable consumer anew, as another replica's sidecar
// would that was the first to miss it.
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

// natsServer is a broker that can be taken away.
type natsServer struct {
	program, data, addr string
	cmd                 *exec.Cmd
}

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

// start returns when JetStream answers.
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

// awaitAttempts waits until somebody looked n times for a broker that is away.
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

func (n *natsServer) wipe(t *testing.T) {
	t.Helper()
	if err := os.RemoveAll(n.data); err != nil {
		t.Fatal(err)
	}
}

// connect returns a connection of the test's own, until it ends.
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

// builtNATS returns devstack's program, which is a NATS server among others.
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

// app is what the sidecar stands beside: it subscribes to the topic, remembers
// what arrives and answers all else with 200.
type app struct {
	port int

	mu  sync.Mutex
	ids map[string]bool
}

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
			t.Errorf("a fact that is not JSON: %v", err)
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

func (a *app) has(id string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.ids[id]
}
