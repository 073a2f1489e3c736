package mtls_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"boxoffice/test/kit"
	"boxoffice/test/stack"
)

var apps = []string{"auth", "event", "booking", "gateway"} //nolint:gochecknoglobals // a constant

// callers returns the apps that may call an operation.
func callers(operation string) []string {
	switch operation {
	case "booking.settle", "booking.reconcile":
		return []string{"event"}
	case "event.capacity.reserve", "event.capacity.release", "event.capacity.sell":
		return []string{"booking"}
	case "event.get":
		return []string{"booking", "gateway"}
	}
	return []string{"gateway"}
}

// invoke calls a method of an app through the sidecar of another one, with that one's
// valid token.
func invoke(t *testing.T, caller, app, verb, method string) stack.Response {
	t.Helper()
	from := instance(t, caller)
	url := fmt.Sprintf("http://127.0.0.1:%d/v1.0/invoke/%s/method/%s", from.HTTPPort, app, method)
	r, err := http.NewRequestWithContext(t.Context(), verb, url, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Dapr-Api-Token", from.APIToken)
	return stack.Send(t, r)
}

// isDenied reports whether an access list refused a call.
func isDenied(res stack.Response) bool {
	return res.StatusCode == http.StatusForbidden && strings.Contains(res.Text, "access control policy has denied access")
}

// TestOnlyTheListedAppsMayCallAnOperation calls every operation from every sidecar.
func TestOnlyTheListedAppsMayCallAnOperation(t *testing.T) {
	for _, app := range []string{"auth", "event", "booking"} {
		for _, op := range kit.DeclaredOperations(t, "../..", app+"api") {
			for _, caller := range apps {
				if caller == app {
					continue // its own sidecar calls it without the network
				}
				res := invoke(t, caller, app, "POST", op)
				if may := slices.Contains(callers(op), caller); may && res.StatusCode != 200 {
					t.Errorf("%s from the sidecar of %s: got %d %s, want 200", op, caller, res.StatusCode, res.Text)
				} else if !may && !isDenied(res) {
					t.Errorf("%s from the sidecar of %s: got %d %s, want a refusal by the access list", op, caller, res.StatusCode, res.Text)
				}
			}
		}
	}
}

// TestNobodyMaySendFactsOrTicksToAnotherApp calls what only an app's own sidecar calls.
func TestNobodyMaySendFactsOrTicksToAnotherApp(t *testing.T) {
	for _, app := range apps {
		for _, caller := range apps {
			if caller == app {
				continue
			}
			t.Run(caller+" calls "+app, func(t *testing.T) {
				t.Parallel()
				for _, path := range []string{
					"facts/events", "facts/bookings", "facts/streams", "sweep", "cleanup", "readyz", "healthz", "metrics", "dapr/subscribe", "",
				} {
					for _, verb := range []string{"POST", "GET"} {
						if res := invoke(t, caller, app, verb, path); res.StatusCode < 400 || res.StatusCode >= 500 {
							t.Errorf("%s /%s: got %d %s, want a refusal", verb, path, res.StatusCode, res.Text)
						}
					}
				}
			})
		}
	}
}

// TestSpellingsOfAnOperationDoNotPassTheList calls operations of auth in spellings that a
// server might read in another way than the list. Each spelling uses another operation,
// because the circuit breaker of one operation would soon open.
func TestSpellingsOfAnOperationDoNotPassTheList(t *testing.T) {
	operations := []string{"login", "refresh", "logout", "jwks", "register"}
	for i, spelling := range []string{
		"/auth.OP", "./auth.OP", "x/../auth.OP", "Auth.OP", "auth.OP/", "auth%2EOP", "%61uth.OP",
		"auth.OP%2F", "auth.OP%20", "%2e%2e/auth.OP", "auth.OP;x=1", "auth.OP?x=1",
		"event.get/../auth.OP", "event.get%2F..%2Fauth.OP", "event.get%5C..%5Cauth.OP",
	} {
		method := strings.ReplaceAll(spelling, "OP", operations[i%len(operations)])
		if res := invoke(t, "booking", "auth", "POST", method); res.StatusCode < 400 || res.StatusCode >= 500 {
			t.Errorf("%s of auth from the sidecar of booking: got %d %s, want a refusal", method, res.StatusCode, res.Text)
		}
	}
	for _, verb := range []string{"GET", "PUT", "DELETE", "HEAD"} {
		if res := invoke(t, "booking", "event", verb, "event.get"); res.StatusCode != http.StatusForbidden {
			t.Errorf("%s event.get from the sidecar of booking: got %d %s, want 403", verb, res.StatusCode, res.Text)
		}
	}
}

// TestAStolenCertificateOpensOnlyItsOperations calls internal ports directly with the
// certificate of the booking app, and with headers that claim another caller.
func TestAStolenCertificateOpensOnlyItsOperations(t *testing.T) {
	booking, gateway := signedBy(t, "booking"), signedBy(t, "gateway")
	for _, call := range []func(context.Context, target) error{callLocal, callLocalStream} {
		for _, x := range []struct {
			identity  identity
			app       string
			operation string
			want      codes.Code
		}{
			{gateway, "auth", "auth.jwks", codes.OK}, // the attack itself works
			{booking, "event", "event.get", codes.OK},
			{booking, "auth", "auth.register", codes.PermissionDenied},
			{booking, "auth", "auth.jwks", codes.PermissionDenied},
			{booking, "event", "event.create", codes.PermissionDenied},
			{booking, "event", "facts/bookings", codes.PermissionDenied},
			{booking, "gateway", "facts/events", codes.PermissionDenied},
			{gateway, "booking", "booking.settle", codes.PermissionDenied},
			{gateway, "booking", "sweep", codes.PermissionDenied},
			{gateway, "event", "event.capacity.sell", codes.PermissionDenied},
		} {
			err := call(t.Context(), target{port: instance(t, x.app).InternalGRPCPort, operation: x.operation, creds: x.identity.creds(), claim: "gateway"})
			if got := status.Code(err); got != x.want {
				t.Errorf("%s as %s: got %v, want %s", x.operation, x.identity.app, err, x.want)
			}
		}
	}
}

// TestAStolenCertificateReachesNoOtherService calls services that a sidecar offers to its
// own app, or that forward to it, at internal ports.
func TestAStolenCertificateReachesNoOtherService(t *testing.T) {
	gateway := signedBy(t, "gateway")
	for _, app := range []string{"auth", "event", "booking"} {
		for _, method := range []string{
			"/dapr.proto.runtime.v1.Dapr/GetSecret", "/dapr.proto.runtime.v1.Dapr/GetState", "/dapr.proto.runtime.v1.Dapr/PublishEvent",
			"/dapr.proto.runtime.v1.Dapr/GetMetadata", "/dapr.proto.runtime.v1.Dapr/Shutdown", "/dapr.proto.runtime.v1.AppCallback/OnTopicEvent",
			"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
		} {
			for _, name := range []string{"", app} {
				err := callMethod(t.Context(), target{port: instance(t, app).InternalGRPCPort, operation: method, creds: gateway.creds(), claim: name})
				if code := status.Code(err); code == codes.OK || code == codes.Unavailable || code == codes.DeadlineExceeded {
					t.Errorf("%s of %s with dapr-app-id %q: got %v, want a refusal", method, app, name, err)
				}
			}
		}
	}
}
