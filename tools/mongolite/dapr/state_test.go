// Package dapr_test holds that a real Dapr sidecar keeps its state on
// mongolite: the component state.mongodb, driven through the sidecar's API.
//
// The sidecar is $DAPRD, else one that the test builds.
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

// world is a sidecar on a server.
type world struct {
	t    *testing.T
	bin  string
	cfg  server.Config
	db   *server.Server
	side *sidecar
	coll *mongo.Collection // where the sidecar keeps its state
}

func (w *world) startDB() {
	w.t.Helper()
	db, err := server.Start(w.cfg)
	must(w.t, err)
	w.db = db
	w.cfg.Listen = db.Addr() // also of the next start
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, bin: binary(t)}
	w.cfg = server.Config{Listen: "127.0.0.1:0", Data: t.TempDir(), ExpireEvery: 24 * time.Hour}
	w.startDB()
	t.Cleanup(func() { w.db.Close() })
	w.side = startSidecar(t, w.bin, w.db.Addr())
	t.Cleanup(func() {
		w.side.kill()
		if t.Failed() {
			t.Logf("daprd's log:\n%s", w.side.output())
		}
	})
	client, err := mongo.Connect(options.Client().ApplyURI("mongodb://" + w.db.Addr() + "/?replicaSet=mongolite"))
	must(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		client.Disconnect(ctx)
	})
	w.coll = client.Database("dapr").Collection("state")
	return w
}

// item is one element of a request to save.
type item struct {
	Key      string            `json:"key"`
	Value    any               `json:"value"`
	ETag     string            `json:"etag,omitempty"`
	Metadata map[string]string `json:"metadata,omitempty"`
	Options  map[string]string `json:"options,omitempty"`
}

var firstWrite = map[string]string{"concurrency": "first-write", "consistency": "strong"}

func (w *world) save(items ...item) response {
	w.t.Helper()
	for i := range items {
		if items[i].Metadata == nil {
			items[i].Metadata = map[string]string{}
		}
		items[i].Metadata["contentType"] = "application/json"
	}
	body, err := json.Marshal(items)
	must(w.t, err)
	return w.side.do(w.t, http.MethodPost, store, string(body), nil)
}

func (w *world) saved(items ...item) {
	w.t.Helper()
	if r := w.save(items...); r.status != http.StatusNoContent {
		w.t.Fatalf("save %+v: %s", items, r)
	}
}

func (w *world) get(key string) response {
	w.t.Helper()
	return w.side.do(w.t, http.MethodGet, store+"/"+key, "", nil)
}

// holds checks the value at a key, "" for none, and returns its ETag.
func (w *world) holds(key, want string) string {
	w.t.Helper()
	r := w.get(key)
	status := http.StatusOK
	if want == "" {
		status = http.StatusNoContent
	}
	if r.status != status || r.body != want {
		w.t.Errorf("%s holds %s, want %d %s", key, r, status, want)
	}
	return r.etag
}

// stored returns the document as it is in the collection, nil for none.
func (w *world) stored(key string) bson.M {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	var doc bson.M
	err := w.coll.FindOne(ctx, bson.D{{Key: "_id", Value: key}}).Decode(&doc)
	if err == mongo.ErrNoDocuments {
		return nil
	}
	must(w.t, err)
	return doc
}

func TestState(t *testing.T) {
	w := newWorld(t)
	t.Run("SetGetDelete", w.run(testSetGetDelete))
	t.Run("ETag", w.run(testETag))
	t.Run("RacedETag", w.run(testRacedETag))
	t.Run("TTL", w.run(testTTL))
	t.Run("Bulk", w.run(testBulk))
	t.Run("Transaction", w.run(testTransaction))
	t.Run("Query", w.run(testQuery))
	t.Run("RestartOfMongolite", w.run(testRestartOfMongolite))
	t.Run("RestartOfTheSidecar", w.run(testRestartOfTheSidecar))
}

func (w *world) run(test func(*testing.T, *world)) func(*testing.T) {
	return func(t *testing.T) {
		outer := w.t
		w.t = t
		defer func() { w.t = outer }()
		test(t, w)
	}
}

