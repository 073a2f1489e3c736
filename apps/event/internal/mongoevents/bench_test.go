package mongoevents_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"boxoffice/apps/event/eventtest"
	"boxoffice/apps/event/internal/event"
	"boxoffice/apps/event/internal/mongoevents"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/test/kit"
	"boxoffice/test/servers"
)

// BenchmarkSearchEvents measures searches among 10,000 events, one after another. The
// name of each event contains a word of its own and a word that all have.
func BenchmarkSearchEvents(b *testing.B) {
	const events, workers = 10_000, 16
	m := servers.StartMongo(b)
	store, err := mongoevents.Open(mongoevents.Config{URI: m.URI, Database: m.Database})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(b.Context()), 10*time.Second)
		defer cancel()
		_ = store.Close(ctx)
	})
	if err := store.Prepare(b.Context()); err != nil {
		b.Fatal(err)
	}
	kit.Concurrently(workers, func(worker int) {
		for i := worker; i < events; i += workers {
			e := eventtest.NewEvent(fmt.Sprintf("e%05d", i))
			e.Name = fmt.Sprintf("Word%05d concert", i)
			e.Description = "An evening with the orchestra of the city and its guests, in three parts with one break."
			if err := store.InsertEvent(b.Context(), e, event.Fact{ID: e.ID, Type: "t", Subject: e.ID, At: e.CreatedAt, Data: []byte(`{}`)}); err != nil {
				b.Error(err)
				return
			}
		}
	})
	svc := event.New(event.Config{Catalogue: store})
	for name, term := range map[string]string{
		"own word": "word%05d", "own word and common words": "the concert word%05d", "common word": "concert",
		"three common words": "concert theatre orchestra", "no match": "x%05d",
	} {
		b.Run(name, func(b *testing.B) {
			i := 0
			for b.Loop() {
				req := eventapi.SearchRequest{Term: term}
				if strings.Contains(term, "%") {
					req.Term = fmt.Sprintf(term, i%events)
				}
				page, err := svc.SearchEvents(b.Context(), req)
				if err != nil || (len(page.Items) == 0) != (name == "no match") {
					b.Fatalf("search for %q: got %d events, %v", req.Term, len(page.Items), err)
				}
				i += 7
			}
		})
	}
}
