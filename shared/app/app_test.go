package app_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"boxoffice/shared/app"
	"boxoffice/shared/lifecycle"
	"boxoffice/shared/rpc"
	"boxoffice/shared/telemetry"
	"boxoffice/test/kit"
)

const appToken = "the token of the app"

var shout = rpc.Op[string, string]{App: "echo", Method: "echo.shout", Timeout: time.Second}

// diary records what parts do, in the order in which they do it.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) write(line string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, line)
}

func (d *diary) part(name string) lifecycle.Part {
	return lifecycle.Part{
		Name:  name,
		Start: func(context.Context) error { d.write("start " + name); return nil },
		Stop:  func(context.Context) error { d.write("stop " + name); return nil },
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	return strconv.Itoa(kit.FreePort(t))
}

func TestRunStartsServesAndStopsInOrder(t *testing.T) {
	var d diary
	port := freePort(t)
	base := "http://127.0.0.1:" + port
	// Like a real sidecar, this one becomes ready only after the app has started to listen.
	probes := 0
	sidecar := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		probes++
		if res, err := http.Get(base + "/healthz"); err != nil || res.StatusCode != http.StatusNoContent { //nolint:bodyclose // the reply has no body
			t.Errorf("healthz while the app waits for its sidecar: got error %v, want 204", err)
		}
		if got, _ := fetch(t, "GET", base+"/readyz", "", ""); got != http.StatusServiceUnavailable {
			t.Errorf("readyz before the sidecar is ready: got %d, want 503", got)
		}
		if probes < 3 {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		d.write("sidecar ready")
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(sidecar.Close)
	address, err := url.Parse(sidecar.URL)
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{
		"APP_PORT": port, "DAPR_HTTP_PORT": address.Port(),
		"DAPR_API_TOKEN": "the token of the sidecar", "APP_API_TOKEN": appToken, "GREETING": "hello",
		"METRICS_PORT": freePort(t),
		"CPU_PROFILE":  filepath.Join(t.TempDir(), "profiles"),
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- app.Run(ctx, "echo", func(name string) string { return env[name] }, io.Discard, func(_ context.Context, a *app.App, cfg struct {
			Greeting string `env:"GREETING,required"`
		}) error {
			a.Use(d.part("store"))
			a.Background(d.part("job"))
			a.Mux.HandleFunc("POST /topic", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "delivered") })
			rpc.Handle(a.Server, shout, func(_ context.Context, s string) (string, error) {
				return cfg.Greeting + " " + strings.ToUpper(s), nil
			})
			return nil
		})
	}()
	for deadline := time.Now().Add(10 * time.Second); ; {
		if status, _ := fetch(t, "GET", base+"/readyz", "", ""); status == http.StatusOK {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("timed out waiting for the program to become ready")
		}
		time.Sleep(5 * time.Millisecond)
	}
	const message = `{"messageId":"1","data":"ada"}`
	for _, tt := range []struct {
		path, token string
		status      int
		body        string
	}{
		{"/echo.shout", appToken, 200, `{"messageId":"1","data":"hello ADA"}`},
		{"/topic", appToken, 200, "delivered"},
		{"/echo.shout", "", 401, ""},
		{"/topic", "guessed", 401, ""},
		{"/unknown", appToken, 404, ""},
	} {
		status, body := fetch(t, "POST", base+tt.path, tt.token, message)
		if status != tt.status || tt.body != "" && body != tt.body {
			t.Errorf("%s: got %d %s, want %d %s", tt.path, status, body, tt.status, tt.body)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	profile := filepath.Join(env["CPU_PROFILE"], fmt.Sprintf("echo-%d.pprof", os.Getpid()))
	if zipped, err := os.ReadFile(profile); err != nil || !bytes.HasPrefix(zipped, []byte{0x1f, 0x8b}) {
		t.Errorf("profile: got %d bytes, %v, want a gzip file", len(zipped), err)
	}
	if want := []string{"start store", "sidecar ready", "start job", "stop job", "stop store"}; !slices.Equal(d.lines, want) {
		t.Errorf("parts: got %q, want %q", d.lines, want)
	}
}

// A relay, for example, still publishes while it stops. Its spans must be exported too.
func TestTracesAreFlushedAfterTheLastPartHasStopped(t *testing.T) {
	sidecar := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	t.Cleanup(sidecar.Close)
	address, err := url.Parse(sidecar.URL)
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{
		"APP_PORT": freePort(t), "DAPR_HTTP_PORT": address.Port(),
		"DAPR_API_TOKEN": "the token of the sidecar", "APP_API_TOKEN": appToken,
		"METRICS": "off",
	}
	spans := tracetest.NewSpanRecorder()
	ctx, cancel := context.WithCancel(t.Context())
	err = app.Run(ctx, "echo", func(name string) string { return env[name] }, io.Discard, func(_ context.Context, a *app.App, _ struct{}) error {
		a.Tracing = telemetry.New("echo", "test", 1, sdktrace.WithSpanProcessor(spans))
		a.Use(lifecycle.Part{Name: "relay", Stop: func(ctx context.Context) error {
			_, span := a.Tracing.Tracer("test").Start(ctx, "publish")
			span.End()
			return nil
		}})
		a.Background(lifecycle.Part{Name: "stop", Start: func(context.Context) error { cancel(); return nil }})
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if ended := spans.Ended(); len(ended) != 1 || ended[0].Name() != "publish" {
		t.Errorf("spans: got %v, want only the span of the stopping part", ended)
	}
}

func TestRunNamesEveryInvalidVariable(t *testing.T) {
	err := app.Run(t.Context(), "echo", func(name string) string {
		return map[string]string{"APP_API_TOKEN": "short"}[name]
	}, io.Discard, func(context.Context, *app.App, struct {
		Greeting string `env:"GREETING,required"`
	},
	) error {
		t.Error("wire was called despite an invalid configuration")
		return nil
	})
	for _, name := range []string{"DAPR_API_TOKEN", "APP_API_TOKEN", "GREETING"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v, want %s named", err, name)
		}
	}
}

func fetch(t *testing.T, method, url, token, body string) (status int, text string) {
	t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("dapr-api-token", token)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, ""
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(data)
}
