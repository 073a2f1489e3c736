package coalesce_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"

	"boxoffice/shared/coalesce"
)

// insert is a row to be stored, and the result of storing it.
type insert struct {
	id  string
	err error
}

// Two inserts that arrive while a third one runs share one statement. The work
// function stores a result in each item.
func ExampleGroup_Do() {
	group := coalesce.New(coalesce.Config[*insert]{
		MaxItems: 100,
		Timeout:  5 * time.Second,
		Follow:   func(context.Context, context.Context) (end func()) { return nil },
	})
	firstMayEnd := make(chan struct{})
	store := func(_ context.Context, rows []*insert, _ func()) {
		<-firstMayEnd
		for _, row := range rows {
			if row.id == "" {
				row.err = fmt.Errorf("the id is empty")
			}
		}
		fmt.Printf("INSERT of %d rows\n", len(rows))
	}

	rows := []*insert{{id: "a"}, {id: "b"}, {id: ""}}
	var wg sync.WaitGroup
	started := make(chan struct{})
	wg.Go(func() {
		_ = group.Do(context.Background(), "rows", func(ctx context.Context, rows []*insert, release func()) {
			close(started)
			store(ctx, rows, release)
		}, rows[0])
	})
	<-started
	for i, row := range rows[1:] {
		wg.Go(func() { _ = group.Do(context.Background(), "rows", store, row) })
		for group.Queued("rows") <= i {
			runtime.Gosched()
		}
	}
	close(firstMayEnd)
	wg.Wait()
	for _, row := range rows {
		fmt.Printf("%q: %v\n", row.id, row.err)
	}
	// Output:
	// INSERT of 1 rows
	// INSERT of 2 rows
	// "a": <nil>
	// "b": <nil>
	// "": the id is empty
}
