//go:build linux

package main_test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// sidecarArgs returns the arguments of the sidecar of an instance.
func sidecarArgs(t *testing.T, pids map[string]int, instance string) []string {
	t.Helper()
	return strings.Split(read(t, procFile(pids[instance+"-daprd"], "cmdline")), "\x00")
}

// valuesOf returns the values of a flag, which may be repeated.
func valuesOf(args []string, flag string) []string {
	var values []string
	for i, arg := range args {
		if arg == flag && i+1 < len(args) {
			values = append(values, args[i+1])
		}
	}
	return values
}

// environ returns the environment of a process.
func environ(t *testing.T, pid int) map[string]string {
	t.Helper()
	env := map[string]string{}
	for entry := range strings.SplitSeq(read(t, procFile(pid, "environ")), "\x00") {
		name, value, _ := strings.Cut(entry, "=")
		env[name] = value
	}
	return env
}

func TestUpWithMTLSGivesEachSidecarItsOwnIdentity(t *testing.T) {
	tr := newTree(t)
	tr.env = append(tr.env, "MTLS=1")
	r := tr.up(t)
	pids := tr.pids(t)
	tokens := map[string]bool{}
	for _, app := range []string{"booking", "gateway"} {
		args := sidecarArgs(t, pids, app)
		if !slices.Contains(args, "--enable-mtls") || len(valuesOf(args, "--sentry-address")) != 1 {
			t.Errorf("%s: got the arguments %q, want mTLS and the address of Sentry", app, args)
		}
		lists := valuesOf(args, "--config")
		if want := filepath.Join(tr.root, "dapr", "access", app+".yaml"); len(lists) != 2 || lists[1] != want {
			t.Errorf("%s: got the configurations %q, want %s after that of all apps", app, lists, want)
		}
		env := environ(t, pids[app+"-daprd"])
		if env["NAMESPACE"] != "default" || !strings.Contains(env["DAPR_TRUST_ANCHORS"], "BEGIN CERTIFICATE") {
			t.Errorf("the sidecar of %s has no namespace or trusts no certificate", app)
		}
		token := read(t, env["DAPR_SENTRY_TOKEN_FILE"])
		if token == "" || tokens[token] {
			t.Errorf("the sidecar of %s has no token of its own", app)
		}
		tokens[token] = true
		for name := range environ(t, pids[app]) {
			if name == "DAPR_SENTRY_TOKEN_FILE" || name == "DAPR_TRUST_ANCHORS" {
				t.Errorf("%s has its sidecar's variable %s", app, name)
			}
		}
	}
	anchors := environ(t, pids["booking-daprd"])["DAPR_TRUST_ANCHORS"]

	if err := syscall.Kill(pids["sentry"], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r.awaitOutput(t, "sentry is back after")
	ports := append(tr.stack(t).ports(), tr.stack(t).sentryPort(t))
	r.stop(t)
	tr.awaitNone(t, ports)

	again := tr.up(t)
	if environ(t, tr.pids(t)["booking-daprd"])["DAPR_TRUST_ANCHORS"] == anchors {
		t.Error("the second start trusts the authority of the first one")
	}
	again.stop(t)
}

func TestUpWithoutMTLSNeedsNoSentry(t *testing.T) {
	tr := newTree(t)
	if err := os.RemoveAll(filepath.Join(tr.root, "tools", "daprd", "sentry")); err != nil {
		t.Fatal(err)
	}
	r := tr.up(t)
	pids := tr.pids(t)
	if _, ok := pids["sentry"]; ok {
		t.Error("Sentry runs")
	}
	args := sidecarArgs(t, pids, "booking")
	if slices.Contains(args, "--enable-mtls") || len(valuesOf(args, "--config")) != 1 {
		t.Errorf("got the arguments %q, want neither mTLS nor an access list", args)
	}
	r.stop(t)
}

func TestInfraRefusesMTLS(t *testing.T) {
	tr := newTree(t)
	tr.env = append(tr.env, "MTLS=1")
	if got := tr.start(t, "infra", "--free-ports").errorLine(t); !strings.Contains(got, `MTLS=1 needs "devstack up"`) {
		t.Errorf("got %q, want the command that supports mTLS", got)
	}
}

// Every server of a sidecar must be on the loopback interface, even that of Dapr's own
// daprd, which would otherwise listen on every interface.
func TestSidecarsListenOnLoopback(t *testing.T) {
	tr := newTree(t)
	r := tr.up(t)
	args := sidecarArgs(t, tr.pids(t), "booking")
	for _, flag := range []string{"--dapr-listen-addresses", "--dapr-internal-grpc-listen-address", "--metrics-listen-address"} {
		if got := valuesOf(args, flag); !slices.Equal(got, []string{"127.0.0.1"}) {
			t.Errorf("%s: got %q, want 127.0.0.1", flag, got)
		}
	}
	if strings.Contains(r.out.String(), "warning") {
		t.Error("there is a warning")
	}
	r.stop(t)
}

func TestUpWarnsIfOtherMachinesReachTheApps(t *testing.T) {
	for host, warns := range map[string]bool{"0.0.0.0": true, "::": true, "localhost": false, "127.0.0.2": false} {
		t.Run(host, func(t *testing.T) {
			tr := newTree(t)
			tr.env = append(tr.env, "LISTEN_HOST="+host)
			r := tr.up(t)
			if got := strings.Contains(r.out.String(), "warning: LISTEN_HOST="+host+" opens"); got != warns {
				t.Errorf("warned: got %t, want %t", got, warns)
			}
			r.stop(t)
		})
	}
}

// sentryPort returns the port of Sentry.
func (s stack) sentryPort(t *testing.T) int {
	t.Helper()
	var port int
	if _, err := fmt.Sscanf(s.Sentry, "127.0.0.1:%d", &port); err != nil {
		t.Fatalf("the address of Sentry is %q: %v", s.Sentry, err)
	}
	return port
}

// TestRealSidecarsCallEachOtherWithMTLS runs Dapr's sidecars and Sentry. The gateway may
// call booking; booking may not call the gateway.
func TestRealSidecarsCallEachOtherWithMTLS(t *testing.T) {
	env := []string{"MTLS=1"}
	for name, variable := range map[string]string{"daprd": "DAPRD", "sentry": "SENTRY"} {
		program := os.Getenv(variable)
		if program == "" {
			program = cached(t, name)
		}
		env = append(env, variable+"="+program)
	}
	tr := newTree(t)
	tr.env = append(tr.env, env...)
	r := tr.up(t)
	s := tr.stack(t)
	if status, body := get(t, s.Gateway[0]+"/hello"); status != http.StatusOK || body != "hello from booking" {
		t.Errorf("a call that the list allows: got %d %q, want 200 and the answer of booking", status, body)
	}
	for _, i := range s.Instances {
		if i.App != "booking" {
			continue
		}
		c := sidecar{url: fmt.Sprintf("http://127.0.0.1:%d", i.DaprHTTPPort), token: tr.secrets(t)["dapr-api-token-booking"]}
		if status, body := c.post(t, "/v1.0/invoke/gateway/method/hello", "{}"); status != http.StatusForbidden {
			t.Errorf("a call that the list does not allow: got %d %s, want 403", status, body)
		}
	}
	out, err := exec.Command("ss", "-Hltn").Output()
	if err == nil && regexp.MustCompile(`(0\.0\.0\.0|\*|\[::\]):`+fmt.Sprint(s.sentryPort(t))+`\b`).Match(out) {
		t.Error("Sentry listens on every interface")
	}
	r.stop(t)
	tr.awaitNone(t, append(s.ports(), s.sentryPort(t)))
}
