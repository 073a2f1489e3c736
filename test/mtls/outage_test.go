package mtls_test

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"testing"

	"boxoffice/test/kit"
	"boxoffice/test/stack"
)

// serial returns the serial number of the certificate that a sidecar presents.
func serial(t *testing.T, app string) (string, error) {
	t.Helper()
	dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}}
	conn, err := dialer.DialContext(t.Context(), "tcp", fmt.Sprintf("127.0.0.1:%d", instance(t, app).InternalGRPCPort))
	if err != nil {
		return "", err
	}
	defer conn.Close()
	return conn.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber.String(), nil
}

// awaitRenewal waits until each app presents another certificate than before.
func awaitRenewal(t *testing.T, before map[string]string) {
	t.Helper()
	for app, old := range before {
		kit.Eventually(t, stack.WaitTimeout, "the sidecar of "+app+" has renewed its certificate", func() error {
			now, err := serial(t, app)
			if err == nil && now == old {
				err = fmt.Errorf("it still presents %s", old)
			}
			return err
		})
	}
}

func serials(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, app := range apps {
		kit.Eventually(t, stack.WaitTimeout, app+" presents a certificate", func() (err error) {
			all[app], err = serial(t, app)
			return err
		})
	}
	return all
}

// TestCertificatesAreRenewed waits for two renewals, the second one after a restart of
// Sentry.
func TestCertificatesAreRenewed(t *testing.T) {
	eventID := running.CreateEvent(t, 100)
	awaitRenewal(t, serials(t))
	if err := journey(t, eventID); err != nil {
		t.Errorf("after a renewal: %v", err)
	}

	pid, err := running.PID("sentry")
	if err != nil {
		t.Fatal(err)
	}
	before := serials(t)
	running.Kill(t, "sentry")
	if err := journey(t, eventID); err != nil {
		t.Errorf("while Sentry restarts: %v", err)
	}
	kit.Eventually(t, stack.WaitTimeout, "Sentry runs again", func() bool {
		now, err := running.PID("sentry")
		return err == nil && now != pid
	})
	awaitRenewal(t, before)
	if err := journey(t, eventID); err != nil {
		t.Errorf("after the restart of Sentry: %v", err)
	}
}

// TestASidecarStartsWhenSentryIsBack freezes Sentry. Running sidecars must not need it, and
// one that was killed meanwhile must start when Sentry continues.
func TestASidecarStartsWhenSentryIsBack(t *testing.T) {
	eventID := running.CreateEvent(t, 100)
	awaitRenewal(t, serials(t)) // no certificate expires soon
	running.Freeze(t, "sentry")
	if err := journey(t, eventID); err != nil {
		t.Errorf("while Sentry is frozen: %v", err)
	}
	running.Kill(t, "booking-daprd")
	user, _ := running.Register(t)
	kit.Eventually(t, stack.WaitTimeout, "bookings fail", func() error {
		res, err := user.TryBook(t.Context(), eventID, 1, "")
		if err == nil && res.StatusCode != http.StatusServiceUnavailable && res.StatusCode != http.StatusGatewayTimeout {
			err = fmt.Errorf("got %d %s, want 503 or 504", res.StatusCode, res.Text)
		}
		return err
	})
	running.Thaw(t, "sentry")
	kit.Eventually(t, stack.WaitTimeout, "the journey passes", func() error { return journey(t, eventID) })
}
