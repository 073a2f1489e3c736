// Package dapr_test checks that a real Dapr sidecar can keep its state in
// mongolite. It drives the component state.mongodb through the sidecar's API.
//
// DAPRD names the daprd binary to run. If it is empty, the test builds one.
package dapr_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"boxoffice/tools/mongolite/server"
)

const store = "/v1.0/state/store"

// fixture is a mongolite server and a sidecar whose state store uses it.
type fixture struct {
	t       *testing.T
	daprd   string // path of the binary
	cfg     server.Config
	db      *server.Server
	sidecar *sidecar
	coll    *mongo.Collection // the collection in which the sidecar keeps its state
}

// startServer starts the server. It keeps the chosen port in f.cfg, so that a
// restarted server listens on the same address.
func (f *fixture) startServer() {
	f.t.Helper()
	db, err := server.Start(f.cfg)
	must(f.t, err)
	f.db = db
	f.cfg.Listen = db.Addr()
}

// newFixture starts a server that never expires documents, and a sidecar.
func newFixture(t *testing.T) *fixture {
	f := &fixture{t: t, daprd: daprdPath(t)}
	f.cfg = server.Config{Listen: "127.0.0.1:0", Data: t.TempDir(), ExpireEvery: 24 * time.Hour}
	f.startServer()
	t.Cleanup(func() { f.db.Close() })
	f.sidecar = startSidecar(t, f.daprd, f.db.Addr())
	t.Cleanup(func() {
		f.sidecar.kill()
		if t.Failed() {
			t.Logf("daprd's log:\n%s", f.sidecar.output())
		}
	})
	client, err := mongo.Connect(options.Client().ApplyURI("mongodb://" + f.db.Addr() + "/?replicaSet=mongolite"))
	must(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), waitLimit)
		defer cancel()
		client.Disconnect(ctx)
	})
	f.coll = client.Database("dapr").Collection("state")
	return f
}

// item is one element of a save request.
type item struct {
	Key      string            `json:"key"`
	Value    any               `json:"value"`
	ETag     string            `json:"etag,omitempty"`
	Metadata map[string]string `json:"metadata,omitempty"`
	Options  map[string]string `json:"options,omitempty"`
}

var firstWrite = map[string]string{"concurrency": "first-write", "consistency": "strong"}

// save sends a save request and returns the sidecar's response.
func (f *fixture) save(items ...item) response {
	f.t.Helper()
	for i := range items {
		if items[i].Metadata == nil {
			items[i].Metadata = map[string]string{}
		}
		items[i].Metadata["contentType"] = "application/json"
	}
	body, err := json.Marshal(items)
	must(f.t, err)
	return f.sidecar.do(f.t, http.MethodPost, store, string(body), nil)
}

// mustSave saves items and fails the test if the sidecar refuses.
func (f *fixture) mustSave(items ...item) {
	f.t.Helper()
	if r := f.save(items...); r.status != http.StatusNoContent {
		f.t.Fatalf("save %+v: got %s, want %d", items, r, http.StatusNoContent)
	}
}

// get sends a get request and returns the sidecar's response.
func (f *fixture) get(key string) response {
	f.t.Helper()
	return f.sidecar.do(f.t, http.MethodGet, store+"/"+key, "", nil)
}

// checkValue compares the value of a key with want and returns its ETag. An
// empty want means that the key must have no value.
func (f *fixture) checkValue(key, want string) string {
	f.t.Helper()
	r := f.get(key)
	status := http.StatusOK
	if want == "" {
		status = http.StatusNoContent
	}
	if r.status != status || r.body != want {
		f.t.Errorf("get %s: got %s, want %d %s", key, r, status, want)
	}
	return r.etag
}

// storedDocument reads the document of a key directly from the collection. It
// returns nil if there is none.
func (f *fixture) storedDocument(key string) bson.M {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), waitLimit)
	defer cancel()
	var doc bson.M
	err := f.coll.FindOne(ctx, bson.D{{Key: "_id", Value: key}}).Decode(&doc)
	if err == mongo.ErrNoDocuments {
		return nil
	}
	must(f.t, err)
	return doc
}

