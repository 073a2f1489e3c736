// Command bench measures the throughput and latency of a running server, mongolite
// or MongoDB, through the official driver. It measures reads by _id, conditional
// updates by _id and inserts, for several numbers of clients and documents. The
// load generator and the server usually share a machine, so compare only the
// results of one run.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// config holds the command-line options.
type config struct {
	uri     string
	clients []int
	docs    []int
	rounds  int
	length  time.Duration
}

// run parses the command line, connects and measures.
func run(ctx context.Context, args []string, stdout io.Writer) error {
	var cfg config
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.StringVar(&cfg.uri, "uri", "mongodb://127.0.0.1:17017", "connection string of the server")
	clients := flags.String("clients", "1,32", "comma-separated `list` of numbers of concurrent clients")
	docs := flags.String("docs", "1000,1000000", "comma-separated `list` of numbers of documents")
	flags.IntVar(&cfg.rounds, "rounds", 5, "`number` of times that each measurement runs; the runs are interleaved")
	flags.DurationVar(&cfg.length, "length", 2*time.Second, "duration of one run")
	if err := flags.Parse(args); err != nil {
		return err
	}
	var err error
	if cfg.clients, err = parseInts(*clients); err != nil {
		return err
	}
	if cfg.docs, err = parseInts(*docs); err != nil {
		return err
	}
	client, err := mongo.Connect(options.Client().ApplyURI(cfg.uri).SetMaxPoolSize(uint64(slices.Max(cfg.clients))))
	if err != nil {
		return err
	}
	defer func() { _ = client.Disconnect(context.WithoutCancel(ctx)) }()
	return measure(ctx, client.Database("mongolite_bench"), cfg, stdout)
}

// parseInts parses a comma-separated list of positive numbers.
func parseInts(list string) (ns []int, err error) {
	for _, s := range strings.Split(list, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%q is not a positive number", s)
		}
		ns = append(ns, n)
	}
	return ns, nil
}

// measurement is one operation for one number of documents and clients, with its
// results. It becomes one line of the table.
type measurement struct {
	name          string
	docs, clients int
	op            func(ctx context.Context, c *mongo.Collection, r *rand.Rand, docs int) error
	rates         []float64 // operations per second, one for each run
	latencies     []time.Duration
}

// measure fills one collection for each number of documents, runs all
// measurements, reports them and drops the database.
func measure(ctx context.Context, db *mongo.Database, cfg config, stdout io.Writer) error {
	var measurements []*measurement
	for _, docs := range cfg.docs {
		if err := fill(ctx, db.Collection(collectionName(docs)), docs); err != nil {
			return err
		}
		for _, clients := range cfg.clients {
			measurements = append(measurements,
				&measurement{name: "find by _id", docs: docs, clients: clients, op: find},
				&measurement{name: "conditional update by _id", docs: docs, clients: clients, op: update},
				&measurement{name: "insert", docs: docs, clients: clients, op: insert})
		}
	}
	for range cfg.rounds {
		for _, m := range measurements {
			if err := m.measure(ctx, db, cfg.length); err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
		}
	}
	report(stdout, measurements, cfg)
	return db.Drop(ctx)
}

// collectionName returns the name of the collection with docs documents.
func collectionName(docs int) string { return fmt.Sprintf("docs_%d", docs) }

// fill replaces the contents of the collection with docs documents.
func fill(ctx context.Context, c *mongo.Collection, docs int) error {
	if err := c.Drop(ctx); err != nil {
		return err
	}
	const batchSize = 5000
	for from := 0; from < docs; from += batchSize {
		batch := make([]any, 0, batchSize)
		for i := from; i < min(from+batchSize, docs); i++ {
			batch = append(batch, newDocument(int64(i)))
		}
		if _, err := c.InsertMany(ctx, batch); err != nil {
			return err
		}
	}
	return nil
}

