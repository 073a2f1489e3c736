// Package stack starts a complete Boxoffice for black-box tests: a devstack on free
// ports, with a data directory that the test chooses. The devstack has the environment of
// the tests, so that "MTLS=1 go test ./test/fault" runs them with mTLS.
package stack

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"boxoffice/test/process"
)

const (
	readyWithin = 15 * time.Minute // the first start builds everything
	stopWithin  = 20 * time.Second
)

// Stack is a running Boxoffice.
type Stack struct {
	Data          string            // the data directory
	Env           map[string]string // the apps' environment variables with the addresses of the stores
	Gateway       string            // base URL
	Jaeger        string            // base URL; empty with JAEGER=off
	Sentry        string            // address of the certificate authority; empty without MTLS=1
	Instances     []Instance
	AdminEmail    string
	AdminPassword string
	// NATSURL is the address of NATS with the password of the user that may do anything.
	NATSURL string
	// Redis is the address of Redis with its password.
	Redis *redis.Options

	cmd    *exec.Cmd
	exited <-chan error
	log    *output

	seats sync.Mutex // held by Seats
	admin *Client    // the client of Seats, once it has logged in
}

// Instance describes one running replica of an app or of the gateway, and its sidecar.
type Instance struct {
	Name     string `json:"name"`
	App      string `json:"app"`
	Port     int    `json:"port"`
	HTTPPort int    `json:"daprHTTPPort"`
	GRPCPort int    `json:"daprGRPCPort"`
	// InternalGRPCPort is the port on which the sidecar is called by others.
	InternalGRPCPort int `json:"daprInternalGRPCPort"`
	MetricsPort      int `json:"metricsPort"` // of the sidecar

	AppMetricsPort int `json:"appMetricsPort"` // of the app itself

	APIToken string `json:"-"` // the token that the sidecar requires
	AppToken string `json:"-"` // the token that the app requires
	// NATSPassword is the password of the app's user of the embedded NATS.
	NATSPassword string `json:"-"`
}

// Options configures Start.
type Options struct {
	Data string   // the data directory, possibly from an earlier start
	Env  []string // variables added to the environment, such as rate limits
	Args []string // further arguments of the devstack, such as --replicas
	// GiveUp cancels Start when it is closed. It may be nil.
	GiveUp <-chan struct{}
}

// Start starts a stack, and returns when all of it is ready. The caller must call Stop,
// even if the test fails.
func Start(o Options) (*Stack, error) {
	root, err := repository()
	if err != nil {
		return nil, err
	}
	program := filepath.Join(root, "bin", "devstack-for-tests")
	if err := build(root, program); err != nil {
		return nil, err
	}
	args := append([]string{"up", "--root", root, "--data", o.Data, "--free-ports", "--jaeger-first", "-v"}, o.Args...)
	s := &Stack{
		Data: o.Data,
		cmd:  exec.Command(program, args...), //nolint:gosec,noctx // ended by Stop
		log:  newOutput(),
	}
	s.cmd.Env = append(os.Environ(), o.Env...)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	if s.exited, err = process.Start(s.cmd, syscall.SIGTERM); err != nil {
		return nil, err
	}
	select {
	case <-s.log.ready:
	case err := <-s.exited:
		return nil, fmt.Errorf("devstack ended: %w\n%s", err, s.Log())
	case <-o.GiveUp:
		return nil, errors.Join(errors.New("start cancelled"), s.Stop())
	case <-time.After(readyWithin):
		return nil, errors.Join(fmt.Errorf("not ready within %s:\n%s", readyWithin, s.Log()), s.Stop())
	}
	if err := s.readDescription(); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// Stop ends all processes of the stack. It returns an error if the devstack failed,
// or did not stop in time.
func (s *Stack) Stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case err := <-s.exited:
		if err != nil {
			return fmt.Errorf("devstack failed: %w\n%s", err, s.Log())
		}
		return nil
	case <-time.After(stopWithin):
		_ = s.cmd.Process.Kill()
		return fmt.Errorf("devstack did not stop within %s", stopWithin)
	}
}

// Log returns the output of the devstack and all its processes.
func (s *Stack) Log() string { return s.log.String() }

// Instance returns the first instance of an app.
func (s *Stack) Instance(app string) (Instance, error) {
	for _, i := range s.Instances {
		if i.App == app {
			return i, nil
		}
	}
	return Instance{}, fmt.Errorf("no instance of %s", app)
}

