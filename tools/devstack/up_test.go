//go:build linux

package main_test

import (
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestUp starts the tree with two instances of an app, and checks it from outside.
func TestUp(t *testing.T) {
	tr := newTree(t)
	r := tr.up(t, "--replicas", "booking=2")
	s, pids := tr.stack(t), tr.pids(t)

	t.Run("is ready", func(t *testing.T) {
		if len(s.Gateway) != 1 || len(s.Instances) != 3 {
			t.Fatalf("got %d gateways and %d instances, want 1 and 3", len(s.Gateway), len(s.Instances))
		}
		if status, _ := get(t, s.Gateway[0]+"/readyz"); status != http.StatusOK {
			t.Errorf("the gateway's /readyz answers %d, want 200", status)
		}
		if !regexp.MustCompile(`(?m)^ready in [0-9.ms]+$`).MatchString(r.out.String()) {
			t.Error("no line consists of \"ready in\" and a duration")
		}
	})

	t.Run("each process has its own name", func(t *testing.T) {
		for name, want := range map[string]string{
			"nats": "nats-server", "mongo": "mongolite", "gateway": "gateway", "gateway-daprd": "daprd",
			"booking": "booking", "booking-daprd": "daprd", "booking-2": "booking", "booking-2-daprd": "daprd",
		} {
			pid, ok := pids[name]
			if !ok {
				t.Errorf("%s is not in the list of processes", name)
				continue
			}
			if got := strings.TrimSpace(read(t, procFile(pid, "comm"))); got != want {
				t.Errorf("the process of %s has the name %q, want %q", name, got, want)
			}
		}
		if got := strings.TrimSpace(read(t, procFile(pids["redis"], "comm"))); got != "miniredis" && got != "redis-server" {
			t.Errorf("the process of redis has the name %q, want miniredis or redis-server", got)
		}
	})

	t.Run("each instance has its own metrics port, if the run file has one", func(t *testing.T) {
		used := map[int]string{}
		for _, i := range s.Instances {
			if i.App == "gateway" {
				if i.AppMetricsPort != 0 {
					t.Errorf("%s: got the metrics port %d, want none", i.Name, i.AppMetricsPort)
				}
				continue
			}
			want := "METRICS_PORT=" + strconv.Itoa(i.AppMetricsPort)
			if environ := read(t, procFile(pids[i.Name], "environ")); !strings.Contains(environ, "\x00"+want+"\x00") && !strings.HasSuffix(environ, "\x00"+want) {
				t.Errorf("%s: the environment lacks %s", i.Name, want)
			}
			if i.AppMetricsPort == 9467 || used[i.AppMetricsPort] != "" {
				t.Errorf("%s: got the metrics port %d, want a free one", i.Name, i.AppMetricsPort)
			}
			used[i.AppMetricsPort] = i.Name
		}
	})

	t.Run("the output of each process is in its log", func(t *testing.T) {
		for _, name := range []string{"gateway", "gateway-daprd", "booking", "booking-daprd", "booking-2", "booking-2-daprd"} {
			path := filepath.Join(tr.data, "log", name+".log")
			if read(t, path) == "" {
				t.Errorf("the log of %s is empty", name)
				continue
			}
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s: mode %v (%v), want 600", path, info.Mode().Perm(), err)
			}
		}
	})

	t.Run("the terminal shows progress only", func(t *testing.T) {
		for line := range strings.Lines(r.out.String()) {
			if name, _, ok := strings.Cut(line, " | "); ok && strings.TrimSpace(name) != "devstack" {
				t.Errorf("a line of another process: %q", line)
			}
		}
	})

	t.Run("secrets are in no command line and on no terminal", func(t *testing.T) {
		checkSecrets(t, r, pids)
	})

	t.Run("a second run in the same directory fails", func(t *testing.T) {
		cmd := exec.Command(devstack, "up", "--root", tr.root, "--data", tr.data, "--free-ports")
		cmd.Env = append(os.Environ(), tr.env...)
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "already running in "+tr.data) || strings.Count(string(out), "\n") != 1 {
			t.Errorf("it ended with %v and printed %q, want an error and one line", err, out)
		}
	})

	t.Run("a killed process is restarted", func(t *testing.T) {
		for _, name := range []string{"gateway", "booking-daprd", "redis"} {
			if err := syscall.Kill(pids[name], syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			r.awaitOutput(t, name+" is back after")
		}
		logFile := filepath.Join(tr.data, "log", "gateway.log")
		if !regexp.MustCompile(`gateway ended: signal: killed; starting it again in 200ms; its log, ` + regexp.QuoteMeta(logFile) +
			`, ends with:\ngateway +\|   .* gateway listens\n`).MatchString(r.out.String()) {
			t.Error("the end of the gateway's log does not follow the line that says that it ended")
		}
		if status, _ := get(t, s.Gateway[0]+"/readyz"); status != http.StatusOK {
			t.Errorf("the gateway's /readyz answers %d, want 200", status)
		}
	})

	r.stop(t)
	tr.awaitNone(t, s.ports())
	if left := read(t, filepath.Join(tr.data, "stack.json")); left != "" {
		t.Error("stack.json exists after the stop")
	}

	before := tr.secrets(t)
	again := tr.up(t, "-v")
	if strings.Contains(again.out.String(), "building") || strings.Contains(again.out.String(), "built ") {
		t.Error("the second start built something")
	}
	for name, value := range tr.secrets(t) {
		if before[name] != value {
			t.Errorf("secret %s changed at the restart", name)
		}
	}
	for _, name := range []string{"booking", "booking-daprd", "gateway"} {
		if !regexp.MustCompile(`(?m)^` + name + ` +\| .`).MatchString(again.out.String()) {
			t.Errorf("with -v no line of %s is on the terminal", name)
		}
	}
	again.stop(t)
}