// TestSidecarKeepsStateInMongolite runs its subtests in order against one
// server and one sidecar. The order matters: testServerRestart uses documents
// that testTTL stored.
func TestSidecarKeepsStateInMongolite(t *testing.T) {
	f := newFixture(t)
	t.Run("set, get and delete", f.run(testSetGetDelete))
	t.Run("first-write concurrency with ETags", f.run(testETag))
	t.Run("concurrent compare-and-set", f.run(testConcurrentCompareAndSet))
	t.Run("expired values are hidden", f.run(testTTL))
	t.Run("bulk get", f.run(testBulkGet))
	t.Run("transactions are refused", f.run(testTransaction))
	t.Run("query", f.run(testQuery))
	t.Run("state survives a restart of mongolite", f.run(testServerRestart))
	t.Run("state survives a restart of the sidecar", f.run(testSidecarRestart))
}

// run adapts test to t.Run. While test runs, f reports failures to its subtest.
func (f *fixture) run(test func(*testing.T, *fixture)) func(*testing.T) {
	return func(t *testing.T) {
		outer := f.t
		f.t = t
		defer func() { f.t = outer }()
		test(t, f)
	}
}

func testSetGetDelete(t *testing.T, f *fixture) {
	f.checkValue("a", "")
	for _, value := range []string{`{"seats":[1,2],"who":{"name":"Ä \"q\""}}`, `"text"`, `17`, `1.5`, `true`, `[]`, `[{"a":[1]}]`} {
		f.mustSave(item{Key: "a", Value: json.RawMessage(value)})
		if got := f.get("a").body; !equalJSON(t, got, value) {
			t.Errorf("get after save: got %s, want %s", got, value)
		}
	}
	// The component writes the value with $set, which MongoDB refuses for an
	// empty document.
	if r := f.save(item{Key: "a", Value: struct{}{}}); r.status != http.StatusInternalServerError || !strings.Contains(r.body, "an empty object is not a valid value") {
		t.Errorf("save {}: got %s, want %d and the reason", r, http.StatusInternalServerError)
	}
	// With keyPrefix "none" the key is the _id. A JSON value is stored as a
	// document, not as a string.
	f.mustSave(item{Key: "order:7", Value: map[string]any{"n": 1}})
	doc := f.storedDocument("order:7")
	if v, ok := doc["value"].(bson.D); !ok || len(v) != 1 || doc["_etag"] == "" || doc["_ttl"] != nil {
		t.Errorf("stored document: got %v, want a value with one field, an ETag and no TTL", doc)
	}
	if r := f.sidecar.do(f.t, http.MethodDelete, store+"/a", "", nil); r.status != http.StatusNoContent {
		t.Errorf("delete: got %s, want %d", r, http.StatusNoContent)
	}
	f.checkValue("a", "")
	if r := f.sidecar.do(f.t, http.MethodDelete, store+"/a", "", nil); r.status != http.StatusNoContent {
		t.Errorf("delete of a missing key: got %s, want %d", r, http.StatusNoContent)
	}
}

// equalJSON reports whether a and b encode the same value. It returns false if a
// is not JSON.
func equalJSON(t *testing.T, a, b string) bool {
	t.Helper()
	var x, y any
	if err := json.Unmarshal([]byte(a), &x); err != nil {
		return false
	}
	must(t, json.Unmarshal([]byte(b), &y))
	return fmt.Sprint(x) == fmt.Sprint(y)
}

func testETag(t *testing.T, f *fixture) {
	f.mustSave(item{Key: "e", Value: 1})
	etag := f.checkValue("e", "1")
	f.mustSave(item{Key: "e", Value: 2, ETag: etag, Options: firstWrite})
	if r := f.save(item{Key: "e", Value: 3, ETag: etag, Options: firstWrite}); r.status != http.StatusConflict || !strings.Contains(r.body, "E11000 duplicate key error") {
		t.Errorf("save with a stale ETag: got %s, want %d and E11000", r, http.StatusConflict)
	}
	next := f.checkValue("e", "2")
	// Without an ETag, first-write concurrency means insert.
	if r := f.save(item{Key: "e", Value: 4, Options: firstWrite}); r.status != http.StatusConflict {
		t.Errorf("first write of an existing key: got %s, want %d", r, http.StatusConflict)
	}
	f.mustSave(item{Key: "e2", Value: 1, Options: firstWrite})
	f.checkValue("e", "2")
	if r := f.sidecar.do(f.t, http.MethodDelete, store+"/e", "", http.Header{"If-Match": {etag}}); r.status != http.StatusConflict {
		t.Errorf("delete with a stale ETag: got %s, want %d", r, http.StatusConflict)
	}
	if r := f.sidecar.do(f.t, http.MethodDelete, store+"/e", "", http.Header{"If-Match": {next}}); r.status != http.StatusNoContent {
		t.Errorf("delete with the current ETag: got %s, want %d", r, http.StatusNoContent)
	}
	f.checkValue("e", "")
}