// Gateways returns the base URLs of all gateways.
func (s *Stack) Gateways() []string {
	var urls []string
	for _, i := range s.Instances {
		if i.App == "gateway" {
			urls = append(urls, fmt.Sprintf("http://127.0.0.1:%d", i.Port))
		}
	}
	return urls
}

// readDescription reads the files in which the devstack describes the stack.
func (s *Stack) readDescription() error {
	dir := s.Data
	var d struct {
		Gateway   []string          `json:"gateway"`
		Jaeger    string            `json:"jaeger"`
		Sentry    string            `json:"sentry"`
		Env       map[string]string `json:"env"`
		Instances []Instance        `json:"instances"`
	}
	if err := readJSON(filepath.Join(dir, "stack.json"), &d); err != nil {
		return err
	}
	if len(d.Gateway) == 0 {
		return errors.New("the stack has no gateway")
	}
	s.Gateway, s.Jaeger, s.Env, s.Instances = d.Gateway[0], d.Jaeger, d.Env, d.Instances
	s.Sentry = d.Sentry
	var secrets map[string]string
	if err := readJSON(filepath.Join(dir, "credentials.json"), &secrets); err != nil {
		return err
	}
	for n := range s.Instances {
		i := &s.Instances[n]
		i.APIToken, i.AppToken = secrets["dapr-api-token-"+i.App], secrets["app-api-token-"+i.App]
		i.NATSPassword = secrets["nats-password-"+i.App]
	}
	if err := s.readAddresses(secrets["redis-password"]); err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(dir, "admin.env")) //nolint:gosec // a file of the test's stack
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch name {
		case "ADMIN_EMAIL":
			s.AdminEmail = value
		case "ADMIN_PASSWORD":
			s.AdminPassword = value
		}
	}
	return nil
}

// readAddresses sets NATSURL and Redis. password is that of the embedded Redis.
func (s *Stack) readAddresses(password string) error {
	text, err := os.ReadFile(filepath.Join(s.Data, "nats.env"))
	if err != nil {
		return err
	}
	_, url, ok := strings.Cut(strings.TrimSpace(string(text)), "NATS_URL=")
	if !ok {
		return errors.New("nats.env does not set NATS_URL")
	}
	s.NATSURL = strings.Trim(url, "'")

	addr := s.Env["REDIS_ADDR"]
	if s.Redis, err = redis.ParseURL(addr); err != nil {
		s.Redis = &redis.Options{Addr: addr}
	}
	if s.variable("REDIS_ADDR") != "" { // an external server
		password = s.variable("REDIS_PASSWORD")
	}
	if password != "" {
		s.Redis.Password = password
	}
	return nil
}

// variable returns the value of a variable in the environment of the devstack.
func (s *Stack) variable(name string) (value string) {
	for _, entry := range s.cmd.Env {
		if v, ok := strings.CutPrefix(entry, name+"="); ok {
			value = v // the last one counts
		}
	}
	return value
}

func readJSON(path string, v any) error {
	data, err := os.ReadFile(path) //nolint:gosec // a file of the test's stack
	if err != nil {
		return err
	}
	return json.Unmarshal(data, v)
}

// build builds the devstack unless it is up to date.
func build(root, program string) error {
	ctx, cancel := context.WithTimeout(context.Background(), readyWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", program, ".") //nolint:gosec // a path in the repository
	cmd.Dir = filepath.Join(root, "tools", "devstack")
	cmd.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build devstack: %w\n%s", err, out)
	}
	return nil
}

// repository returns the root of the repository, which contains the working
// directory.
func repository() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "dapr", "dapr.yaml")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("the working directory is outside the repository")
		}
		dir = parent
	}
}

// output records what is written to it, and detects that the stack is ready.
type output struct {
	ready chan struct{} // closed by the line "ready in ..."
	pipe  *io.PipeWriter

	mu   sync.Mutex
	text strings.Builder
}

func newOutput() *output {
	r, w := io.Pipe()
	o := &output{ready: make(chan struct{}), pipe: w}
	go func() {
		lines := bufio.NewReader(r)
		isReady := false
		for {
			line, err := lines.ReadString('\n')
			o.mu.Lock()
			o.text.WriteString(line)
			o.mu.Unlock()
			if !isReady && strings.HasPrefix(line, "ready in ") {
				isReady = true
				close(o.ready)
			}
			if err != nil {
				return
			}
		}
	}()
	return o
}

func (o *output) Write(p []byte) (int, error) { return o.pipe.Write(p) }

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
