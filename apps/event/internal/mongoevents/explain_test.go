package mongoevents_test

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"boxoffice/apps/event/eventtest"
	"boxoffice/apps/event/internal/event"
	"boxoffice/shared/outbox"
)

// others is the number of events of each status that the lists under test must not
// examine.
const others = 2000

// fill stores n copies of an event. Their ids begin with the event's id. They start and
// end one minute after another.
func fill(t *testing.T, db *mongo.Database, store event.Events, e event.Event, n int) {
	t.Helper()
	if err := store.InsertEvent(t.Context(), e, event.Fact{ID: "f", Type: "event.created", Subject: e.ID, At: e.CreatedAt, Data: []byte(`{}`)}); err != nil {
		t.Fatal(err)
	}
	events := db.Collection("events")
	var original bson.M
	if err := events.FindOne(t.Context(), bson.D{{Key: "_id", Value: e.ID}}).Decode(&original); err != nil {
		t.Fatal(err)
	}
	copies := make([]any, n-1)
	for i := range copies {
		c := bson.M{}
		for key, value := range original {
			c[key] = value
		}
		id := fmt.Sprintf("%s-%06d", e.ID, i)
		c["_id"] = id
		if e.Identity() != "" {
			c["identity"] = id
		}
		c["startsAt"] = e.StartsAt.Add(time.Duration(i) * time.Minute)
		c["endsAt"] = e.EndsAt.Add(time.Duration(i) * time.Minute)
		c["createdAt"] = e.CreatedAt.Add(time.Duration(i) * time.Minute)
		copies[i] = c
	}
	for batch := range slices.Chunk(copies, 1000) {
		if _, err := events.InsertMany(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	}
}

// fillAll stores 30 published events and many others of each status.
func fillAll(t *testing.T, db *mongo.Database, store event.Events) {
	t.Helper()
	for status, n := range map[event.Status]int{event.Published: 30, event.Deleted: others, event.Cancelled: others, event.Draft: others} {
		e := eventtest.NewEvent(string(status))
		e.Status, e.OrganizerID, e.Category, e.Name = status, "organizer", "theatre", "Same "+string(status)
		fill(t, db, store, e, n)
	}
}

// testListIndexes checks that each list, in each order, examines only the index entries
// and documents that it returns, and one more at most.
func testListIndexes(t *testing.T, uri string, db *mongo.Database) {
	spy, queries := openSpy(t, uri, db)
	start := eventtest.NewEvent("e").StartsAt
	lists := map[string]event.Query{
		"guests":                      {Statuses: []event.Status{event.Published, event.Cancelled}},
		"admins":                      {Statuses: []event.Status{event.Draft, event.Published, event.Cancelled}},
		"published":                   {Statuses: []event.Status{event.Published}},
		"cancelled":                   {Statuses: []event.Status{event.Cancelled}},
		"drafts":                      {Statuses: []event.Status{event.Draft}},
		"guests, category":            {Statuses: []event.Status{event.Published, event.Cancelled}, Category: "theatre"},
		"published, category":         {Statuses: []event.Status{event.Published}, Category: "theatre"},
		"guests, organizer":           {Statuses: []event.Status{event.Published, event.Cancelled}, OrganizerID: "organizer"},
		"drafts, organizer":           {Statuses: []event.Status{event.Draft}, OrganizerID: "organizer"},
		"published, organizer":        {Statuses: []event.Status{event.Published}, OrganizerID: "organizer"},
		"published, unknown category": {Statuses: []event.Status{event.Published}, Category: "none"},
	}
	for name, q := range lists {
		for _, sort := range []event.Sort{event.ByStart, event.ByStartDesc, event.ByName, event.ByCreation} {
			ranges := []event.Query{{}}
			if sort == event.ByStart || sort == event.ByStartDesc { // another order sorts by one field and filters by another
				ranges = append(ranges, event.Query{From: new(start.Add(5 * time.Minute))}, event.Query{To: new(start.Add(15 * time.Minute))},
					event.Query{From: new(start.Add(5 * time.Minute)), To: new(start.Add(15 * time.Minute))})
			}
			for _, r := range ranges {
				q.Sort, q.Limit, q.From, q.To, q.After = sort, 4, r.From, r.To, nil
				for range 3 { // pages
					found, err := spy.ListEvents(t.Context(), q)
					if err != nil {
						t.Fatal(err)
					}
					for _, find := range queries() {
						p := explain(t, db, find)
						if !p.stages["IXSCAN"] || p.stages["SORT"] || p.stages["COLLSCAN"] || p.keys > p.returned+1 || p.docs > p.returned+1 {
							t.Errorf("%s by %s: %s\ngot the plan %+v, want an index scan that examines at most one entry more than it returns", name, sort, find, p)
						}
					}
					if len(found) < q.Limit {
						break
					}
					at := sort.At(found[len(found)-1])
					q.After = &at
				}
			}
		}
	}
	// The clean-up scans none of the deleted events. All others have ended.
	ended, err := spy.EndedUnsold(t.Context(), start.Add(100*24*time.Hour), 50)
	if err != nil || len(ended) != 50 {
		t.Errorf("ended events: got %d, %v, want 50", len(ended), err)
	}
	for _, find := range queries() {
		if p := explain(t, db, find); p.keys > p.returned+1 || p.docs > p.returned+1 || p.stages["SORT"] {
			t.Errorf("clean-up: got the plan %+v, want one that examines at most one entry more than it returns", p)
		}
	}
}

// testSearchIndex checks that a search examines only its candidates.
func testSearchIndex(t *testing.T, uri string, db *mongo.Database, store event.Events) {
	rare := eventtest.NewEvent("rare")
	rare.Name = "Rare samba"
	fill(t, db, store, rare, 1)
	spy, queries := openSpy(t, uri, db)
	for _, tt := range []struct {
		q     event.SearchQuery
		found int64
	}{
		{event.SearchQuery{Prefix: "rare", Limit: 1000}, 1},
		{event.SearchQuery{Prefix: "samb", Drafts: true, Limit: 1000}, 1},
		{event.SearchQuery{Prefix: "same", Limit: 1000}, 1000},
		{event.SearchQuery{Prefix: "sam", Limit: others + 50, Drafts: true}, others + 50},
		{event.SearchQuery{Prefix: "s", Limit: 10}, 10},
		{event.SearchQuery{Prefix: "unknown", Limit: 1000}, 0},
	} {
		found, err := spy.SearchEvents(t.Context(), tt.q)
		if err != nil || int64(len(found)) != tt.found {
			t.Errorf("%+v: got %d candidates, %v, want %d", tt.q, len(found), err, tt.found)
		}
		var keys, docs int64
		for _, find := range queries() {
			p := explain(t, db, find)
			if !p.stages["IXSCAN"] || p.stages["SORT"] || p.stages["COLLSCAN"] {
				t.Errorf("%+v: %s\ngot the stages %v, want an index scan", tt.q, find, p.stages)
			}
			keys, docs = keys+p.keys, docs+p.docs
		}
		if docs != tt.found || keys > tt.found+1 {
			t.Errorf("%+v: got %d documents and %d keys examined, want %d", tt.q, docs, keys, tt.found)
		}
	}
}

// partialFilter returns the filter of a partial index, as the server has it.
func partialFilter(t *testing.T, c *mongo.Collection, name string) bson.Raw {
	t.Helper()
	cursor, err := c.Indexes().List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var indexes []struct {
		Name   string   `bson:"name"`
		Filter bson.Raw `bson:"partialFilterExpression"`
	}
	if err := cursor.All(t.Context(), &indexes); err != nil {
		t.Fatal(err)
	}
	for _, ix := range indexes {
		if ix.Name == name && ix.Filter != nil {
			return ix.Filter
		}
	}
	t.Fatalf("got the indexes %v, want a partial one named %s", indexes, name)
	return nil
}

// testPurge checks that the TTL index contains a deleted event only after the last fact
// has left its outbox.
func testPurge(t *testing.T, uri string, n *atomic.Int64) {
	store, db := open(t, uri, n)
	ctx := t.Context()
	e := eventtest.NewEvent("e")
	fact := func(id string) event.Fact {
		return event.Fact{ID: id, Type: "t", Subject: "e", At: e.CreatedAt, Data: []byte(`{}`)}
	}
	purgeable := func(state string, want int64) {
		t.Helper()
		cursor, err := db.Collection("events").Find(ctx, partialFilter(t, db.Collection("events"), "to_purge"))
		if err != nil {
			t.Fatal(err)
		}
		var found []struct {
			PurgeAt  time.Time `bson:"purgeAt"`
			Identity *string   `bson:"identity"`
			Words    bson.A    `bson:"words"`
			Lists    bson.A    `bson:"lists"`
		}
		if err := cursor.All(ctx, &found); err != nil || int64(len(found)) != want {
			t.Errorf("%s: got %d purgeable events, %v, want %d", state, len(found), err, want)
		}
		for _, d := range found {
			if !d.PurgeAt.Equal(e.UpdatedAt.Add(7*24*time.Hour)) || d.Identity != nil || d.Words != nil || d.Lists != nil {
				t.Errorf("%s: got %+v, want purgeAt seven days after the deletion, and no other derived field", state, d)
			}
		}
	}
	clearOutbox := func() {
		t.Helper()
		box, err := store.Outbox().Box(ctx, "e")
		if err == nil {
			err = store.Outbox().SaveBox(ctx, outbox.Box{Document: "e", Version: box.Version})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	err := store.InsertEvent(ctx, e, fact("created"))
	clearOutbox()
	purgeable("published", 0)
	e.Status, e.Version = event.Deleted, 2
	err = errors.Join(err, store.WriteDefinition(ctx, e, 1, fact("deleted")))
	purgeable("deleted, with a fact in the outbox", 0)
	clearOutbox()
	purgeable("deleted, with an empty outbox", 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []string{"events", "holds", "limits"} {
		specs, err := db.Collection(c).Indexes().ListSpecifications(ctx)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(specs, func(s mongo.IndexSpecification) bool { return s.Name == "to_purge" })
		if i < 0 || specs[i].ExpireAfterSeconds == nil || *specs[i].ExpireAfterSeconds != 0 {
			t.Errorf("%s: got the indexes %+v, want to_purge with expireAfterSeconds 0", c, specs)
		}
	}
}