// testConcurrentCompareAndSet increments one value by compare-and-set from
// several clients at once. The value must equal the number of writes that
// succeeded.
func testConcurrentCompareAndSet(t *testing.T, f *fixture) {
	f.mustSave(item{Key: "n", Value: 0})
	var won atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 25 {
				r := f.get("n")
				var n int
				if err := json.Unmarshal([]byte(r.body), &n); err != nil {
					t.Errorf("decode the value of %s: %v", r, err)
					return
				}
				switch r := f.save(item{Key: "n", Value: n + 1, ETag: r.etag, Options: firstWrite}); r.status {
				case http.StatusNoContent:
					won.Add(1)
				case http.StatusConflict:
				default:
					t.Errorf("save: got %s, want %d or %d", r, http.StatusNoContent, http.StatusConflict)
					return
				}
			}
		})
	}
	wg.Wait()
	f.checkValue("n", fmt.Sprint(won.Load()))
	if won.Load() < 25 {
		t.Errorf("got %d successful writes, want at least 25", won.Load())
	}
}

// testTTL checks that the sidecar hides an expired value even while its document
// is still stored. testServerRestart checks that the document is deleted later.
func testTTL(t *testing.T, f *fixture) {
	f.mustSave(
		item{Key: "short", Value: 1, Metadata: map[string]string{"ttlInSeconds": "1"}},
		item{Key: "long", Value: 1, Metadata: map[string]string{"ttlInSeconds": "3600"}},
		item{Key: "renewed", Value: 1, Metadata: map[string]string{"ttlInSeconds": "1"}},
	)
	f.checkValue("short", "1")
	f.mustSave(item{Key: "renewed", Value: 2})
	if r := f.get("long"); r.header.Get("Metadata.ttlexpiretime") == "" {
		t.Errorf("get long: got %s without an expiry time, headers %v", r, r.header)
	}
	eventually(t, "the value expires", func() bool { return f.get("short").status == http.StatusNoContent })
	doc := f.storedDocument("short")
	if doc == nil {
		t.Fatal("the document was deleted although the server never expires documents")
	}
	if at, ok := doc["_ttl"].(bson.DateTime); !ok || at.Time().After(time.Now()) || time.Since(at.Time()) > waitLimit {
		t.Errorf("_ttl: got %v, want a date in the past", doc["_ttl"])
	}
	f.checkValue("long", "1")
	f.checkValue("renewed", "2")
	// A first write conflicts with the document of an expired value as long as
	// that document is stored.
	if r := f.save(item{Key: "short", Value: 9, Options: firstWrite}); r.status != http.StatusConflict {
		t.Errorf("first write over an expired value: got %s, want %d", r, http.StatusConflict)
	}
}

func testBulkGet(t *testing.T, f *fixture) {
	var items []item
	var keys []string
	for i := range 150 { // more than the first batch of a cursor
		key := fmt.Sprintf("bulk%03d", i)
		items, keys = append(items, item{Key: key, Value: i}), append(keys, key)
	}
	f.mustSave(items...)
	body, err := json.Marshal(map[string]any{"keys": append(keys, "nothing"), "parallelism": 10})
	must(t, err)
	r := f.sidecar.do(f.t, http.MethodPost, store+"/bulk", string(body), nil)
	var got []struct {
		Key  string
		Data *int
		ETag string
	}
	must(t, json.Unmarshal([]byte(r.body), &got))
	seen := map[string]int{}
	for _, g := range got {
		if g.Data != nil && g.ETag != "" {
			seen[g.Key] = *g.Data
		}
	}
	for i, key := range keys {
		if n, ok := seen[key]; !ok || n != i {
			t.Errorf("%s: got %d (present: %v), want %d", key, n, ok, i)
		}
	}
	if len(got) != 151 || len(seen) != 150 {
		t.Errorf("got %d results, %d with a value; want 151, 150", len(got), len(seen))
	}
}