// newDocument returns a small document that resembles an event with a stock of
// tickets.
func newDocument(id any) bson.D {
	return bson.D{{Key: "_id", Value: id}, {Key: "stock", Value: int64(1 << 40)}, {Key: "version", Value: int64(0)}, {Key: "name", Value: "An evening of chamber music"}, {Key: "venue", Value: "Town hall"}, {Key: "tags", Value: bson.A{"music", "classical"}}}
}

// find reads a random document by its _id.
func find(ctx context.Context, c *mongo.Collection, r *rand.Rand, docs int) error {
	_, err := c.FindOne(ctx, bson.D{{Key: "_id", Value: int64(r.IntN(docs))}}).Raw()
	return err
}

// update decrements the stock of a random document if any is left.
func update(ctx context.Context, c *mongo.Collection, r *rand.Rand, docs int) error {
	result, err := c.UpdateOne(ctx, bson.D{{Key: "_id", Value: int64(r.IntN(docs))}, {Key: "stock", Value: bson.D{{Key: "$gte", Value: int64(1)}}}},
		bson.D{{Key: "$inc", Value: bson.D{{Key: "stock", Value: int64(-1)}, {Key: "version", Value: int64(1)}}}})
	if err == nil && result.ModifiedCount != 1 {
		err = fmt.Errorf("update modified %d documents, want 1", result.ModifiedCount)
	}
	return err
}

// insert adds a document to a second collection, which grows during the run.
func insert(ctx context.Context, c *mongo.Collection, _ *rand.Rand, _ int) error {
	_, err := c.Database().Collection(c.Name()+"_inserted").InsertOne(ctx, newDocument(bson.NewObjectID()))
	return err
}

// measure runs the operation with m.clients concurrent clients for length and
// appends to the results. It returns the error of a client that failed.
func (m *measurement) measure(ctx context.Context, db *mongo.Database, length time.Duration) error {
	c := db.Collection(collectionName(m.docs))
	var wg sync.WaitGroup
	var mu sync.Mutex
	var failure error
	start := time.Now()
	done := 0
	for i := range m.clients {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), uint64(len(m.rates)))) //nolint:gosec // the load needs no secrecy
			var latencies []time.Duration
			var err error
			for err == nil && time.Since(start) < length {
				t := time.Now()
				if err = m.op(ctx, c, random, m.docs); err == nil {
					latencies = append(latencies, time.Since(t))
				}
			}
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failure = err
			}
			done += len(latencies)
			m.latencies = append(m.latencies, latencies...)
		})
	}
	wg.Wait()
	m.rates = append(m.rates, float64(done)/time.Since(start).Seconds())
	return failure
}

// report writes one line per measurement. The last column is the rate with the
// fewest documents divided by the rate of the line.
func report(stdout io.Writer, measurements []*measurement, cfg config) {
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "operation\tdocuments\tclients\tmedian/s\tmin-max/s\tp50\tp99\tslowdown against fewest documents")
	for _, m := range measurements {
		slices.Sort(m.latencies)
		base := m
		for _, o := range measurements {
			if o.name == m.name && o.clients == m.clients && o.docs == slices.Min(cfg.docs) {
				base = o
			}
		}
		_, _ = fmt.Fprintf(w, "%s\t%d\t%d\t%.0f\t%.0f-%.0f\t%v\t%v\t%.2f\n", m.name, m.docs, m.clients,
			median(m.rates), slices.Min(m.rates), slices.Max(m.rates),
			m.latencies[len(m.latencies)/2].Round(time.Microsecond), m.latencies[len(m.latencies)*99/100].Round(time.Microsecond),
			median(base.rates)/median(m.rates))
	}
	_ = w.Flush() // a reader that closed the pipe needs no report
}

// median returns the middle element of list, or the upper of the two.
func median(list []float64) float64 {
	sorted := slices.Sorted(slices.Values(list))
	return sorted[len(sorted)/2]
}
