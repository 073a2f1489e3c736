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

// stores are the servers that the apps depend on.
type stores struct {
	nats, redis, mongo server
	jaeger             tracing
}

// server is one store or broker.
type server struct {
	external bool   // the environment names it; devstack neither starts nor stops it
	kind     string // shown on the ready screen
	program  string // path; empty until it is built
	port     int    // zero if it is external
	uri      string // given to the apps
}

// chooseStores chooses the servers from the environment and the programs on the
// PATH.
func (s *stack) chooseStores() (stores, error) {
	var c stores
	var err error
	if uri := s.Getenv("NATS_URL"); uri != "" {
		c.nats = server{external: true, kind: "$NATS_URL", uri: uri}
	} else if c.nats, err = s.embedded("nats-server", natsPort); err != nil {
		return c, err
	} else {
		c.nats.uri = "nats://" + ports.Addr(c.nats.port)
	}

	if addr := s.Getenv("REDIS_ADDR"); addr != "" {
		c.redis = server{external: true, kind: "$REDIS_ADDR", uri: addr}
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
		c.mongo = server{external: true, kind: "$MONGO_URI", uri: uri}
	} else if c.mongo, err = s.chooseMongo(); err != nil {
		return c, err
	}
	c.jaeger, err = s.chooseTracing()
	return c, err
}

// embedded returns a server that is a subcommand of this program, under the
// given name.
func (s *stack) embedded(name string, port int) (server, error) {
	port, err := s.port(port)
	if err != nil {
		return server{}, err
	}
	program, err := s.alias(name)
	return server{kind: name, program: program, port: port}, err
}

// alias returns a link to this program. ps shows the name of the link.
func (s *stack) alias(name string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find the path of devstack: %w", err)
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
	wanted := s.Getenv("MONGOD")
	if wanted == "" {
		wanted = "mongod"
	}
	program, err := exec.LookPath(wanted)
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

// port returns the usual port. It returns a free one instead if --free-ports is
// given or if there is no usual one.
func (s *stack) port(usual int) (int, error) {
	if s.FreePorts || usual == 0 {
		return s.ports.Take()
	}
	return usual, nil
}

// portUses returns the ports of the stores that devstack starts.
func (c stores) portUses() []portUse {
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

// startStores starts the stores that are not external, all at the same time.
func (s *stack) startStores(ctx context.Context) error {
	var stage []supervise.Process
	if !s.stores.nats.external {
		stage = append(stage, s.natsProcess())
	}
	if !s.stores.redis.external {
		stage = append(stage, s.redisProcess())
	}
	if !s.stores.mongo.external {
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
		Args:  []string{"nats", "--listen", addr, "--data", s.nats(), "--config", s.natsUsersPath()},
		Env:   s.natsHashes,
		Ready: func(ctx context.Context) error { return natsserver.Ready(ctx, addr) },
		// NATS may have lost its data, and the streams with it.
		AfterRestart: s.afterNATSRestart,
		Hint:         damagedHint(s.nats()),
	}
}

// afterNATSRestart creates the streams again.
func (s *stack) afterNATSRestart(ctx context.Context) error {
	if s.file == nil {
		return nil // infra without a run file has no streams
	}
	return s.reprovision(ctx)
}

func (s *stack) redisProcess() supervise.Process {
	addr := ports.Addr(s.stores.redis.port)
	return supervise.Process{
		Name:  "redis",
		Path:  s.stores.redis.program,
		Args:  []string{"redis", "--listen", addr},
		Env:   []string{"REDIS_PASSWORD=" + s.secrets.redisPassword},
		Dir:   s.run(),
		Ready: func(ctx context.Context) error { return redisserver.Ready(ctx, addr, s.secrets.redisPassword) },
	}
}

func (s *stack) mongoProcess() (supervise.Process, error) {
	c := s.stores.mongo
	dir := s.mongo(c.kind)
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
		ReadyWithin: startTimeout,
		Hint:        damagedHint(dir),
	}, nil
}

func damagedHint(dir string) string {
	return "if its data in " + dir + " are damaged, move them away and start again"
}
