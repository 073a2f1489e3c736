package app_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"boxoffice/shared/app"
	"boxoffice/shared/lifecycle"
	"boxoffice/shared/metrics"
	"boxoffice/test/kit"
)

// program runs an app with the given variables beside those that every app needs. Once it is
// ready, it calls whileReady and stops.
func program(t *testing.T, env map[string]string, whileReady func()) error {
	t.Helper()
	sidecar := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	t.Cleanup(sidecar.Close)
	address, err := url.Parse(sidecar.URL)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{
		"APP_PORT": freePort(t), "DAPR_HTTP_PORT": address.Port(),
		"DAPR_API_TOKEN": "the token of the sidecar", "APP_API_TOKEN": appToken,
	}
	for name, value := range env {
		all[name] = value
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	return app.Run(ctx, "echo", func(name string) string { return all[name] }, io.Discard, func(_ context.Context, a *app.App, _ struct{}) error {
		metrics.NewCounter(a.Metrics, metrics.Def{Name: "boxoffice.things"}).Add(ctx, 3, "")
		a.Background(lifecycle.Part{Name: "test", Start: func(context.Context) error {
			whileReady()
			cancel()
			return nil
		}})
		return nil
	})
}

func TestMetricsAreServedOnTheLoopbackInterface(t *testing.T) {
	port := freePort(t)
	base := "http://127.0.0.1:" + port
	err := program(t, map[string]string{"METRICS_PORT": port, "LISTEN_HOST": "0.0.0.0"}, func() {
		status, text := fetch(t, "GET", base+"/metrics", "", "")
		if status != http.StatusOK || kit.ParseSamples(t, strings.NewReader(text))["boxoffice_things_total"] != 3 {
			t.Errorf("got %d %s, want 200 and 3 things", status, text)
		}
		if status, _ := fetch(t, "POST", base+"/metrics", "", ""); status != http.StatusMethodNotAllowed {
			t.Errorf("POST: got %d, want 405", status)
		}
		if status, _ := fetch(t, "GET", base+"/", "", ""); status != http.StatusNotFound {
			t.Errorf("another path: got %d, want 404", status)
		}
		if runtime.GOOS != "linux" {
			return // only Linux has further loopback addresses
		}
		if l, err := net.Listen("tcp", "127.0.0.2:"+port); err != nil {
			t.Errorf("the program listens on other addresses, too: %v", err)
		} else {
			l.Close()
		}
	})
	if err != nil {
		t.Error(err)
	}
	if l, err := net.Listen("tcp", "127.0.0.1:"+port); err != nil {
		t.Errorf("after the stop: %v, want the port free", err)
	} else {
		l.Close()
	}
}

func TestOccupiedMetricsPortIsNamed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	err = program(t, map[string]string{"METRICS_PORT": port}, func() { t.Error("the program became ready") })
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), "METRICS_PORT") || !strings.Contains(err.Error(), port) {
		t.Errorf("got %v, want an error that names METRICS_PORT and %s", err, port)
	}
}

func TestMetricsOffOpensNoPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	if err := program(t, map[string]string{"METRICS_PORT": port, "METRICS": "off"}, func() {}); err != nil {
		t.Errorf("got %v, want a start despite the occupied port", err)
	}
}
