package e2e_test

import (
	"fmt"
	"net/http"
	"slices"
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

// wrongTokens returns tokens that must not be accepted in place of valid.
func wrongTokens(valid string) []string {
	wrong := []string{"", "guessed", valid + "x"}
	for _, i := range running.Instances { // of other apps
		for _, token := range []string{i.APIToken, i.AppToken} {
			if token != valid && !slices.Contains(wrong, token) {
				wrong = append(wrong, token)
			}
		}
	}
	return wrong
}

// The test skips the gateway, because its clients have no Dapr token.
func TestAppsRequireTheirToken(t *testing.T) {
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
			checkTokenRequired(t, fmt.Sprintf("http://127.0.0.1:%d/%s", i.Port, path), i.AppToken)
		}
	}
}

func TestSidecarsRequireTheirToken(t *testing.T) {
	t.Setenv("DAPR_API_TOKEN", "") // otherwise the SDK would send it
	for _, i := range running.Instances {
		checkTokenRequired(t, fmt.Sprintf("http://127.0.0.1:%d/v1.0/invoke/auth/method/auth.jwks", i.HTTPPort), i.APIToken)

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
		for _, token := range wrongTokens(i.APIToken) {
			if got := unlock(token); got != codes.Unauthenticated {
				t.Errorf("%s over gRPC with token %q: got %s, want Unauthenticated", i.Name, token, got)
			}
		}
		if got := unlock(i.APIToken); got == codes.Unauthenticated || got == codes.Unavailable {
			t.Errorf("%s over gRPC with the valid token: got %s, want any other code", i.Name, got)
		}
	}
}

// checkTokenRequired checks that a POST to url gets 401 without a token and with a wrong
// one, and another status with the valid one.
func checkTokenRequired(t *testing.T, url, valid string) {
	t.Helper()
	post := func(token string) stack.Response {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(`{"messageId":"1","data":{}}`))
		if err != nil {
			t.Fatal(err)
		}
		if token != "" {
			r.Header.Set("dapr-api-token", token)
		}
		return stack.Send(t, r)
	}
	for _, token := range wrongTokens(valid) {
		if res := post(token); res.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s with token %q: got %d %s, want 401", url, token, res.StatusCode, res.Text)
		}
	}
	if res := post(valid); res.StatusCode == http.StatusUnauthorized {
		t.Errorf("%s with the valid token: got %d %s, want any status but 401", url, res.StatusCode, res.Text)
	}
}