// TestCommandsOfTheReadyScreenWork runs the commands of the ready screen in a shell
// whose curl prints its arguments.
func TestCommandsOfTheReadyScreenWork(t *testing.T) {
	tr := newTree(t)
	tr.data = filepath.Join(tr.root, "my data") // needs quotes
	r := tr.up(t)
	var lines []string
	for line := range strings.Lines(r.out.String()) {
		if strings.HasPrefix(line, "  curl ") || strings.HasPrefix(line, "  . ") {
			lines = append(lines, line)
		}
	}
	dir := filepath.Join(tr.root, "path")
	curl := "#!/bin/sh\nprintf '%s\\n' \"$@\"\n"
	if err := errors.Join(os.Mkdir(dir, 0o755), os.WriteFile(filepath.Join(dir, "curl"), []byte(curl), 0o755)); err != nil {
		t.Fatal(err)
	}
	shell := exec.Command("/bin/sh", "-e")
	shell.Dir, shell.Env = tr.root, []string{"PATH=" + dir}
	shell.Stdin = strings.NewReader(strings.Join(lines, ""))
	out, err := shell.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, lines, out)
	}
	gateway := tr.stack(t).Gateway[0]
	_, password, _ := strings.Cut(strings.TrimSpace(read(t, filepath.Join(tr.data, "admin.env"))), "ADMIN_PASSWORD=")
	for _, want := range []string{
		gateway + "/readyz\n", gateway + "/api/events\n", gateway + "/api/auth/login\n",
		`{"email":"admin@boxoffice.example","password":"` + password + `"}` + "\n",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("curl was not called with %q:\n%s", want, out)
		}
	}
	r.stop(t)
}

