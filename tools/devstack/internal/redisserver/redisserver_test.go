package redisserver_test

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"boxoffice/tools/devstack/internal/ports"
	"boxoffice/tools/devstack/internal/redisserver"
)

const (
	deadline  = 20 * time.Second
	listenVar = "REDISSERVER_TEST_LISTEN"
	// passwordVar names the variable with the password of the server.
	passwordVar = "REDISSERVER_TEST_PASSWORD"

	password = "secret-of_the_tests"
)

// TestMain makes the test binary a server if the environment has an address. The
// server needs a separate process, because redis-server replaces the process that
// calls Run.
func TestMain(m *testing.M) {
	if listen := os.Getenv(listenVar); listen != "" {
		if err := redisserver.Run(context.Background(), listen, os.Getenv(passwordVar)); err != nil {
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// servers runs a test against miniredis, and against redis-server if it is on the
// PATH.
func servers(t *testing.T, test func(t *testing.T, client *redis.Client)) {
	t.Helper()
	t.Run("miniredis", func(t *testing.T) {
		test(t, serve(t, "PATH="+t.TempDir()))
	})
	t.Run("redis-server", func(t *testing.T) {
		if _, err := exec.LookPath("redis-server"); err != nil {
			t.Skip("no redis-server on the PATH")
		}
		test(t, serve(t))
	})
}

func serve(t *testing.T, env ...string) *redis.Client {
	t.Helper()
	pool := ports.NewPool(ports.SharedDir())
	t.Cleanup(func() { _ = pool.Close() })
	port, err := pool.Take()
	if err != nil {
		t.Fatal(err)
	}
	addr := ports.Addr(port)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Dir = t.TempDir() // redis-server with persistence would write there
	cmd.Env = append(append(os.Environ(), listenVar+"="+addr, passwordVar+"="+password), env...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if left, err := os.ReadDir(cmd.Dir); err != nil || len(left) > 0 {
			t.Errorf("the server left files %v (%v), want none", left, err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	for redisserver.Ready(ctx, addr, password) != nil {
		if ctx.Err() != nil {
			t.Fatalf("the server was not ready within %s", deadline)
		}
		time.Sleep(5 * time.Millisecond)
	}
	client := redis.NewClient(&redis.Options{Addr: addr, Password: password})
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func TestKeysExpire(t *testing.T) {
	servers(t, func(t *testing.T, client *redis.Client) {
		ctx, cancel := context.WithTimeout(t.Context(), deadline)
		defer cancel()
		if err := client.Set(ctx, "soon", "x", 50*time.Millisecond).Err(); err != nil {
			t.Fatal(err)
		}
		if err := client.Set(ctx, "late", "x", time.Hour).Err(); err != nil {
			t.Fatal(err)
		}
		if err := client.Set(ctx, "never", "x", 0).Err(); err != nil {
			t.Fatal(err)
		}
		for {
			n, err := client.Exists(ctx, "soon").Result()
			if err != nil {
				t.Fatal(err)
			}
			if n == 0 {
				break
			}
		}
		ttl, err := client.PTTL(ctx, "late").Result()
		if err != nil || ttl >= time.Hour || ttl < time.Hour-deadline {
			t.Errorf("got a TTL of %s (%v), want almost an hour", ttl, err)
		}
		if n, err := client.Exists(ctx, "late", "never").Result(); err != nil || n != 2 {
			t.Errorf("%d of 2 keys exist (%v), want both", n, err)
		}
	})
}

// TestInfoDescribesAPrimary reads the section of INFO that Dapr's Redis components
// read.
func TestInfoDescribesAPrimary(t *testing.T) {
	servers(t, func(t *testing.T, client *redis.Client) {
		ctx, cancel := context.WithTimeout(t.Context(), deadline)
		defer cancel()
		info, err := client.Info(ctx, "replication").Result()
		if err != nil {
			t.Fatal(err)
		}
		fields := map[string]string{}
		for lines := bufio.NewScanner(strings.NewReader(info)); lines.Scan(); {
			if name, value, ok := strings.Cut(lines.Text(), ":"); ok {
				fields[name] = value
			}
		}
		if fields["role"] != "master" || fields["connected_slaves"] != "0" {
			t.Errorf("got %v, want a master without replicas", fields)
		}
	})
}

// TestStatsCountRoundTripsAndCommands runs scripts, whose commands count as
// commands but not as round trips.
func TestStatsCountRoundTripsAndCommands(t *testing.T) {
	servers(t, func(t *testing.T, client *redis.Client) {
		ctx, cancel := context.WithTimeout(t.Context(), deadline)
		defer cancel()
		counter := func(name string) int {
			t.Helper()
			info, err := client.Info(ctx, "stats").Result()
			if err != nil {
				t.Fatal(err)
			}
			for lines := bufio.NewScanner(strings.NewReader(info)); lines.Scan(); {
				if value, ok := strings.CutPrefix(lines.Text(), name+":"); ok {
					n, err := strconv.Atoi(value)
					if err != nil {
						t.Fatal(err)
					}
					return n
				}
			}
			t.Fatalf("no %s in %s", name, info)
			return 0
		}
		reads, commands := counter("total_reads_processed"), counter("total_commands_processed")
		const script = `for i = 1, 10 do redis.call("SET", KEYS[1], i) end return 1`
		for range 5 {
			if err := client.Eval(ctx, script, []string{"k"}).Err(); err != nil {
				t.Fatal(err)
			}
		}
		// INFO itself is counted too.
		if got := counter("total_reads_processed") - reads; got < 6 || got > 20 {
			t.Errorf("5 scripts count as %d round trips, want 6 to 20", got)
		}
		if got := counter("total_commands_processed") - commands; got < 55 {
			t.Errorf("5 scripts of 10 commands count as %d commands, want at least 55", got)
		}
	})
}

func TestReadyFailsWithoutAServer(t *testing.T) {
	pool := ports.NewPool(ports.SharedDir())
	defer pool.Close()
	port, err := pool.Take()
	if err != nil {
		t.Fatal(err)
	}
	if err := redisserver.Ready(t.Context(), ports.Addr(port), ""); err == nil {
		t.Error("got no error where nothing listens")
	}
}

func TestClientsNeedThePassword(t *testing.T) {
	servers(t, func(t *testing.T, client *redis.Client) {
		ctx, cancel := context.WithTimeout(t.Context(), deadline)
		defer cancel()
		if err := client.Set(ctx, "k", "v", 0).Err(); err != nil {
			t.Fatalf("with the password: %v", err)
		}
		for _, wrong := range []string{"", "guessed", password + "x"} {
			intruder := redis.NewClient(&redis.Options{Addr: client.Options().Addr, Password: wrong})
			defer intruder.Close()
			for _, command := range [][]any{{"GET", "k"}, {"SET", "k", "x"}, {"KEYS", "*"}, {"INFO", "stats"}, {"INFO", "replication"}, {"EVAL", "return 1", "0"}} {
				if got, err := intruder.Do(ctx, command...).Result(); err == nil {
					t.Errorf("%v with the password %q: got %v, want an error", command, wrong, got)
				}
			}
			if err := redisserver.Ready(ctx, client.Options().Addr, wrong); err == nil {
				t.Errorf("Ready with the password %q: got no error", wrong)
			}
		}
		if got := client.Get(ctx, "k").Val(); got != "v" {
			t.Errorf("got %q, want v", got)
		}
	})
}