// testTransaction checks that a transaction is refused and changes nothing.
func testTransaction(t *testing.T, f *fixture) {
	r := f.sidecar.do(f.t, http.MethodPost, store+"/transaction", `{"operations": [
		{"operation": "upsert", "request": {"key": "t1", "value": 1}}, {"operation": "upsert", "request": {"key": "t2", "value": 1}}]}`, nil)
	if r.status < 400 || !strings.Contains(r.body, "mongolite does not support update.startTransaction") {
		t.Errorf("transaction: got %s, want an error that names the unsupported field", r)
	}
	f.checkValue("t1", "")
	f.checkValue("t2", "")
}

// testQuery filters, sorts and limits through the query API, which is alpha.
func testQuery(t *testing.T, f *fixture) {
	for i := range 10 {
		f.mustSave(item{Key: fmt.Sprintf("q%d", i), Value: map[string]any{"kind": "query", "n": i, "state": []string{"open", "sold"}[i%2]}})
	}
	r := f.sidecar.do(f.t, http.MethodPost, "/v1.0-alpha1/state/store/query", `{
		"filter": {"AND": [{"EQ": {"kind": "query"}}, {"OR": [{"EQ": {"state": "sold"}}, {"IN": {"n": [2, 4]}}]}]},
		"sort": [{"key": "n", "order": "DESC"}], "page": {"limit": 3}}`, nil)
	var got struct {
		Results []struct{ Key string }
		Token   string
	}
	if err := json.Unmarshal([]byte(r.body), &got); err != nil || r.status != http.StatusOK {
		t.Fatalf("query: got %s and the error %v, want %d", r, err, http.StatusOK)
	}
	var keys []string
	for _, result := range got.Results {
		keys = append(keys, result.Key)
	}
	if want := "q9 q7 q5"; strings.Join(keys, " ") != want {
		t.Errorf("query: got %v, want %s", keys, want)
	}
}

// testServerRestart restarts the server on the same data directory and port,
// this time with a short expiry interval. The running sidecar must reconnect
// and find the same state. The expired document of testTTL must be deleted.
func testServerRestart(t *testing.T, f *fixture) {
	f.mustSave(item{Key: "over", Value: map[string]any{"n": 1}})
	etag := f.checkValue("over", `{"n":1}`)
	must(t, f.db.Close())
	f.cfg.ExpireEvery = 50 * time.Millisecond
	f.startServer()
	if got := f.checkValue("over", `{"n":1}`); got != etag {
		t.Errorf("ETag after the restart: got %s, want %s", got, etag)
	}
	f.mustSave(item{Key: "over", Value: 2, ETag: etag, Options: firstWrite})
	f.checkValue("over", "2")
	eventually(t, "the expired document is deleted", func() bool { return f.storedDocument("short") == nil })
	f.checkValue("long", "1")
	f.checkValue("renewed", "2")
	f.mustSave(item{Key: "short", Value: 9, Options: firstWrite})
	f.checkValue("short", "9")
}

// testSidecarRestart replaces the sidecar. The new one must find the same state.
func testSidecarRestart(t *testing.T, f *fixture) {
	f.mustSave(item{Key: "kept", Value: map[string]any{"n": 1}})
	etag := f.checkValue("kept", `{"n":1}`)
	f.sidecar.stop(t)
	f.sidecar = startSidecar(t, f.daprd, f.db.Addr())
	if got := f.checkValue("kept", `{"n":1}`); got != etag {
		t.Errorf("ETag after the restart: got %s, want %s", got, etag)
	}
	f.mustSave(item{Key: "kept", Value: 2, ETag: etag, Options: firstWrite})
	f.checkValue("kept", "2")
}
