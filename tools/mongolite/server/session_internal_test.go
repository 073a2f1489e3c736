package server

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/internal/storage"
)

// TestRemoveKeepsSessionsWithRunningWrite checks that remove keeps a session, and
// its stored results, while a retryable write of the session runs. The test is
// inside the package because a client cannot observe when a write begins.
func TestRemoveKeepsSessionsWithRunningWrite(t *testing.T) {
	s, err := Start(Config{Listen: "127.0.0.1:0", Data: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	coll, _, err := s.store.Create("d.c", nil)
	if err != nil {
		t.Fatal(err)
	}
	const id = "0123456789abcdef"
	stop := make(chan struct{})
	var removals atomic.Int64 // completed calls of remove
	var removing sync.WaitGroup
	removing.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			for i := range 200 { // so that removing them takes a while
				unlock, _, err := s.sessions.begin(fmt.Sprintf("%016d", i), 1)
				if err != nil {
					t.Error(err)
					return
				}
				unlock()
			}
			if err := s.sessions.remove(s.store, func(string, *session) bool { return true }); err != nil {
				t.Error(err)
				return
			}
			removals.Add(1)
		}
	})
	for txn := range int64(20) {
		unlock, _, err := s.sessions.begin(id, txn)
		if err != nil {
			t.Fatal(err)
		}
		err = coll.Write(func(tx *storage.Tx) error {
			return tx.PutResult(storage.StatementResult{Session: id, Txn: txn, At: time.Now(), Result: bson.Raw{5, 0, 0, 0, 0}})
		})
		if err != nil {
			t.Fatal(err)
		}
		for before := removals.Load(); removals.Load() == before && !t.Failed(); { // wait until the current call returns
			runtime.Gosched()
		}
		if result, err := s.store.Result(id, txn, 0); result == nil || err != nil {
			t.Errorf("write %d: got no stored result while it runs (error %v), want one", txn, err)
		}
		unlock()
	}
	close(stop)
	removing.Wait()
}
