package daprpub_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/dapr/go-sdk/client"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"boxoffice/shared/daprpub"
	"boxoffice/shared/outbox"
	"boxoffice/test/servers"
)

type event struct {
	ID, Type, Subject, DataContentType string
	Data                               struct{ N int }
}

// subscriber starts an app that subscribes to facts and forwards their events to got.
func subscriber(t *testing.T, got chan<- event) (port int) {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /dapr/subscribe", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `[{"pubsubname":"pubsub","topic":"facts","route":"/facts"}]`)
	})
	mux.HandleFunc("POST /facts", func(_ http.ResponseWriter, r *http.Request) {
		var e event
		if err := json.NewDecoder(r.Body).Decode(&e); err != nil {
			t.Error(err)
		}
		got <- e
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().(*net.TCPAddr).Port
}

func TestPublishedRecordArrivesAsACloudEvent(t *testing.T) {
	got := make(chan event, 100)
	sidecar := servers.StartSidecar(t, servers.SidecarConfig{
		AppID: "facts", AppPort: subscriber(t, got), Components: []string{servers.Component("pubsub", "pubsub.in-memory")},
	})
	conn, err := grpc.NewClient(sidecar.GRPCAddr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	dapr := client.NewClientWithConnection(conn)
	bus := daprpub.NewPublisher(dapr, "pubsub", "facts")
	record := outbox.Record{ID: "f1", Type: "booking.created", Subject: "b1", Data: []byte(`{"n":7}`)}
	// The in-memory broker loses events that are published before the subscription starts.
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(30 * time.Second)
	for {
		if err := bus.Publish(t.Context(), record); err != nil {
			t.Fatal(err)
		}
		select {
		case e := <-got:
			if e.ID != "f1" || e.Type != "booking.created" || e.Subject != "b1" || e.Data.N != 7 || e.DataContentType != "application/json" {
				t.Errorf("event: got %+v, want that of %+v", e, record)
			}
			if err := daprpub.NewPublisher(dapr, "absent", "facts").Publish(t.Context(), record); err == nil {
				t.Error("publish to an absent component: got no error")
			}
			return
		case <-tick.C:
		case <-deadline:
			t.Fatal("timed out waiting for the event")
		}
	}
}
