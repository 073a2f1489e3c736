package boxoffice

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"boxoffice/tools/devstack/internal/mongoserver"
	"boxoffice/tools/devstack/internal/natsserver"
	"boxoffice/tools/devstack/internal/ports"
	"boxoffice/tools/devstack/internal/redisserver"
	"boxoffice/tools/devstack/internal/supervise"
)

// stores says for each server whose it is, what it is and where it listens.
type stores struct {
	nats, redis, mongo server
	jaeger             tracing
}

// server is one store or broker.
type server struct {
	own     bool   // the user's, named by the environment; nothing is started
	kind    string // for the ready screen
	program string // empty: to be built
	port    int
	uri     string // as the apps are told
}

// chooseStores looks for what the machine and the environment offer.
func (s *stack) chooseStores() (stores, error) {
	var c stores
	var err error
	if uri := s.Getenv("NATS_URL"); uri != "" {
		c.nats = server{own: true, kind: "$NATS_URL", uri: uri}
	} else if c.nats, err = s.embedded("nats-server", natsPort); err != nil {
		return c, err
	} else {
		c.nats.uri = "nats://" + ports.Addr(c.nats.port)
	}

	if addr := s.Getenv("REDIS_ADDR"); addr != "" {
		c.redis = server{own: true, kind: "$REDIS_ADDR", uri: addr}
	} else {
		kind := "redis-server"
		if _, err := exec.LookPath(kind); err != nil {
			kind = "miniredis"
		}
		if c.redis, err = s.embedded(kind, redisPort); err != nil {
			return c, err
		}
		c.redis.uri = ports.Addr(c.redis.port)
	}

	if uri := s.Getenv("MONGO_URI"); uri != "" {
		c.mongo = server{own: true, kind: "$MONGO_URI", uri: uri}
	} else if c.mongo, err = s.chooseMongo(); err != nil {
		return c, err
	}
	c.jaeger, err = s.chooseTracing()
	return c, err
}

// embedded is a server that this program is itself, under another name.
func (s *stack) embedded(name string, port int) (server, error) {
	port, err := s.port(port)
	if err != nil {
		return server{}, err
	}
	program, err := s.alias(name)
	return server{kind: name, program: program, port: port}, err
}

// alias returns a name for this program, under which ps shows it.
func (s *stack) alias(name string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find the own program: %w", err)
	}
	link := filepath.Join(s.run(), "bin", name)
	if err := replaceLink(self, link); err != nil {
		return "", fmt.Errorf("link %s: %w", name, err)
	}
	return link, nil
}

func (s *stack) chooseMongo() (server, error) {
	port, err := s.port(mongoPort)
	if err != nil {
		return server{}, err
	}
	c := server{kind: "mongolite", port: port, uri: mongoserver.URI(ports.Addr(port))}
	wish := s.Getenv("MONGOD")
	if wish == "" {
		wish = "mongod"
	}
	program, err := exec.LookPath(wish)
	switch {
	case err == nil:
		c.kind = "mongod"
		c.program, err = filepath.Abs(program)
		return c, err
	case s.Getenv("MONGOD") != "":
		return server{}, fmt.Errorf("$MONGOD: %w", err)
	}
	return c, nil
}

// port is the usual port, or a free one when those are asked for.
func (s *stack) port(usual int) (int, error) {
	if s.FreePorts || usual == 0 {
		return s.ports.Take()
	}
	return usual, nil
}

// fixedPorts are those that the stores to be started need.
func (c stores) fixedPorts() []portUse {
	var uses []portUse
	for name, port := range map[string]int{
		"nats": c.nats.port, "redis": c.redis.port, "mongo": c.mongo.port,
		"jaeger": c.jaeger.port, "jaeger (OTLP)": c.jaeger.otlp,
	} {
		if port != 0 {
			uses = append(uses, portUse{name, port})
		}
	}
	return uses
}

// startStores starts those that are not the user's own, side by side.
func (s *stack) startStores(ctx context.Context) error {
	var stage []supervise.Process
	if !s.stores.nats.own {
		stage = append(stage, s.natsProcess())
	}
	if !s.stores.redis.own {
		stage = append(stage, s.redisProcess())
	}
	if !s.stores.mongo.own {
		p, err := s.mongoProcess()
		if err != nil {
			return err
		}
		stage = append(stage, p)
	}
	switch j := s.stores.jaeger; {
	case j.mustBuild():
		if err := s.discardTraces(); err != nil {
			return err
		}
	case j.wanted:
		p, err := s.jaegerProcess()
		if err != nil {
			return err
		}
		stage = append(stage, p)
	}
	return s.start(ctx, stage)
}

func (s *stack) natsProcess() supervise.Process {
	addr := ports.Addr(s.stores.nats.port)
	return supervise.Process{
		Name:  "nats",
		Path:  s.stores.nats.program,
		Args:  []string{"nats", "--listen", addr, "--data", s.nats()},
		Ready: func(ctx context.Context) error { return natsserver.Ready(ctx, addr) },
		// It may have come back without its data.
		AfterRestart: s.afterNATS,
		Hint:         damagedHint(s.nats()),
	}
}

// afterNATS provisions the broker again, where it was before.
func (s *stack) afterNATS(ctx context.Context) error {
	if s.file == nil {
		return nil // infra without a run file needs no streams
	}
	return s.provisionAgain(ctx)
}

func (s *stack) redisProcess() supervise.Process {
	addr := ports.Addr(s.stores.redis.port)
	return supervise.Process{
		Name:  "redis",
		Path:  s.stores.redis.program,
		Args:  []string{"redis", "--listen", addr},
		Dir:   s.run(),
		Ready: func(ctx context.Context) error { return redisserver.Ready(ctx, addr) },
	}
}

func (s *stack) mongoProcess() (supervise.Process, error) {
	c := s.stores.mongo
	dir := s.layout.mongo(c.kind)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return supervise.Process{}, fmt.Errorf("%w: move it away", err)
	}
	addr := ports.Addr(c.port)
	args := []string{"--listen", addr, "--data", dir}
	if c.kind == "mongod" {
		args = mongoserver.Args(strconv.Itoa(c.port), dir)
	}
	return supervise.Process{
		Name:        "mongo",
		Path:        c.program,
		Args:        args,
		Ready:       func(ctx context.Context) error { return mongoserver.Ready(ctx, addr) },
		ReadyWithin: startWithin,
		Hint:        damagedHint(dir),
	}, nil
}

func damagedHint(dir string) string {
	return "if its data in " + dir + " are damaged, move them away and start again"
}
