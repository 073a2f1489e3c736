// Command bench measures a running MongoDB server, mongolite or another, over
// the official driver: reads by _id, conditional updates by _id and inserts,
// at several numbers of clients and documents. Load generator and server share
// the machine, so compare ratios within one run.
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

// config is what one run measures.
type config struct {
	uri     string
	clients []int
	docs    []int
	rounds  int
	length  time.Duration
}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	var cfg config
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.StringVar(&cfg.uri, "uri", "mongodb://127.0.0.1:17017", "the server")
	clients := flags.String("clients", "1,32", "numbers of clients")
	docs := flags.String("docs", "1000,1000000", "numbers of documents")
	flags.IntVar(&cfg.rounds, "rounds", 5, "rounds of each measurement, interleaved")
	flags.DurationVar(&cfg.length, "length", 2*time.Second, "length of one measurement")
	if err := flags.Parse(args); err != nil {
		return err
	}
	var err error
	if cfg.clients, err = numbers(*clients); err != nil {
		return err
	}
	if cfg.docs, err = numbers(*docs); err != nil {
		return err
	}
	client, err := mongo.Connect(options.Client().ApplyURI(cfg.uri).SetMaxPoolSize(uint64(slices.Max(cfg.clients))))
	if err != nil {
		return err
	}
	defer client.Disconnect(context.WithoutCancel(ctx))
	return measure(ctx, client.Database("mongolite_bench"), cfg, stdout)
}

func numbers(list string) (ns []int, err error) {
	for _, s := range strings.Split(list, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%q is no positive number", s)
		}
		ns = append(ns, n)
	}
	return ns, nil
}

// rung is one line of the table.
type rung struct {
	name          string
	docs, clients int
	op            func(ctx context.Context, c *mongo.Collection, r *rand.Rand, docs int) error
	rates         []float64 // a second, one a round
	waits         []time.Duration
}

func measure(ctx context.Context, db *mongo.Database, cfg config, stdout io.Writer) error {
	var rungs []*rung
	for _, docs := range cfg.docs {
		if err := fill(ctx, db.Collection(name(docs)), docs); err != nil {
			return err
		}
		for _, clients := range cfg.clients {
			rungs = append(rungs,
				&rung{name: "find by _id", docs: docs, clients: clients, op: find},
				&rung{name: "conditional update by _id", docs: docs, clients: clients, op: update},
				&rung{name: "insert", docs: docs, clients: clients, op: insert})
		}
	}
	for range cfg.rounds {
		for _, r := range rungs {
			if err := r.measure(ctx, db, cfg.length); err != nil {
				return fmt.Errorf("%s: %w", r.name, err)
			}
		}
	}
	report(stdout, rungs, cfg)
	return db.Drop(ctx)
}

func name(docs int) string { return fmt.Sprintf("docs_%d", docs) }

// fill makes the collection hold docs documents as a small record looks.
func fill(ctx context.Context, c *mongo.Collection, docs int) error {
	if err := c.Drop(ctx); err != nil {
		return err
	}
	const many = 5000
	for from := 0; from < docs; from += many {
		batch := make([]any, 0, many)
		for i := from; i < min(from+many, docs); i++ {
			batch = append(batch, record(int64(i)))
		}
		if _, err := c.InsertMany(ctx, batch); err != nil {
			return err
		}
	}
	return nil
}

func record(id any) bson.D {
	return bson.D{{Key: "_id", Value: id}, {Key: "stock", Value: int64(1 << 40)}, {Key: "version", Value: int64(0)}, {Key: "name", Value: "An evening of chamber music"}, {Key: "venue", Value: "Town hall"}, {Key: "tags", Value: bson.A{"music", "classical"}}}
}

func find(ctx context.Context, c *mongo.Collection, r *rand.Rand, docs int) error {
	_, err := c.FindOne(ctx, bson.D{{Key: "_id", Value: int64(r.IntN(docs))}}).Raw()
	return err
}

func update(ctx context.Context, c *mongo.Collection, r *rand.Rand, docs int) error {
	result, err := c.UpdateOne(ctx, bson.D{{Key: "_id", Value: int64(r.IntN(docs))}, {Key: "stock", Value: bson.D{{Key: "$gte", Value: int64(1)}}}},
		bson.D{{Key: "$inc", Value: bson.D{{Key: "stock", Value: int64(-1)}, {Key: "version", Value: int64(1)}}}})
	if err == nil && result.ModifiedCount != 1 {
		err = fmt.Errorf("%d documents were modified", result.ModifiedCount)
	}
	return err
}

func insert(ctx context.Context, c *mongo.Collection, _ *rand.Rand, _ int) error {
	_, err := c.Database().Collection(c.Name()+"_inserted").InsertOne(ctx, record(bson.NewObjectID()))
	return err
}

func (r *rung) measure(ctx context.Context, db *mongo.Database, length time.Duration) error {
	c := db.Collection(name(r.docs))
	var wg sync.WaitGroup
	var mu sync.Mutex
	var failed error
	start := time.Now()
	done := 0
	for i := range r.clients {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), uint64(len(r.rates))))
			var waits []time.Duration
			var err error
			for err == nil && time.Since(start) < length {
				t := time.Now()
				if err = r.op(ctx, c, random, r.docs); err == nil {
					waits = append(waits, time.Since(t))
				}
			}
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = err
			}
			done += len(waits)
			r.waits = append(r.waits, waits...)
		})
	}
	wg.Wait()
	r.rates = append(r.rates, float64(done)/time.Since(start).Seconds())
	return failed
}

func report(stdout io.Writer, rungs []*rung, cfg config) {
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "operation\tdocuments\tclients\tmedian/s\tmin-max/s\tp50\tp99\tcost against fewest documents")
	for _, r := range rungs {
		slices.Sort(r.waits)
		base := r
		for _, o := range rungs {
			if o.name == r.name && o.clients == r.clients && o.docs == slices.Min(cfg.docs) {
				base = o
			}
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%.0f\t%.0f-%.0f\t%v\t%v\t%.2f\n", r.name, r.docs, r.clients,
			median(r.rates), slices.Min(r.rates), slices.Max(r.rates),
			r.waits[len(r.waits)/2].Round(time.Microsecond), r.waits[len(r.waits)*99/100].Round(time.Microsecond),
			median(base.rates)/median(r.rates))
	}
	w.Flush()
}

func median(list []float64) float64 {
	sorted := slices.Sorted(slices.Values(list))
	return sorted[len(sorted)/2]
}
