package e2e_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// withKeys is a configuration of Sentry with a validator for tokens.
const withKeys = `apiVersion: dapr.io/v1alpha1
kind: Configuration
metadata: {name: sentry}
spec:
  mtls:
    enabled: true
    tokenValidators:
      - name: jwks
        options: {source: '{"keys":[]}'}
`

// withoutKeys is a configuration with which Dapr's own Sentry signs whatever it is asked
// to sign.
const withoutKeys = `apiVersion: dapr.io/v1alpha1
kind: Configuration
metadata: {name: sentry}
spec:
  mtls: {enabled: true}
`

// sentryCommand returns the command that runs Sentry with a configuration. It is killed
// after the deadline.
func sentryCommand(t *testing.T, bin, config string, args ...string) *exec.Cmd {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "sentry.yaml")
	writeFile(t, path, config)
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, bin, append([]string{"--config", path, "--issuer-credentials", dir, "--trust-domain", "boxoffice"}, args...)...)
	cmd.Dir = dir
	return cmd
}

// TestSentry tests the certificate authority. The test of the signatures is in test/mtls,
// because it needs sidecars.
func TestSentry(t *testing.T) {
	bin := os.Getenv("SENTRY")
	if bin == "" {
		bin = build(t, "sentry", "../sentry")
	}
	t.Run("refuses what it does not do", func(t *testing.T) {
		for name, x := range map[string]struct {
			config, want string
			args         []string
		}{
			"no validator":     {config: withoutKeys, want: "must list jwks"},
			"Kubernetes":       {config: withKeys, want: "use the official sentry in Kubernetes", args: []string{"--mode", "kubernetes"}},
			"JWTs":             {config: withKeys, want: "issues no JWTs", args: []string{"--jwt-enabled"}},
			"no configuration": {config: withKeys, want: "no such file", args: []string{"--config", "missing.yaml"}},
		} {
			out, err := sentryCommand(t, bin, x.config, x.args...).CombinedOutput()
			if err == nil || !strings.Contains(string(out), x.want) {
				t.Errorf("%s: it ended with %v and %q, want an error with %q", name, err, out, x.want)
			}
		}
	})
	t.Run("listens on one port of the loopback interface", func(t *testing.T) { testSentryListens(t, bin) })
}

// testSentryListens starts Sentry without files of an authority, which it then creates,
// and ends it with SIGTERM.
func testSentryListens(t *testing.T, bin string) {
	if runtime.GOOS != "linux" {
		t.Skip("reads /proc")
	}
	port := freePorts(t)["dapr-http-port"]
	cmd := sentryCommand(t, bin, withKeys, "--port", fmt.Sprint(port))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	want := []string{fmt.Sprintf("127.0.0.1:%d", port)}
	eventually(t, "Sentry listens", func() bool {
		return len(ended) > 0 || len(listening(t, cmd.Process.Pid)) > 0
	})
	if got := listening(t, cmd.Process.Pid); !slices.Equal(got, want) {
		t.Errorf("it listens on %v, want %v", got, want)
	}
	for _, name := range []string{"ca.crt", "issuer.crt", "issuer.key"} {
		info, err := os.Stat(filepath.Join(cmd.Dir, name))
		if err != nil {
			t.Error(err)
		} else if info.Mode().Perm() != 0o600 {
			t.Errorf("%s: got mode %v, want 600", name, info.Mode())
		}
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("after SIGTERM it ended with %v, want no error", err)
		}
	case <-time.After(deadline):
		t.Error("it did not end after SIGTERM")
	}
}