// checkSecrets checks that secrets are in files for the owner only, and in no
// command line, on no terminal and in no log.
func checkSecrets(t *testing.T, r *run, pids map[string]int) {
	t.Helper()
	for _, name := range []string{"secrets.json", "credentials.json", "nats.env", "admin.env", "stack.json", "pids"} {
		info, err := os.Stat(filepath.Join(r.data, name))
		if err != nil {
			t.Fatal(err)
		}
		if got, want := info.Mode().Perm(), os.FileMode(0o600); got != want {
			t.Errorf("%s has mode %o, want %o", name, got, want)
		}
	}
	secrets := r.secrets(t)
	if len(secrets) == 0 {
		t.Fatal("there are no secrets")
	}
	_, password, ok := strings.Cut(strings.TrimSpace(read(t, filepath.Join(r.data, "admin.env"))), "ADMIN_PASSWORD=")
	if !ok || password == "" {
		t.Error("admin.env has no password")
	}
	if !strings.Contains(r.out.String(), "admin.env\n") {
		t.Error("the ready screen does not name the file with the admin's password")
	}
	secrets["admin"] = password
	logs, err := filepath.Glob(filepath.Join(r.data, "log", "*"))
	if err != nil || len(logs) == 0 {
		t.Fatalf("%d logs (%v)", len(logs), err)
	}
	for name, secret := range secrets {
		if strings.Contains(r.out.String(), secret) {
			t.Errorf("%s is on the terminal", name)
		}
		for _, path := range logs {
			if strings.Contains(read(t, path), secret) {
				t.Errorf("%s is in %s", name, path)
			}
		}
		for process, pid := range pids {
			if strings.Contains(read(t, procFile(pid, "cmdline")), secret) {
				t.Errorf("%s is in the command line of %s", name, process)
			}
			if name == "admin" && strings.Contains(read(t, procFile(pid, "environ")), secret) {
				t.Errorf("the environment of %s contains the admin's password", process) // this tree has no auth
			}
		}
	}
}

func TestUpDoesNotBuildAgainWhatBuildHasBuilt(t *testing.T) {
	tr := newTree(t)
	tr.start(t, "build", "--free-ports").awaitEnd(t, 0)
	up := tr.up(t)
	if strings.Contains(up.out.String(), "built ") {
		t.Error("up built something")
	}
}

func TestInfraStartsTheStoresAndWritesDaprEnv(t *testing.T) {
	tr := newTree(t)
	r := tr.start(t, "infra", "--free-ports")
	r.awaitReady(t)
	pids := tr.pids(t)
	for _, name := range []string{"nats", "redis", "mongo"} {
		if pids[name] == 0 {
			t.Errorf("%s is not running", name)
		}
	}
	if len(pids) != 3 {
		t.Errorf("got processes %v, want the stores only", pids)
	}
	for _, name := range []string{"booking", "gateway"} {
		if _, err := os.Stat(filepath.Join(tr.root, "bin", name)); err != nil {
			t.Errorf("dapr run does not find %s: %v", name, err)
		}
	}
	got := sourced(t, filepath.Join(tr.data, "dapr.env"))
	for name, value := range tr.stack(t).Env {
		if name == "NATS_URL" {
			value = strings.Replace(value, "://", "://shared:"+tr.secrets(t)["nats-password-shared"]+"@", 1)
		}
		if got[name] != value {
			t.Errorf("dapr.env: %s is %q, want %q", name, got[name], value)
		}
	}
	if got["DAPRD_BROKER_LOOK_EVERY"] != "0s" {
		t.Error("dapr.env: DAPRD_BROKER_LOOK_EVERY is not 0s; the CLI does not restart a sidecar that ends")
	}
	if got["DAPR_API_TOKEN"] != tr.secrets(t)["dapr-api-token-shared"] {
		t.Error("dapr.env: the API token is not that of credentials.json")
	}
	if _, err := os.Stat(filepath.Join(got["DAPR_RUNTIME_PATH"], ".dapr", "bin", "daprd")); err != nil {
		t.Errorf("dapr run does not find daprd: %v", err)
	}
	ports := tr.stack(t).ports()
	r.stop(t)
	tr.awaitNone(t, ports)
}