func testSetGetDelete(t *testing.T, w *world) {
	w.holds("a", "")
	for _, value := range []string{`{"seats":[1,2],"who":{"name":"Ä \"q\""}}`, `"text"`, `17`, `1.5`, `true`, `[]`, `[{"a":[1]}]`} {
		w.saved(item{Key: "a", Value: json.RawMessage(value)})
		if got := w.get("a").body; !equalJSON(t, got, value) {
			t.Errorf("saved %s, got %s", value, got)
		}
	}
	// The component's $set cannot hold an empty document, in MongoDB neither.
	if r := w.save(item{Key: "a", Value: struct{}{}}); r.status != http.StatusInternalServerError || !strings.Contains(r.body, "an empty object is not a valid value") {
		t.Errorf("saved {}: %s", r)
	}
	// Without a prefix the key is the _id, and JSON is a document, not a text.
	w.saved(item{Key: "order:7", Value: map[string]any{"n": 1}})
	doc := w.stored("order:7")
	if v, ok := doc["value"].(bson.D); !ok || len(v) != 1 || doc["_etag"] == "" || doc["_ttl"] != nil {
		t.Errorf("stored is %v", doc)
	}
	if r := w.side.do(w.t, http.MethodDelete, store+"/a", "", nil); r.status != http.StatusNoContent {
		t.Errorf("delete: %s", r)
	}
	w.holds("a", "")
	if r := w.side.do(w.t, http.MethodDelete, store+"/a", "", nil); r.status != http.StatusNoContent {
		t.Errorf("delete of nothing: %s", r)
	}
}

func equalJSON(t *testing.T, a, b string) bool {
	t.Helper()
	var x, y any
	if err := json.Unmarshal([]byte(a), &x); err != nil {
		return false
	}
	must(t, json.Unmarshal([]byte(b), &y))
	return fmt.Sprint(x) == fmt.Sprint(y)
}

func testETag(t *testing.T, w *world) {
	w.saved(item{Key: "e", Value: 1})
	etag := w.holds("e", "1")
	w.saved(item{Key: "e", Value: 2, ETag: etag, Options: firstWrite})
	if r := w.save(item{Key: "e", Value: 3, ETag: etag, Options: firstWrite}); r.status != http.StatusConflict || !strings.Contains(r.body, "E11000 duplicate key error") {
		t.Errorf("a lost ETag: %s", r)
	}
	next := w.holds("e", "2")
	// First-write without an ETag is an insert.
	if r := w.save(item{Key: "e", Value: 4, Options: firstWrite}); r.status != http.StatusConflict {
		t.Errorf("a first write of what is there: %s", r)
	}
	w.saved(item{Key: "e2", Value: 1, Options: firstWrite})
	w.holds("e", "2")
	if r := w.side.do(w.t, http.MethodDelete, store+"/e", "", http.Header{"If-Match": {etag}}); r.status != http.StatusConflict {
		t.Errorf("a delete with a lost ETag: %s", r)
	}
	if r := w.side.do(w.t, http.MethodDelete, store+"/e", "", http.Header{"If-Match": {next}}); r.status != http.StatusNoContent {
		t.Errorf("a delete with the ETag: %s", r)
	}
	w.holds("e", "")
}

// testRacedETag counts up by compare-and-set from many clients at once.
func testRacedETag(t *testing.T, w *world) {
	w.saved(item{Key: "n", Value: 0})
	var won atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 25 {
				r := w.get("n")
				var n int
				if err := json.Unmarshal([]byte(r.body), &n); err != nil {
					t.Errorf("%s: %v", r, err)
					return
				}
				switch r := w.save(item{Key: "n", Value: n + 1, ETag: r.etag, Options: firstWrite}); r.status {
				case http.StatusNoContent:
					won.Add(1)
				case http.StatusConflict:
				default:
					t.Errorf("save: %s", r)
					return
				}
			}
		})
	}
	wg.Wait()
	w.holds("n", fmt.Sprint(won.Load()))
	if won.Load() < 25 {
		t.Errorf("only %d writes were won", won.Load())
	}
}

// testTTL holds that a value is gone on time although nothing deletes it yet.
// The document goes after the restart of mongolite.
func testTTL(t *testing.T, w *world) {
	w.saved(
		item{Key: "short", Value: 1, Metadata: map[string]string{"ttlInSeconds": "1"}},
		item{Key: "long", Value: 1, Metadata: map[string]string{"ttlInSeconds": "3600"}},
		item{Key: "renewed", Value: 1, Metadata: map[string]string{"ttlInSeconds": "1"}},
	)
	w.holds("short", "1")
	w.saved(item{Key: "renewed", Value: 2})
	if r := w.get("long"); r.header.Get("Metadata.ttlexpiretime") == "" {
		t.Errorf("no time of expiry: %s %v", r, r.header)
	}
	eventually(t, "the value is gone", func() bool { return w.get("short").status == http.StatusNoContent })
	doc := w.stored("short")
	if doc == nil {
		t.Fatal("the document is gone although nothing expires yet")
	}
	if at, ok := doc["_ttl"].(bson.DateTime); !ok || at.Time().After(time.Now()) || time.Since(at.Time()) > patience {
		t.Errorf("_ttl is %v", doc["_ttl"])
	}
	w.holds("long", "1")
	w.holds("renewed", "2")
	// A first write over a value that expired loses to the document that is left.
	if r := w.save(item{Key: "short", Value: 9, Options: firstWrite}); r.status != http.StatusConflict {
		t.Errorf("a first write over what expired: %s", r)
	}
}

