package mongodb_test

import (
	"context"
	"errors"
	"net"
	"net/url"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"boxoffice/shared/mongodb"
	"boxoffice/test/servers"
)

// A server can accept a command and never answer it. Every call ends after its own timeout
// then, although the context of the request that made it would allow it to wait longer.
func TestCallsEndAfterTheirTimeoutIfTheServerIsSilent(t *testing.T) {
	m := servers.StartMongo(t)
	one := bson.D{{Key: "_id", Value: "d"}}
	set := bson.D{{Key: "$set", Value: bson.D{{Key: "n", Value: 1}}}}
	calls := map[string]func(context.Context, *mongodb.Collection) error{
		"FindOne": func(ctx context.Context, c *mongodb.Collection) error { return c.FindOne(ctx, one).Err() },
		"FindEach": func(ctx context.Context, c *mongodb.Collection) error {
			return c.FindEach(ctx, one, func(bson.Raw) error { return nil })
		},
		"CountDocuments": func(ctx context.Context, c *mongodb.Collection) error {
			_, err := c.CountDocuments(ctx, one)
			return err
		},
		"InsertOne": func(ctx context.Context, c *mongodb.Collection) error {
			_, err := c.InsertOne(ctx, one)
			return err
		},
		"InsertMany": func(ctx context.Context, c *mongodb.Collection) error {
			_, err := c.InsertMany(ctx, []bson.D{one})
			return err
		},
		"UpdateOne": func(ctx context.Context, c *mongodb.Collection) error {
			_, err := c.UpdateOne(ctx, one, set)
			return err
		},
		"ReplaceOne": func(ctx context.Context, c *mongodb.Collection) error {
			_, err := c.ReplaceOne(ctx, one, one)
			return err
		},
		"BulkWrite": func(ctx context.Context, c *mongodb.Collection) error {
			_, err := c.BulkWrite(ctx, []mongo.WriteModel{mongo.NewUpdateOneModel().SetFilter(one).SetUpdate(set)})
			return err
		},
		"DeleteMany": func(ctx context.Context, c *mongodb.Collection) error {
			_, err := c.DeleteMany(ctx, one)
			return err
		},
	}
	// These two send no command, or may take as long as the caller allows.
	unbounded := map[string]bool{"Name": true, "CreateIndexes": true}
	for method := range reflect.TypeFor[*mongodb.Collection]().Methods() {
		if calls[method.Name] == nil && !unbounded[method.Name] {
			t.Errorf("no test calls the method %s", method.Name)
		}
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := startProxy(t, m.URI)
			client := p.connect(t, m.Database)
			if err := client.Ping(t.Context()); err != nil { // the driver keeps the connection
				t.Fatal(err)
			}
			client.SetTimeout(silence)
			p.silent.Store(true)
			wantTimeout(t, func(ctx context.Context) error { return call(ctx, client.Collection("c")) })
			// The connection was closed, and the server does not answer on a new one either.
			wantTimeout(t, client.Ping)
		})
	}
}

func TestFindEachEndsAfterItsTimeoutIfTheServerFallsSilentBetweenBatches(t *testing.T) {
	m := servers.StartMongo(t)
	p := startProxy(t, m.URI)
	client := p.connect(t, m.Database)
	documents := make([]bson.D, 200) // the first batch has 101
	for i := range documents {
		documents[i] = bson.D{{Key: "_id", Value: i}}
	}
	if _, err := client.Collection("c").InsertMany(t.Context(), documents); err != nil {
		t.Fatal(err)
	}
	client.SetTimeout(silence)
	found := 0
	wantTimeout(t, func(ctx context.Context) error {
		return client.Collection("c").FindEach(ctx, bson.D{}, func(bson.Raw) error {
			p.silent.Store(true)
			found++
			return nil
		})
	})
	if found != 101 {
		t.Errorf("got %d documents, want the 101 of the first batch", found)
	}
}

func TestFindEachReturnsTheErrorOfItsFunction(t *testing.T) {
	m := servers.StartMongo(t)
	client, err := mongodb.Connect(mongodb.Config{URI: m.URI, Database: m.Database}, "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close(context.WithoutCancel(t.Context())) })
	c := client.Collection("c")
	if _, err := c.InsertMany(t.Context(), []bson.D{{{Key: "_id", Value: 1}}, {{Key: "_id", Value: 2}}}); err != nil {
		t.Fatal(err)
	}
	want, calls := errors.New("malformed"), 0
	err = c.FindEach(t.Context(), bson.D{}, func(bson.Raw) error { calls++; return want })
	if !errors.Is(err, want) || calls != 1 {
		t.Errorf("got %v after %d calls, want %v after 1", err, calls, want)
	}
}

// silence is the timeout of calls to a server that does not answer.
const silence = 500 * time.Millisecond

// wantTimeout runs a call whose context has more time than the call may take.
func wantTimeout(t *testing.T, call func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	err := call(ctx)
	if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
		t.Errorf("got %v, with the context's error %v, want a timeout before the context ends", err, ctx.Err())
	}
}

// proxy is a server that forwards connections to MongoDB. While it is silent, it accepts
// connections and bytes, but forwards nothing.
type proxy struct {
	uri    string
	silent atomic.Bool
}

func startProxy(t *testing.T, uri string) *proxy {
	t.Helper()
	u, err := url.Parse(uri)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	p := &proxy{}
	server := u.Host
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			upstream, err := net.Dial("tcp", server)
			if err != nil {
				_ = client.Close()
				continue
			}
			go p.forward(client, upstream)
			go p.forward(upstream, client)
		}
	}()
	query := u.Query()
	query.Del("replicaSet")
	query.Set("directConnection", "true") // the driver would find the server's own address otherwise
	u.Host, u.RawQuery = l.Addr().String(), query.Encode()
	p.uri = u.String()
	return p
}

// forward copies bytes until either side closes its connection, and closes both.
func (p *proxy) forward(from, to net.Conn) {
	defer from.Close()
	defer to.Close()
	buffer := make([]byte, 1<<16)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		if p.silent.Load() {
			continue
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// connect returns a client that reaches MongoDB through the proxy.
func (p *proxy) connect(t *testing.T, database string) *mongodb.Client {
	t.Helper()
	client, err := mongodb.Connect(mongodb.Config{URI: p.uri, Database: database}, "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), silence)
		defer cancel()
		_ = client.Close(ctx)
	})
	return client
}
