package rpc_test

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"net/http/httptest"
	"strings"
	"testing"

	"boxoffice/shared/apperr"
)

var seeds = []string{
	`{"messageId":"1","timestamp":"2026-01-02T03:04:05.678Z","data":{"name":"Ada"}}`,
	`{"messageId":"1","data":{}}`,
	`{"messageId":"1","error":{"code":"conflict","reason":"booking.sold_out","message":"","retryAfter":3}}`,
	`{"messageId":"1","messageId":"2","data":{}}`,
	`{"messageId":null,"data":null}`,
	`[]`, `""`, `null`, ``, `{`, "\xff", `{"data":{"name":"\ud800"}}`,
}

// FuzzRequest sends arbitrary bodies to a server. The server must reply with an envelope,
// and call the operation only with the data that the body contains.
func FuzzRequest(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(checkRequest)
}

// This test runs the check of FuzzRequest with 5000 mutations of its seeds.
func TestServerSurvivesMutatedRequests(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7)) // the same inputs in every run
	for range 5000 {
		checkRequest(t, mutate(random, seeds[random.IntN(len(seeds))]))
	}
}

func checkRequest(t *testing.T, body []byte) {
	t.Helper()
	var called *greeting
	srv, _ := app(func(_ context.Context, g greeting) (greeted, error) { called = &g; return greeted{Text: g.Name}, nil })
	r := httptest.NewRequest("POST", "/echo.greet", strings.NewReader(string(body)))
	r.Header.Set("dapr-api-token", appToken)
	w := httptest.NewRecorder()
	srv.ServeHTTP(w, r)
	var reply struct {
		MessageID string
		Data      *greeted
		Error     *struct{ Code string }
	}
	if err := json.Unmarshal(w.Body.Bytes(), &reply); err != nil || w.Code != 200 {
		t.Fatalf("%q: got %d %s, want 200 and an envelope", body, w.Code, w.Body)
	}
	switch {
	case called == nil:
		if reply.Error == nil || reply.Error.Code != string(apperr.Invalid) {
			t.Errorf("%q: got %s, want a refusal", body, w.Body)
		}
	case reply.Data == nil || reply.Data.Text != called.Name || !json.Valid(body):
		t.Errorf("%q: called with %+v, replied %s, want both to match the body", body, *called, w.Body)
	}
}

// mutate returns seed with up to three bytes changed, removed or inserted.
func mutate(random *rand.Rand, seed string) []byte {
	b := []byte(seed)
	for range random.IntN(4) {
		if len(b) == 0 {
			return b
		}
		i := random.IntN(len(b))
		switch random.IntN(3) {
		case 0:
			b[i] = byte(random.IntN(256))
		case 1:
			b = append(b[:i], b[i+1:]...)
		default:
			b = append(b[:i], append([]byte{`{}[]",:\0n`[random.IntN(10)]}, b[i:]...)...)
		}
	}
	return b
}
