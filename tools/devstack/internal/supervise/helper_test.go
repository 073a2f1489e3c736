package supervise_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"boxoffice/tools/devstack/internal/supervise"
)

// deadline limits each wait of a test.
const deadline = 20 * time.Second

// roleVar makes the test binary a supervised process with a role.
const roleVar = "SUPERVISE_TEST_ROLE"

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVar); role != "" {
		os.Exit(runRole(role, os.Args[1:]))
	}
	os.Exit(m.Run())
}

// runRole runs a supervised process and returns its exit status.
func runRole(role string, args []string) int {
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	switch role {
	case "server": // listens, and prints a line when it is asked to end
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return 1
		}
		if err := os.WriteFile(args[0], []byte(l.Addr().String()), 0o600); err != nil {
			return 1
		}
		fmt.Println("serving")
		<-term
		fmt.Println("ending")
		return 0
	case "stubborn": // ignores SIGTERM
		fmt.Println("serving")
		for range term {
			fmt.Println("not ending")
		}
	case "crash":
		fmt.Println("last words")
		return 3
	case "verbose crash": // prints more lines than are quoted
		for n := range 20 {
			fmt.Printf("line %d\n", n+1)
		}
		return 3
	case "done":
		fmt.Print("a", "\n", "b without line end")
		return 0
	case "parent": // has a child, which shares its output
		cmd := exec.Command("sleep", "600")
		cmd.Stdout = os.Stdout
		if err := cmd.Start(); err != nil {
			return 1
		}
		fmt.Println("child", cmd.Process.Pid)
		<-term
		return 0
	case "supervisor": // supervises a "parent" until it is killed
		s, err := supervise.Open(supervise.Config{Name: "sup", Dir: args[0], Out: os.Stdout, Verbose: true})
		if err != nil {
			fmt.Println(err)
			return 1
		}
		p := process("family", "parent")
		if err := s.Start(context.Background(), p); err != nil {
			fmt.Println(err)
			return 1
		}
		fmt.Println("supervising")
		<-term
		_ = s.Close()
		return 0
	}
	return 2
}

// process returns a process that runs this test binary in a role.
func process(name, role string, args ...string) supervise.Process {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return supervise.Process{Name: name, Path: self, Args: args, Env: []string{roleVar + "=" + role, "GORACE=atexit_sleep_ms=0"}}
}

// log collects output. It can be read while processes write to it.
type log struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// lines returns the lines that have name as their prefix, without the prefix.
func (l *log) lines(name string) []string {
	var found []string
	for line := range strings.Lines(l.String()) {
		prefix, text, _ := strings.Cut(strings.TrimRight(line, "\n"), " | ")
		if strings.TrimSpace(prefix) == name {
			found = append(found, text)
		}
	}
	return found
}

// open returns a supervisor that prints the output of its processes.
func open(t *testing.T, dir string, out io.Writer) *supervise.Supervisor {
	t.Helper()
	return openWith(t, supervise.Config{Dir: dir, Out: out, Verbose: true})
}

// openWith completes the configuration with a name and a quick back-off.
func openWith(t *testing.T, cfg supervise.Config) *supervise.Supervisor {
	t.Helper()
	cfg.Name = "sup"
	cfg.Backoff = supervise.Backoff{Min: 2 * time.Millisecond, Max: 10 * time.Millisecond, Stable: time.Hour}
	s, err := supervise.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// eventually waits until ok returns true. It fails the test after the deadline.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	until := time.Now().Add(deadline)
	for !ok() {
		if time.Now().After(until) {
			t.Fatalf("not true within %s: %s", deadline, what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// alive reports whether a process runs. A zombie does not.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	out, err := exec.Command("ps", "-o", "stat=", "-p", strconv.Itoa(pid)).Output()
	return err == nil && !strings.HasPrefix(strings.TrimSpace(string(out)), "Z")
}
