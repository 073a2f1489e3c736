package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/redis/go-redis/v9"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"boxoffice/test/stack"
)

// meter reads the counters of the servers of a stack.
type meter struct {
	data     string // data directory of the stack
	peer     int    // process id of the peer
	mongo    *mongo.Client
	redis    *redis.Client
	broker   jetstream.JetStream
	sidecars []string // URLs of the metrics endpoints
}

const closeTimeout = 5 * time.Second

func openMeter(s *stack.Stack, conn *nats.Conn, peer int) (*meter, error) {
	m := &meter{data: s.Data, peer: peer}
	var err error
	if m.broker, err = jetstream.New(conn); err != nil {
		return nil, err
	}
	if m.mongo, err = mongo.Connect(options.Client().ApplyURI(s.Env["MONGO_URI"])); err != nil {
		return nil, err
	}
	m.redis = redis.NewClient(s.Redis)
	for _, i := range s.Instances {
		m.sidecars = append(m.sidecars, "http://127.0.0.1:"+strconv.Itoa(i.MetricsPort)+"/metrics")
	}
	return m, nil
}

func (m *meter) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	return errors.Join(m.mongo.Disconnect(ctx), m.redis.Close())
}

// readMongo reads the number of requests that the server has received, of any kind.
func (m *meter) readMongo(ctx context.Context, u usage) error {
	var status struct {
		Network struct {
			NumRequests int64 `bson:"numRequests"`
		} `bson:"network"`
	}
	err := m.mongo.Database("admin").RunCommand(ctx, bson.D{{Key: "serverStatus", Value: 1}}).Decode(&status)
	if err != nil {
		return fmt.Errorf("read the counters of MongoDB: %w", err)
	}
	u[mongoCommands] = float64(status.Network.NumRequests)
	return nil
}

// readRedis reads the number of reads from clients. A pipeline of commands usually
// arrives in one read.
func (m *meter) readRedis(ctx context.Context, u usage) error {
	text, err := m.redis.Info(ctx, "stats").Result()
	if err != nil {
		return fmt.Errorf("read the counters of Redis: %w", err)
	}
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "total_reads_processed:"); ok {
			u[redisTrips], err = strconv.ParseFloat(value, 64)
			return err
		}
	}
	return nil
}

// readSidecars adds the counters of all sidecars.
func (m *meter) readSidecars(ctx context.Context, u usage) error {
	for _, url := range m.sidecars {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			return fmt.Errorf("read the counters of a sidecar: %w", err)
		}
		err = u.addMetrics(res.Body)
		_ = res.Body.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", url, err)
		}
	}
	return nil
}

// addMetrics adds the counters in text, which is in the Prometheus exposition format.
func (u usage) addMetrics(text io.Reader) error {
	lines := bufio.NewScanner(text)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		series, value, ok := cutSample(lines.Text())
		counter := counterOf(series)
		if !ok || counter == "" {
			continue
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return err
		}
		u[counter] += n
	}
	return lines.Err()
}

// cutSample splits a line into a series and its value. It returns false for comments and
// for lines without a value.
func cutSample(line string) (series, value string, ok bool) {
	i := strings.LastIndexByte(line, ' ')
	if i < 0 || strings.HasPrefix(line, "#") {
		return "", "", false
	}
	return line[:i], line[i+1:], true
}

// counterOf returns the counter that a series of a sidecar belongs to, or "" if the
// series is not counted.
func counterOf(series string) string {
	name, labels, _ := strings.Cut(series, "{")
	switch {
	case name == "dapr_http_server_request_count" && strings.Contains(labels, `method="POST"`): // GET requests are health checks
		return sidecarCalls
	case name == "dapr_grpc_io_server_completed_rpcs" && strings.Contains(labels, "/dapr.proto.runtime.v1.Dapr/"):
		return sidecarCalls
	case name == "dapr_runtime_service_invocation_req_sent_total":
		return sidecarHops
	case name == "dapr_http_client_completed_count" && strings.Contains(labels, `method="POST"`):
		return sidecarInvokes
	}
	return ""
}

const (
	settleTimeout = 2 * time.Minute
	pollInterval  = 20 * time.Millisecond
)

// settle waits until every fact is published and acknowledged by all its subscribers.
func (m *meter) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, settleTimeout, fmt.Errorf("facts are not settled after %s", settleTimeout))
	defer cancel()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		pending, err := m.hasPendingFacts(ctx)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			return err
		case !pending:
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// hasPendingFacts reports whether a fact is unpublished, or published but not
// acknowledged by all consumers of its stream.
func (m *meter) hasPendingFacts(ctx context.Context) (bool, error) {
	for database, collection := range map[string]string{"booking": "bookings", "event": "events"} {
		// Only outboxes with unpublished facts are due.
		unpublished := bson.D{{Key: "outboxDue", Value: bson.D{{Key: "$exists", Value: true}}}}
		err := m.mongo.Database(database).Collection(collection).FindOne(ctx, unpublished,
			options.FindOne().SetProjection(bson.D{{Key: "_id", Value: 1}})).Err()
		if !errors.Is(err, mongo.ErrNoDocuments) {
			return err == nil, err
		}
	}
	streams := m.broker.ListStreams(ctx)
	for stream := range streams.Info() {
		s, err := m.broker.Stream(ctx, stream.Config.Name)
		if err != nil {
			return false, err
		}
		consumers := s.ListConsumers(ctx)
		for consumer := range consumers.Info() {
			if consumer.NumPending > 0 || consumer.NumAckPending > 0 {
				return true, nil
			}
		}
		if err := consumers.Err(); err != nil {
			return false, err
		}
	}
	return false, streams.Err()
}
