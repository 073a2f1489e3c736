package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"boxoffice/test/stack"
)

func TestReady(t *testing.T) {
	var got struct {
		Status string
		Checks map[string]string
	}
	running.Guest().Do(t, "GET", "/readyz", nil).Want(t, 200, &got)
	if got.Status != "ready" || got.Checks["auth"] != "ok" || got.Checks["sidecar"] != "ok" {
		t.Errorf("got %+v", got)
	}
}

func TestAppsAndSidecarsAskForTheirTokens(t *testing.T) {
	for _, i := range running.Instances {
		calls := []string{fmt.Sprintf("http://127.0.0.1:%d/v1.0/invoke/auth/method/auth.jwks", i.HTTPPort)}
		if i.App != "gateway" {
			calls = append(calls, fmt.Sprintf("http://127.0.0.1:%d/auth.jwks", i.Port))
		}
		for _, url := range calls {
			for _, token := range []string{"", "guessed", running.AppToken + "x"} {
				r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(`{"messageId":"1","data":{}}`))
				if err != nil {
					t.Fatal(err)
				}
				if token != "" {
					r.Header.Set("dapr-api-token", token)
				}
				if res := stack.Ask(t, r); res.StatusCode != http.StatusUnauthorized {
					t.Errorf("%s with token %q: got %d %s", url, token, res.StatusCode, res.Text)
				}
			}
		}
	}
}

func TestSidecarsLoadWhatTheyShould(t *testing.T) {
	want := map[string][]string{
		"gateway": {},
		"auth":    {"lock", "pubsub", "secrets", "statestore"},
		"booking": {"lock", "pubsub", "sweep"},
		"event":   {"cleanup", "lock", "pubsub", "sweep"},
	}
	for app, names := range want {
		i, err := running.Instance(app)
		if err != nil {
			t.Fatal(err)
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/v1.0/metadata", i.HTTPPort), nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("dapr-api-token", running.APIToken)
		res := stack.Ask(t, r)
		var got struct{ Components []struct{ Name string } }
		if err := json.Unmarshal([]byte(res.Text), &got); err != nil || res.StatusCode != 200 {
			t.Fatalf("%s: got %d %s", app, res.StatusCode, res.Text)
		}
		loaded := []string{}
		for _, c := range got.Components {
			loaded = append(loaded, c.Name)
		}
		slices.Sort(loaded)
		if !slices.Equal(loaded, names) {
			t.Errorf("%s: got %q, want %q", app, loaded, names)
		}
	}
}