func testBulk(t *testing.T, w *world) {
	var items []item
	var keys []string
	for i := range 150 { // more than a cursor's first batch
		key := fmt.Sprintf("bulk%03d", i)
		items, keys = append(items, item{Key: key, Value: i}), append(keys, key)
	}
	w.saved(items...)
	body, err := json.Marshal(map[string]any{"keys": append(keys, "nothing"), "parallelism": 10})
	must(t, err)
	r := w.side.do(w.t, http.MethodPost, store+"/bulk", string(body), nil)
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
			t.Errorf("%s is %d, %v", key, n, ok)
		}
	}
	if len(got) != 151 || len(seen) != 150 {
		t.Errorf("%d answers, %d with a value", len(got), len(seen))
	}
}

// testTransaction holds that what needs a transaction fails and changes nothing.
func testTransaction(t *testing.T, w *world) {
	r := w.side.do(w.t, http.MethodPost, store+"/transaction", `{"operations": [
		{"operation": "upsert", "request": {"key": "t1", "value": 1}}, {"operation": "upsert", "request": {"key": "t2", "value": 1}}]}`, nil)
	if r.status < 400 || !strings.Contains(r.body, "mongolite does not support update.startTransaction") {
		t.Errorf("a transaction: %s", r)
	}
	w.holds("t1", "")
	w.holds("t2", "")
}

// testQuery tries the query API, which is alpha.
func testQuery(t *testing.T, w *world) {
	for i := range 10 {
		w.saved(item{Key: fmt.Sprintf("q%d", i), Value: map[string]any{"kind": "query", "n": i, "state": []string{"open", "sold"}[i%2]}})
	}
	r := w.side.do(w.t, http.MethodPost, "/v1.0-alpha1/state/store/query", `{
		"filter": {"AND": [{"EQ": {"kind": "query"}}, {"OR": [{"EQ": {"state": "sold"}}, {"IN": {"n": [2, 4]}}]}]},
		"sort": [{"key": "n", "order": "DESC"}], "page": {"limit": 3}}`, nil)
	var got struct {
		Results []struct{ Key string }
		Token   string
	}
	if err := json.Unmarshal([]byte(r.body), &got); err != nil || r.status != http.StatusOK {
		t.Fatalf("query: %s, %v", r, err)
	}
	var keys []string
	for _, result := range got.Results {
		keys = append(keys, result.Key)
	}
	if want := "q9 q7 q5"; strings.Join(keys, " ") != want {
		t.Errorf("the query finds %v, want %s", keys, want)
	}
}

// testRestartOfMongolite holds that the sidecar goes on over a server that ends
// and comes back with its folder on its port, and that what expired is deleted.
func testRestartOfMongolite(t *testing.T, w *world) {
	w.saved(item{Key: "over", Value: map[string]any{"n": 1}})
	etag := w.holds("over", `{"n":1}`)
	must(t, w.db.Close())
	w.cfg.ExpireEvery = 50 * time.Millisecond
	w.startDB()
	if got := w.holds("over", `{"n":1}`); got != etag {
		t.Errorf("the ETag is %s, want %s", got, etag)
	}
	w.saved(item{Key: "over", Value: 2, ETag: etag, Options: firstWrite})
	w.holds("over", "2")
	eventually(t, "the expired document is deleted", func() bool { return w.stored("short") == nil })
	w.holds("long", "1")
	w.holds("renewed", "2")
	w.saved(item{Key: "short", Value: 9, Options: firstWrite})
	w.holds("short", "9")
}

func testRestartOfTheSidecar(t *testing.T, w *world) {
	w.saved(item{Key: "kept", Value: map[string]any{"n": 1}})
	etag := w.holds("kept", `{"n":1}`)
	w.side.stop(t)
	w.side = startSidecar(t, w.bin, w.db.Addr())
	if got := w.holds("kept", `{"n":1}`); got != etag {
		t.Errorf("the ETag is %s, want %s", got, etag)
	}
	w.saved(item{Key: "kept", Value: 2, ETag: etag, Options: firstWrite})
	w.holds("kept", "2")
}
