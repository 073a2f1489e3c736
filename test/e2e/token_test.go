package e2e_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/dapr/go-sdk/client"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"boxoffice/test/stack"
)

// wrong are what is shown instead of a token.
func wrong(right string) []string { return []string{"", "guessed", right + "x"} }

// The gateway is not asked: its clients have no token of Dapr's.
func TestAppsAskForTheirToken(t *testing.T) {
	for _, i := range running.Instances {
		if i.App == "gateway" {
			continue
		}
		paths := []string{"auth.jwks", "no.operation"}
		for _, r := range resourcesOf(t, i.App) {
			switch {
			case r.Kind == "Subscription":
				for _, rule := range r.subscription().Rules {
					paths = append(paths, strings.TrimPrefix(rule.Path, "/"))
				}
			case r.Spec.Type == "bindings.cron":
				paths = append(paths, r.Metadata.Name)
			}
		}
		for _, path := range paths {
			asksForToken(t, fmt.Sprintf("http://127.0.0.1:%d/%s", i.Port, path), running.AppToken)
		}
	}
}

func TestSidecarsAskForTheirToken(t *testing.T) {
	t.Setenv("DAPR_API_TOKEN", "") // the SDK would show it
	for _, i := range running.Instances {
		asksForToken(t, fmt.Sprintf("http://127.0.0.1:%d/v1.0/invoke/auth/method/auth.jwks", i.HTTPPort), running.APIToken)

		conn, err := grpc.NewClient(fmt.Sprintf("127.0.0.1:%d", i.GRPCPort), grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		sidecar := client.NewClientWithConnection(conn)
		unlock := func(token string) codes.Code {
			ctx := t.Context()
			if token != "" {
				ctx = metadata.AppendToOutgoingContext(ctx, "dapr-api-token", token)
			}
			_, err := sidecar.UnlockAlpha1(ctx, "lock", &client.UnlockRequest{ResourceID: "nothing", LockOwner: "nobody"})
			return status.Code(err)
		}
		for _, token := range wrong(running.APIToken) {
			if got := unlock(token); got != codes.Unauthenticated {
				t.Errorf("%s by gRPC with token %q: got %s", i.Name, token, got)
			}
		}
		if got := unlock(running.APIToken); got == codes.Unauthenticated || got == codes.Unavailable {
			t.Errorf("%s by gRPC with its token: got %s", i.Name, got)
		}
	}
}

// asksForToken checks that a POST is refused for its token and for nothing else.
func asksForToken(t *testing.T, url, right string) {
	t.Helper()
	post := func(token string) stack.Response {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(`{"messageId":"1","data":{}}`))
		if err != nil {
			t.Fatal(err)
		}
		if token != "" {
			r.Header.Set("dapr-api-token", token)
		}
		return stack.Ask(t, r)
	}
	for _, token := range wrong(right) {
		if res := post(token); res.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s with token %q: got %d %s", url, token, res.StatusCode, res.Text)
		}
	}
	if res := post(right); res.StatusCode == http.StatusUnauthorized {
		t.Errorf("%s with its token: got %d %s", url, res.StatusCode, res.Text)
	}
}
