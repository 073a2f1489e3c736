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

// meter reads the servers of a stack.
type meter struct {
	data     string // the stack's
	peer     int    // its pid
	mongo    *mongo.Client
	redis    *redis.Client
	broker   jetstream.JetStream
	sidecars []string // URLs of their metrics
}

const closeWithin = 5 * time.Second

func openMeter(s *stack.Stack, conn *nats.Conn, peer int) (*meter, error) {
	m := &meter{data: s.Data, peer: peer}
	var err error
	if m.broker, err = jetstream.New(conn); err != nil {
		return nil, err
	}
	if m.mongo, err = mongo.Connect(options.Client().ApplyURI(s.Env["MONGO_URI"])); err != nil {
		return nil, err
	}
	address := &redis.Options{Addr: s.Env["REDIS_ADDR"]}
	if strings.Contains(address.Addr, "://") {
		if address, err = redis.ParseURL(address.Addr); err != nil {
			return nil, err
		}
	}
	m.redis = redis.NewClient(address)
	for _, i := range s.Instances {
		m.sidecars = append(m.sidecars, "http://127.0.0.1:"+strconv.Itoa(i.MetricsPort)+"/metrics")
	}
	return m, nil
}

func (m *meter) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeWithin)
	defer cancel()
	return errors.Join(m.mongo.Disconnect(ctx), m.redis.Close())
}

// readMongo counts the requests that the server has taken, of whatever kind.
func (m *meter) readMongo(ctx context.Context, u usage) error {
	var status struct {
		Network struct {
			NumRequests int64 `bson:"numRequests"`
		} `bson:"network"`
	}
	err := m.mongo.Database("admin").RunCommand(ctx, bson.D{{Key: "serverStatus", Value: 1}}).Decode(&status)
	if err != nil {
		return fmt.Errorf("ask MongoDB for its counters: %w", err)
	}
	u[mongoCommands] = float64(status.Network.NumRequests)
	return nil
}

// readRedis counts what the server has read from its clients: a command, or
// several that were sent together.
func (m *meter) readRedis(ctx context.Context, u usage) error {
	text, err := m.redis.Info(ctx, "stats").Result()
	if err != nil {
		return fmt.Errorf("ask Redis for its counters: %w", err)
	}
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "total_reads_processed:"); ok {
			u[redisTrips], err = strconv.ParseFloat(value, 64)
			return err
		}
	}
	return nil
}

// readSidecars adds up what all sidecars count.
func (m *meter) readSidecars(ctx context.Context, u usage) error {
	for _, url := range m.sidecars {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			return fmt.Errorf("ask a sidecar for its counters: %w", err)
		}
		err = u.addMetrics(res.Body)
		_ = res.Body.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", url, err)
		}
	}
	return nil
}

// addMetrics reads Prometheus' text format.
func (u usage) addMetrics(text io.Reader) error {
	lines := bufio.NewScanner(text)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		series, value, ok := cutLast(lines.Text())
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

func cutLast(line string) (series, value string, ok bool) {
	i := strings.LastIndexByte(line, ' ')
	if i < 0 || strings.HasPrefix(line, "#") {
		return "", "", false
	}
	return line[:i], line[i+1:], true
}

// counterOf is which of ours a series of a sidecar belongs to, none if it is
// empty.
func counterOf(series string) string {
	name, labels, _ := strings.Cut(series, "{")
	switch {
	case name == "dapr_http_server_request_count" && strings.Contains(labels, `method="POST"`): // GET is its health
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
	settleWithin = 2 * time.Minute
	lookEvery    = 20 * time.Millisecond
)

// settle waits until every fact has been published and taken.
func (m *meter) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, settleWithin, fmt.Errorf("facts are still under way after %s", settleWithin))
	defer cancel()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		waiting, err := m.underWay(ctx)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			return err
		case !waiting:
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// underWay reports whether a fact is unpublished or not taken by all who read it.
func (m *meter) underWay(ctx context.Context) (bool, error) {
	for database, collection := range map[string]string{"booking": "bookings", "event": "events"} {
		// What has been published is due when it may be forgotten, a day later.
		unpublished := bson.D{{Key: "outboxDue", Value: bson.D{{Key: "$lt", Value: time.Now().Add(time.Hour)}}}}
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
		readers := s.ListConsumers(ctx)
		for reader := range readers.Info() {
			if reader.NumPending > 0 || reader.NumAckPending > 0 {
				return true, nil
			}
		}
		if err := readers.Err(); err != nil {
			return false, err
		}
	}
	return false, streams.Err()
}
